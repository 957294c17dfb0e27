"""Random small models in the language, as source text."""

from __future__ import annotations

from hypothesis import strategies as st

HEAD = """\
from typing import Annotated

@struct(count=2)
class Box:
    n: Annotated[int, Range(-1, 3)] = 0
    bits: Annotated[int, Bits(0x80000005)] = 0
    flag: bool = False
    next: Box = NULL

@struct(count=1)
class Top:
    box: Box = NULL
    n: Annotated[int, Range(0, 6)] = 0

top = singleton(Top)

@initial
def begin() -> None:
    top.n = choose(0, 1)
    top.box = at(Box, 0)
    at(Box, 0).next = at(Box, 1)

def twice(a: int) -> int:
    if a > 3:
        return 0
    return a + a

def follow(box: Box | None) -> Box | None:
    return box.next if box is not None else top.box

"""

WANDER = """\
@rule()
def wander(box: Box) -> None:
    if maybe():
        box.n = choose(-1, 2)
    elif maybe():
        box.flag, box.bits = not box.flag, box.bits ^ 0x80000001
    else:
        top.box = pick(Box)
        box.next = NULL if maybe() else top.box
        top.n = (top.n + 1) % 7
"""

NUMBERS = ["box.n", "box.bits", "top.n", "i", "x", "box.next.n", "top.box.n", "twice(box.n)", "index(box)", "0x80000000"]
BOXES = ["box", "box.next", "top.box", "follow(box)", "follow(box.next)", "NULL", "at(Box, 1)"]
TRUTHS = ["box.flag", "maybe()", "box is top.box", "box.next is None", "box.next is not top.box", "event('e')", "top.box.flag"]


def numbers(depth: int) -> st.SearchStrategy[str]:
    leaf = st.one_of(st.sampled_from(NUMBERS), st.integers(-2, 8).map(str))
    if not depth:
        return leaf
    below = numbers(depth - 1)
    operators = st.sampled_from(["+", "-", "*", "//", "%", "&", "|", "^", "<<", ">>"])
    pair = st.tuples(below, operators, below).map(lambda t: f"({t[0]} {t[1]} {t[2]})")
    sign = st.tuples(st.sampled_from(["-", "~"]), below).map("".join)
    either = st.tuples(below, truths(depth - 1), below).map(lambda t: f"({t[0]} if {t[1]} else {t[2]})")
    return st.one_of(leaf, pair, sign, either)


def truths(depth: int) -> st.SearchStrategy[str]:
    leaf = st.sampled_from(TRUTHS)
    if not depth:
        return leaf
    compare = st.tuples(numbers(depth - 1), st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), numbers(depth - 1)).map(" ".join)
    below = truths(depth - 1)
    joined = st.tuples(below, st.sampled_from([" and ", " or "]), below).map(lambda t: f"({''.join(t)})")
    return st.one_of(leaf, compare, joined, below.map(lambda t: f"not {t}"))


def statements(depth: int, looping: bool = False) -> st.SearchStrategy[list[str]]:
    value, truth, box = numbers(2), truths(2), st.sampled_from(BOXES)
    stores = st.one_of(
        st.tuples(box, value).map(lambda t: [f"{t[0]}.n = {t[1]}"] if t[0] != "NULL" else [f"top.n = {t[1]}"]),
        value.map(lambda v: [f"box.n = {v} & 3"]),
        value.map(lambda v: [f"top.n = {v} % 7"]),
        value.map(lambda v: [f"box.bits = {v}"]),
        value.map(lambda v: [f"box.bits |= {v} & 5"]),
        truth.map(lambda v: [f"box.flag = {v}"]),
        box.map(lambda b: [f"box.next = {b}"]),
        box.map(lambda b: [f"top.box = {b}"]),
        value.map(lambda v: [f"x = {v}"]),
        st.sampled_from(["box.n += 1", "top.n, box.n = 1, top.n", "x = choose(0, 2)", "box.next = pick(Box)", "x = choose(top.n, 2)"]).map(
            lambda s: [s]
        ),
    )
    marks = st.one_of(
        truth.map(lambda t: [f"require({t})"]),
        st.tuples(st.sampled_from("pq"), truth).map(lambda t: [f"check('{t[0]}', {t[1]}, 'a sentence')"]),
        st.sampled_from(["reached('p')", "reached('q')", "repeated('p')", "repeated('q')", "pass"]).map(lambda s: [s]),
    )
    simple = st.one_of(stores, stores, marks)
    if looping:
        simple = st.one_of(simple, st.tuples(truth, st.sampled_from(["break", "continue"])).map(lambda t: [f"if {t[0]}:", "    " + t[1]]))
    if not depth:
        return simple
    inner = st.lists(statements(depth - 1, looping), min_size=1, max_size=3).map(flat)
    loop = st.lists(statements(depth - 1, True), min_size=1, max_size=3).map(flat)
    return st.one_of(
        simple,
        st.tuples(truth, inner, inner).map(lambda t: [f"if {t[0]}:", *indented(t[1]), "else:", *indented(t[2])]),
        loop.map(lambda b: ["for i in range(0, 3):", *indented(b)]),
        loop.map(lambda b: ["for box in each(Box):", *indented(b)]),
        st.tuples(truth, loop).map(lambda t: [f"while {t[0]}:", *indented(t[1])]),
        loop.map(lambda b: ["while x < 4:", "    x = x + 1", *indented(b)]),
    )


def flat(parts: list[list[str]]) -> list[str]:
    return [line for part in parts for line in part]


def indented(lines: list[str]) -> list[str]:
    return ["    " + line for line in lines]


def rule(number: int, body: list[list[str]]) -> str:
    lines = ["i = 0", "x = 0", *flat(body)]
    return "\n".join(["@rule()", f"def rule_{number}(box: Box) -> None:", *indented(lines), ""])


def predicate(number: int, truth: str) -> str:
    text = truth.replace("maybe()", "box.flag")
    name = "pq"[number % 2]
    lines = ["i = 0", "x = 1", f"return {text}"]
    return "\n".join([f"@never('{name}', 'a sentence')", f"def never_{number}(box: Box) -> bool:", *indented(lines), ""])


def models() -> st.SearchStrategy[str]:
    bodies = st.lists(st.lists(statements(2), min_size=1, max_size=4), min_size=1, max_size=3)
    watched = st.lists(truths(2), max_size=2)
    return st.tuples(bodies, watched).map(
        lambda t: "\n".join([HEAD, WANDER, *(rule(n, b) for n, b in enumerate(t[0])), *(predicate(n, p) for n, p in enumerate(t[1]))])
    )
