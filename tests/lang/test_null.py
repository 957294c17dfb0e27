"""Following NULL: the kernel's fault in a step, also through a field that is not in the state; a model error in a predicate."""

import pytest
from random_programs import HEAD
from small_models import Native, assert_engines_agree, build

from pasidlab.lang.interpreter import Interpreter

KEEP = "@rule()\ndef keep(box: Box) -> None:\n    require(box.flag)\n    top.n = (top.n + 1) % 2\n    box.next = top.box\n"
UNUSED = "box.bits"  # never read and written, so never part of the state


def failures(model) -> set[tuple[str, str]]:
    """What the steps out of the initial states break, by the interpreter; the native engine agrees."""
    assert_engines_agree(model, 60)
    interpreter = Interpreter(model)
    assert "Box.bits" not in interpreter.fields
    outcomes = [o for state in interpreter.initial_states() for o in interpreter.successors(state)]
    return {(f.property, f.sentence) for o in outcomes for f in o.failures}


@pytest.mark.parametrize("touch", ["x = box.next.bits", "box.next.bits = 1", "if box.next.bits == 0:\n        top.n = 1"])
def test_a_field_that_is_not_in_the_state(tmp_path, touch):
    model = build(tmp_path, f"{HEAD}{KEEP}@rule()\ndef f(box: Box) -> None:\n    {touch}\n    box.flag = True\n")
    assert failures(model) == {("sound_kernel", "NULL pointer dereference: Box.bits of nothing")}


def test_an_element_that_is_there_is_not_asked_for_again(tmp_path):
    body = "    box.next.n = 1\n    box.next.bits = 1\n    for other in each(Box):\n        other.bits = 1\n    pick(Box).bits = 1\n"
    model = build(tmp_path, f"{HEAD}{KEEP}@rule()\ndef f(box: Box) -> None:\n    require(box.next is not None)\n    x = box.next\n"
                  + body.replace("box.next.", "x.") + "    box.n = x.n\n    box.flag = True\n")  # fmt: skip
    assert failures(model) == set()
    assert not [i for action in model.actions for i in action.code if i.op == "deref"]


def test_an_element_beyond_the_last(tmp_path):
    model = build(tmp_path, f"{HEAD}{KEEP}@rule()\ndef f(box: Box) -> None:\n    at(Box, top.n + 1).bits = 1\n    box.flag = True\n")
    assert failures(model) == {("", "Box.bits: no element 2")}


@pytest.mark.parametrize("role", ["never('p', 'never')", "stuck('p', 'stuck')", "pending('p')"])
@pytest.mark.parametrize("field", ["n", "bits"])
def test_a_predicate_that_follows_null_is_a_model_error(tmp_path, role, field):
    rule = "@rule()\ndef f(box: Box) -> None:\n    require(not box.flag)\n    box.flag = True\n    box.n = 1\n    box.next = NULL\n"
    model = build(tmp_path, f"{HEAD}{rule}@{role}\ndef asks(box: Box) -> bool:\n    return box.next.{field} == 3\n")
    assert assert_engines_agree(model, 60) == 4
    interpreter, native = Interpreter(model), Native(model)
    last = [s for s in map(interpreter.layout.unpack, reachable(native)) if not interpreter.successors(s)]
    assert last and all(
        interpreter.unanswered(s)[0].sentence == f"NULL pointer dereference: Box.{field} of nothing" for s in last
    )
    assert all(native.step(interpreter.layout.pack(s))[3] for s in last)


def test_a_predicate_that_asks_first(tmp_path):
    text = f"{HEAD}{KEEP}@never('p', 'never')\ndef asks(box: Box) -> bool:\n    return box.next is not None and box.next.bits == 1\n"
    model = build(tmp_path, text)
    native = Native(model)
    assert not any(native.step(state)[3] for state in reachable(native))


def reachable(native: Native) -> set[tuple[int, ...]]:
    known = {tuple(words) for words in native.model.initial.tolist()}
    front = list(known)
    while front:
        new = [s for s in native.step(front.pop())[0] if s not in known]
        known.update(new)
        front += new
    return known
