"""Several handlers of a kind: interrupts may run any of them, what only one can do is refused for a second."""

import pytest
from random_contexts import HEAD
from small_models import broken

from harness import LONG, some
from pasidlab.errors import PasidlabError

CALL = '@entry("syscall")\ndef sys_call() -> None:\n    for cpu in each(Cpu):\n        cpu.ipi_pending = True\n'


def handler(kind: str, name: str, body: str) -> str:
    return f'@context("{kind}", event="{kind}")\ndef {name}() -> None:\n    {body}\n'


@pytest.mark.parametrize("kind", some(["softirq", "hardirq", "ipi"], 3))
def test_any_handler_of_an_interrupt_may_run(tmp_path, kind):
    ends = "this_cpu.ipi_pending = False" if kind == "ipi" else "this_cpu.slot = 0"
    first, second, third = (handler(kind, name, f"check('{p}', False)\n    {ends}") for name, p in (("a", "p"), ("b", "q"), ("c", "q")))
    text = HEAD.replace('@never("p"', '@never("sound_kernel"') + CALL
    assert broken(tmp_path, text + first, kind) == {"p"}
    assert broken(tmp_path, text + first + second, kind) == {"p", "q"}
    assert broken(tmp_path, text + second + third, kind) == {"q"}
    assert broken(tmp_path, text + second + first + third, "preempt") == set()


@pytest.mark.parametrize("timers", [0, 1, 2] if LONG else [2])
def test_a_hard_interrupt_never_runs_in_place_of_an_ipi(tmp_path, timers):
    text = HEAD + CALL + "".join(handler("hardirq", f"timer{n}", "this_cpu.ipi_pending = False") for n in range(timers))
    ipi = handler("ipi", "my_ipi", "this_cpu.ipi_pending = False\n    check('q', False)")
    assert broken(tmp_path, text + ipi, "hardirq ipi") == {"q"}
    assert broken(tmp_path, text + ipi, "hardirq") == set()
    assert broken(tmp_path, ipi + text, "ipi") == {"q"}


def test_an_ipi_without_a_handler_does_nothing(tmp_path):
    text = HEAD + CALL + handler("hardirq", "timer", "this_cpu.slot = 1\n    this_cpu.slot = 2\n    check('q', False)")
    assert broken(tmp_path, text, "ipi") == set()
    assert broken(tmp_path, text, "hardirq ipi") == {"q"}


@pytest.mark.parametrize(
    ("text", "role", "first"),
    [
        ("@exit_to_user\ndef other() -> None:\n    pass\n", "exit_to_user", "leave"),
        ("@initial\ndef other() -> None:\n    shared.n = 1\n", "initial", "begin"),
        ('@context("schedule")\ndef other() -> None:\n    pass\n', "context", "schedule"),
        ("@forget\ndef mine() -> None:\n    shared.n = 0\n@forget\ndef other() -> None:\n    pass\n", "forget", "mine"),
    ],
)
def test_what_only_one_can_do_is_refused_for_a_second(tmp_path, text, role, first):
    with pytest.raises(PasidlabError) as caught:
        broken(tmp_path, HEAD + CALL + text, "preempt")
    assert caught.value.what == f"@{role} of other: {first}() is that already"
    assert caught.value.hint == f"name it {first} to replace that, or call it there"


@pytest.mark.parametrize("body", ["require(shared.n == 0)", "shared.n = choose(0, 1)", "wait_until(shared.n == 0)", "take(pick(Task))"])
def test_forget_has_one_outcome(tmp_path, body):
    with pytest.raises(PasidlabError) as caught:
        broken(tmp_path, HEAD + CALL + f"@forget\ndef mine() -> None:\n    {body}\n", "preempt")
    assert caught.value.what == "@forget of mine must have one outcome in every state"
