"""Elements of a symmetric struct that are told apart: by number, by order, or by who is visited first. What is not is kept."""

# ruff: noqa: E501 - one model a line

import pytest
from small_models import assert_engines_agree, build

HEAD = """\
from typing import Annotated
@struct(count=3, symmetric=True)
class Box:
    n: Annotated[int, Range(0, 3)] = 0
    flag: bool = False
    next: Box = NULL
@struct(count=1)
class Top:
    n: Annotated[int, Range(0, 9)] = 0
    box: Box = NULL
top = singleton(Top)
@initial
def begin() -> None:
    at(Box, 0).next = at(Box, 1)
    at(Box, 1).flag = True
    top.n = index(at(Box, 1))
"""
KEPT = {
    "any that": "for b in each(Box):\n    if b.flag and b.n == top.n:\n        return True\nreturn False",
    "all that": "for b in each(Box):\n    if not b.flag or b is top.box:\n        return False\nreturn True",
    "any, by break": "found = False\nfor b in each(Box):\n    if b.n == 2:\n        found = True\n        break\nreturn found",
    "any, without leaving": "found = False\nfor b in each(Box):\n    if b.n == 2:\n        found = True\nreturn found",
    "each of two": "for a in each(Box):\n    for b in each(Box):\n        if a is not b and a.n == b.n and a.next is b.next:\n            return True\nreturn False",
    "each changes itself": "for b in each(Box):\n    b.n = 0 if b.n == 3 else b.n + 1\n    b.flag = b.next is top.box\nreturn True",
    "the same for all": "for b in each(Box):\n    if b.flag:\n        top.n = 3\n        top.box = NULL\nreturn True",
    "counted in a field": "for b in each(Box):\n    if b.flag:\n        top.n += 1\nreturn True",
    "checked": "for b in each(Box):\n    check('p', b.n < 3 or b is top.box)\nreturn True",
    "all guard": "for b in each(Box):\n    require(b.n != 2)\nreturn True",
    "the same name twice": "for b in each(Box):\n    b.flag = False\nfor b in each(Box):\n    if b.n == 3:\n        return False\nreturn True",
    "picked": "b = pick(Box)\nb.next = pick(Box)\ntop.box = b if maybe() else b.next\nreturn b is not NULL and b.next is b",
    "followed": "b = top.box\nwhile b is not None and b.next is not b and not b.flag:\n    b.flag = True\n    b = b.next\nreturn True",
}
ORDERED = {
    "the first": ("for b in each(Box):\n    if b.flag:\n        top.box = b\n        return True\nreturn False", "the loop over Box "),
    "the last": ("x = top.box\nfor b in each(Box):\n    if b.flag:\n        x = b\ntop.box = x\nreturn True", "the loop over Box "),
    "the last visited": ("for b in each(Box):\n    pass\ntop.box = b\nreturn True", "the loop over Box "),
    "the first is another answer": (
        "for b in each(Box):\n    if b.flag:\n        return True\n    if b.n == 2:\n        return False\nreturn False", "the loop over Box ",
    ),
    "all before the first": ("for b in each(Box):\n    if b.flag:\n        return True\n    b.n = 1\nreturn False", "the loop over Box "),
    "asked until the first": ("for b in each(Box):\n    check('p', b.n != 1)\n    if b.flag:\n        break\nreturn True", "the loop over Box "),
    "NULL or the first": ("for b in each(Box):\n    if b.next.flag:\n        return True\nreturn False", "the loop over Box "),
    "NULL or the guard": ("for b in each(Box):\n    require(b.n != 1)\n    b.next.flag = True\nreturn True", "the loop over Box "),
    "a check or the guard": ("for b in each(Box):\n    require(b.n != 1)\n    check('p', b.flag)\nreturn True", "the loop over Box "),
    "carried": ("x = top.n\nfor b in each(Box):\n    b.n, x = x % 4, b.n\nreturn True", "the loop over Box carries 'x'"),
    "numbered": ("x = 0\nfor b in each(Box):\n    b.n = x\n    x = (x + 1) % 4\nreturn True", "the loop over Box carries 'x'"),
    "seen by the next": ("for b in each(Box):\n    b.n = 3 if b.next is not None and b.next.n == 0 else 0\nreturn True", "the loop over Box "),
    "stores to the next": ("for b in each(Box):\n    if b.next is not None:\n        b.next.n = b.n\nreturn True", "the loop over Box "),
    "adds what it reads": ("for b in each(Box):\n    top.n += 1\n    if top.n == 2:\n        b.flag = True\nreturn True", "the loop over Box "),
    "not only adds": ("for b in each(Box):\n    top.n += 1\n    if b.flag:\n        top.n = 0\nreturn True", "the loop over Box "),
    "the name moved on": ("for b in each(Box):\n    if b.next is not None:\n        b = b.next\n    b.n = (b.n + 1) % 4\nreturn True", "the loop over Box "),
    "index": ("top.n = index(top.box if top.box is not None else pick(Box))\nreturn True", "the number of a Box is used"),
    "at": ("top.box = at(Box, 1)\nreturn True", "a Box is chosen by its number"),
    "at a number": ("at(Box, top.n % 3).flag = True\nreturn True", "a Box is chosen by its number"),
    "compared with one": ("return top.box is at(Box, 2)", "a Box is compared with a number"),
    "less": ("return pick(Box) < pick(Box)", "elements of Box are compared by their order"),
    "greater": ("for b in each(Box):\n    if b > top.box:\n        b.flag = True\nreturn True", "elements of Box are compared by their order"),
    "some of them": ("for i in range(2):\n    at(Box, i).flag = True\nreturn True", "a Box is chosen by its number"),
}


def model_of(folder, body: str):
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    rule = "@rule()\ndef go() -> None:\n    if f():\n        reached('q')\n"
    return build(folder, HEAD + "def f() -> bool:\n" + lines + rule)


@pytest.mark.parametrize("name", KEPT)
def test_order_does_not_matter(tmp_path, name):
    model = model_of(tmp_path, KEPT[name])
    assert (model.symmetric, model.notes) == (("Box",), ())
    assert assert_engines_agree(model, 30, symmetric=True) > 0


@pytest.mark.parametrize("name", ORDERED)
def test_order_matters(tmp_path, name):
    body, reason = ORDERED[name]
    model = model_of(tmp_path, body)
    assert model.symmetric == () and model.notes[0].startswith(f"Box is not used as symmetric: {reason}")
    assert "model.py:" in model.notes[0]
