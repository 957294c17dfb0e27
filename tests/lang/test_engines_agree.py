"""The native engine does what the interpreter does: on random models, and at the edges of the arithmetic."""

import pytest
from hypothesis import HealthCheck, given, settings
from random_programs import HEAD, models
from small_models import BITS, Native, assert_engines_agree, build

from pasidlab.errors import PasidlabError
from pasidlab.lang.interpreter import FUEL, MOST_OUTCOMES, Interpreter


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(models())
def test_random_models(tmp_path_factory, text):
    try:
        model = build(tmp_path_factory.getbasetemp(), text, events="e")
    except PasidlabError:
        return
    assert_engines_agree(model, 25, stride=7)


def outcome(tmp_path, body: str) -> tuple[list[tuple[str, str]], int | None]:
    """What one rule does in the first state (failures by property, and top.n afterwards); both engines agree on it."""
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    model = build(tmp_path, HEAD + "@rule()\ndef only(box: Box) -> None:\n    require(top.n == 1 and index(box) == 0)\n" + lines + KEEP)
    assert_engines_agree(model, 60)
    interpreter = Interpreter(model)
    state = next(s for s in interpreter.initial_states() if s[interpreter.offsets["Top.n"]] == 1)
    found = [o for o in interpreter.successors(state) if o.action == "only"][-1]
    failures = [(f.property, f.sentence) for f in found.failures]
    return failures, None if found.state is None else found.state[interpreter.offsets["Top.n"]]


KEEP = """
@rule()
def keep(box: Box) -> None:
    require(top.n == 6 and not box.flag and box.n == 0 and box.bits == 0 and box.next is top.box)
    box.flag = True
    box.n = 1
    box.bits = 1
"""
"""A field that is never stored, or never loaded, is not part of the model: this keeps them all."""


@pytest.mark.parametrize(
    ("body", "n"),
    [
        ("top.n = -7 // 2 + 5", 1),  # Python's division: downwards
        ("top.n = -7 % 3 + 3", 5),
        ("top.n = (top.n - 8) // 2 + 5", 1),
        ("top.n = (top.n - 8) % 3 + 3", 5),
        ("top.n = ((top.n << 63) // -1) == ((top.n << 62) * 2)", 1),  # the smallest number, wrapped
        ("top.n = ((top.n << 63) % -top.n)", 0),
        ("x = 1 << 62\ntop.n = x * 4", 0),
        ("top.n = ((top.n << 62) * 4)", 0),
        ("top.n = (top.n - 2) >> 63 == -1", 1),
        ("top.n = ~top.n + 4", 2),
        ("top.n = 5 if box.next is at(Box, 1) else 3", 5),
        ("x = 0\nfor other in each(Box):\n    x += index(other) + 1\ntop.n = x", 3),
        ("x = 0\nwhile True:\n    x += 1\n    if x == 3:\n        continue\n    if x > 4:\n        break\ntop.n = x", 5),
        (f"x = 0\nwhile x < {FUEL - 2}:\n    x += top.n\ntop.n = 2", 2),
    ],
)
def test_values(tmp_path, body, n):
    assert outcome(tmp_path, body) == ([], n)


@pytest.mark.parametrize(
    ("body", "name", "sentence"),
    [
        ("top.n = 7", "", "7 stored to Top.n, whose domain is 0..6"),
        ("top.n -= 2", "", "-1 stored to Top.n, whose domain is 0..6"),
        ("box.bits = 2", "", "2 stored to Box.bits, whose domain is mask 0x80000005"),
        ("box.bits = -1", "", "-1 stored to Box.bits, whose domain is mask 0x80000005"),
        ("top.n = 1 // (top.n - 1)", "", "division by zero"),
        ("top.n = 1 % (top.n - 1)", "", "division by zero"),
        ("top.n = 1 << (top.n - 2)", "", "shift by -1"),
        ("top.n = top.n << 64", "", "shift by 64"),
        ("top.n = top.n >> (top.n * 70)", "", "shift by 70"),
        ("box.next = NULL\nbox.next.n = 1", "sound_kernel", "NULL pointer dereference: Box.n of nothing"),
        ("top.n = at(Box, 1).next.n", "sound_kernel", "NULL pointer dereference: Box.n of nothing"),
        ("top.n = at(Box, top.n + 1).n", "", "Box.n: no element 2"),
        ("while maybe():\n    pass", "", "this step makes more than 16 choices"),
        ("at(Box, top.n - 3).n = 1", "", "Box.n: no element -2"),
        ("while top.n == 1:\n    box.n = 1", "", "this step never ends (an infinite loop without access to shared state)"),
        (f"x = 0\nwhile x < {FUEL}:\n    x += top.n", "", "this step never ends (an infinite loop without access to shared state)"),
    ],
)
def test_errors(tmp_path, body, name, sentence):
    assert outcome(tmp_path, body) == ([(name, sentence)], None)


