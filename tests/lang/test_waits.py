"""wait_until: a task that waits asleep gives up its CPU whatever the condition looks like, and goes on once it holds."""

import pytest
from random_contexts import HEAD
from small_models import broken

from harness import some

LONG = " + ".join(f"(1 if shared.n == {n % 3} and current.mine == {n % 3} and this_cpu.slot == {n % 3} else 0)" for n in range(12))
FLAGS = HEAD.replace("    lock: Task = NULL\n", "    lock: Task = NULL\n    a: bool = False\n    b: bool = False\n")

# conditions that hold once the other task has been here
CONDITIONS = [
    "shared.a", "shared.a and shared.b", "shared.b and shared.a", "not (not shared.a or not shared.b)",
    "shared.a if shared.b else False", "both()", "both() and both() and shared.a", f"{LONG} < 99 and shared.a and shared.b",
]  # fmt: skip

TWO = """
def both() -> bool:
    for i in range(2):
        if not shared.a:
            return False
    return shared.b

@entry("syscall")
def sys_call() -> None:
    if current is at(Task, 0):
        wait_until(CONDITION, "HOW")
        check('q', False, 'it went on')
    else:
        shared.a = True
        shared.b = True
        wait_until(False)
"""


def one_cpu(text: str) -> str:
    """The second CPU has no part: only a task that gives up the first lets the other run."""
    return text.replace('@struct(count=size("cpus"))', "@struct(count=1)")


@pytest.mark.parametrize("condition", some(CONDITIONS, 2))
def test_a_task_that_sleeps_lets_the_other_run(tmp_path, condition):
    text = one_cpu(FLAGS) + TWO.replace("CONDITION", condition)
    assert "q" in broken(tmp_path, text.replace("HOW", "sleep"), "none")
    assert "q" not in broken(tmp_path, text.replace("HOW", "spin"), "none")


def test_the_condition_is_looked_at_as_a_whole(tmp_path):
    """Never both at once: who looks at one and then at the other would believe it."""
    text = FLAGS + (
        '@entry("syscall")\ndef sys_call() -> None:\n    if current is at(Task, 0):\n'
        "        wait_until(shared.a and shared.b)\n        check('q', False)\n"
        "    else:\n        shared.a = True\n        shared.a = False\n        shared.b = True\n        shared.b = False\n"
    )
    assert "q" not in broken(tmp_path, text, "preempt")
    assert "q" in broken(tmp_path, text.replace("shared.a = False", "pass"), "preempt")


def test_waits_one_after_the_other(tmp_path):
    text = one_cpu(FLAGS) + TWO.replace("CONDITION", "shared.a").replace("HOW", "sleep").replace(
        "        check('q'", "        wait_until(shared.b)\n        wait_until(True)\n        check('q'"
    )
    assert "q" in broken(tmp_path, text, "none")
    assert "q" not in broken(tmp_path, text.replace("shared.b = True", "pass"), "none")


def test_a_failed_check_before_a_wait_that_never_ends(tmp_path):
    text = FLAGS + '@entry("syscall")\ndef sys_call() -> None:\n    check("q", False)\n    wait_until(False)\n    check("p", False)\n'
    assert broken(tmp_path, text.replace('@never("p"', '@never("sound_kernel"'), "none") == {"q"}


def test_who_spins_for_ever_is_stuck_though_another_is_in_user_mode(tmp_path):
    """The other task may make system calls for ever; it need not."""
    text = FLAGS + (
        '@entry("syscall")\ndef sys_call() -> None:\n    if current is at(Task, 0):\n        wait_until(shared.a, "spin")\n'
        '@stuck("q", "a task cannot go on")\ndef waits(task: Task) -> bool:\n    return task.pc != 0 and task.on_cpu\n'
    )
    assert "q" in broken(tmp_path, text, "none")
    assert "q" not in broken(tmp_path, text.replace("shared.a, ", "not shared.a, "), "none")
