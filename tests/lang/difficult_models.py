"""Models of rules that are difficult to write in another language, and what each breaks."""

HEAD = """\
from typing import Annotated

@struct(count=size("n"))
class Box:
    n: Annotated[int, Range(-2, 3)] = -2
    next: Box = NULL

@struct(count=1)
class Top:
    register: Annotated[int, Bits((1 << 31) | 3)] = 1 << 31
    done: bool = False

top = singleton(Top)

@initial
def begin() -> None:
    at(Box, 0).n = choose(-2, -1)
    at(Box, 1).next = at(Box, 0)
"""
CASES = {
    "choices and negative numbers": """
@rule()
def add(b: Box) -> None:
    more = choose(0, 2)
    require(b.n + more < 3 and not top.done)
    b.n = b.n + more
    top.done = maybe()

@rule()
def again() -> None:
    require(top.done)
    top.done = False
""",
    "the sign of 32 bits": """
@rule()
def toggle(b: Box) -> None:
    require(b.n < 0)
    top.register = top.register ^ ((1 << 31) | choose(0, 3))
    check("p", top.register < (1 << 31) + 2)
    check("q", (top.register & ~(1 << 31)) <= 3)
""",
    "null": """
@rule()
def follow(b: Box) -> None:
    b.n = 3
    b.next.n = 2
""",
    "a failed check, then impossible": """
@rule()
def fail(b: Box) -> None:
    b.n = 0
    check("q", b.next is None)
    require(b.next is None)
    top.done = True
""",
    "stuck": """
@rule()
def once() -> None:
    require(not top.done)
    top.done = True

@stuck("p", "the end")
def at_the_end() -> bool:
    return top.done
""",
    "stuck beside events": """
@rule()
def once() -> None:
    require(not top.done)
    top.done = True

@rule(event="coin")
def toss() -> None:
    at(Box, 1).n = choose(0, 2)

@stuck("p", "the end")
def at_the_end() -> bool:
    return top.done
""",
    "out of its domain": """
@rule()
def grow(b: Box) -> None:
    b.n = b.n + 1
""",
}
BROKEN = {"the sign of 32 bits": {"p"}, "null": {"sound_kernel"}, "a failed check, then impossible": {"q"}, "stuck": {"p"},
          "stuck beside events": {"p"}, "out of its domain": {"a model error"}}  # fmt: skip