def test_properties_broken_by_a_step_do_not_end_it(tmp_path):
    body = "check('p', top.n == 2, 'first')\ncheck('q', top.n == 2, 'second')\ncheck('p', top.n == 1, 'third')\ntop.n = 4"
    assert outcome(tmp_path, body) == ([("p", "first"), ("q", "second")], 4)


@pytest.mark.parametrize("end", ["require(False)", "unreachable()", "wait_until(top.n == 5, 'spin')", "top.n = choose(2, 1)"])
def test_a_check_that_failed_counts_though_the_step_cannot_be_completed(tmp_path, end):
    text = HEAD + f"@rule()\ndef f() -> None:\n    reached('p')\n    check('q', top.n == 1, 'x')\n    {end}\n    check('p', False, 'y')\n"
    model = build(tmp_path, text + KEEP)
    assert_engines_agree(model)
    native, broken = Native(model), set()
    for words in native.model.initial.tolist():
        successors, state, step, error, reached, _ = native.step(tuple(words))
        broken.add(step)
        assert (successors, state, error, reached) == ({}, 0, False, 0)
    assert broken == {0, BITS["q"]}


def test_a_step_that_reached_something_and_cannot_be_completed_is_none(tmp_path):
    native = Native(build(tmp_path, HEAD + "@rule()\ndef f() -> None:\n    reached('p')\n    require(False)\n" + KEEP))
    for words in native.model.initial.tolist():
        assert native.step(tuple(words)) == ({}, 0, 0, False, 0, 0)


@pytest.mark.parametrize(
    ("body", "broken"),
    [
        ("return pick(Box).n == 2", True),
        ("b = pick(Box)\n    return b.n == 2 and maybe()", True),
        ("return choose(0, 3) == 3 and top.n == 0", True),
        ("require(maybe())\n    return choose(0, 1) == 1", True),
        ("return choose(0, 3) > 3", False),
        ("return choose(1, 0) == 1 or True", False),
    ],
)
def test_a_predicate_is_true_if_some_choice_makes_it_so(tmp_path, body, broken):
    text = HEAD + f"@never('p', 'x')\ndef bad() -> bool:\n    {body}\n@rule()\ndef f() -> None:\n    at(Box, 1).n = 2\n" + KEEP
    model = build(tmp_path, text)
    assert assert_engines_agree(model) > 1
    native = Native(model)
    seen = {native.step(state)[1] for words in native.model.initial.tolist() for state in [tuple(words), *native.step(tuple(words))[0]]}
    assert (BITS["p"] in seen) == broken


def test_repeated_and_pending(tmp_path):
    text = HEAD + (
        "@rule()\ndef f(box: Box) -> None:\n    require(top.n == 0)\n    repeated('q')\n    reached('p')\n    box.flag = True\n"
        "@pending('q')\ndef waits(box: Box) -> bool:\n    return box.flag\n"
    )
    model = build(tmp_path, text)
    assert assert_engines_agree(model) == 5
    native = Native(model)
    seen = {native.step(tuple(words))[4:] for words in native.model.initial.tolist()}
    assert seen == {(0, 0), (BITS["p"], BITS["q"])}


@pytest.mark.parametrize(("high", "error"), [(MOST_OUTCOMES - 1, False), (MOST_OUTCOMES, True), (300, True)])
def test_a_step_with_too_many_outcomes_is_an_error(tmp_path, high, error):
    model = build(tmp_path, HEAD + f"@rule()\ndef f() -> None:\n    top.n = choose(0, {high}) % 7\n" + KEEP)
    native = Native(model)
    assert_engines_agree(model, 40)
    for words in native.model.initial.tolist():
        successors, _, _, failed, _, _ = native.step(tuple(words))
        assert (successors.total(), failed) == (MOST_OUTCOMES, error)


def test_choices_in_any_number_and_order(tmp_path):
    body = "@rule()\ndef f(box: Box) -> None:\n    if maybe():\n        box.n = choose(top.n, 3)\n"
    body += "    elif maybe():\n        box.next = pick(Box)\n"
    body += "    else:\n        require(maybe())\n        box.flag = maybe()\n    if maybe():\n        top.n = choose(2, 1)\n"
    model = build(tmp_path, HEAD + body)
    interpreter = Interpreter(model)
    counts = [len(interpreter.run(model.actions[0], (1,), state)) for state in interpreter.initial_states()]
    assert sorted(counts) == [3 + 2 + 2, 4 + 2 + 2]
    assert_engines_agree(model, 200)


def test_symmetric_structs(tmp_path):
    text = (
        HEAD.replace("Range(-1, 3)", "Range(0, 2)")
        .replace("@struct(count=2)", "@struct(count=3, symmetric=True)")
        .replace("at(Box, 0).next = at(Box, 1)", "pass")
    )
    body = (
        "@rule()\ndef f(box: Box, other: Box) -> None:\n    require(box is not other)\n    box.next = other\n    box.n = (box.n + 1) % 3\n"
    )
    body += "    if maybe():\n        top.box = other\n    other.flag = not box.flag\n"
    model = build(tmp_path, text + body)
    assert model.symmetric == ("Box",)
    assert assert_engines_agree(model, 150, symmetric=True, stride=11) >= 30
