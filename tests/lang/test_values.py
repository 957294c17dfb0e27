"""What a name holds and what an operator means is what Python says: each text is run by Python itself, then by the engines."""

import pytest
from small_models import assert_engines_agree, build

from pasidlab.lang.interpreter import Interpreter

MODEL = '''\
from typing import Annotated
@struct(count=3)
class Box:
    n: Annotated[int, Range(-50, 50)] = 0
    flag: bool = False
    next: Box = NULL
@struct(count=1)
class Top:
    n: Annotated[int, Range(-400, 400)] = 1
    zero: Annotated[int, Range(0, 9)] = 0
    box: Box = NULL
top = singleton(Top)
LIMIT = 3
FLAG = 4
@initial
def begin() -> None:
    for box in each(Box):
        box.n = index(box) + 5
    at(Box, 0).next = at(Box, 1)
    at(Box, 1).next = at(Box, 2)
    top.box = at(Box, 0)
    at(Box, 2).flag = maybe()
'''
FUNCTIONS = '''\
def masked(x: int) -> bool:
    return x & FLAG
def is_set(x: int) -> bool:
    return (x & FLAG) != 0
def bump() -> int:
    top.n += 1
    return top.n
def fails() -> int:
    top.n = 1 // top.zero
    return 1
def yes(b: bool, n: int) -> int:
    if b and n:
        return b + n
    return 0
def put(x: int) -> None:
    top.n = x
'''
RULES = '''\
def ready(box: Box) -> bool:
    return box is at(Box, 1) and top.n == 1
@rule()
def keep() -> None:
    require(top.n == 399)
    for box in each(Box):
        box.n = -1
        box.flag = not box.flag
        box.next = top.box
    top.zero = 1
    top.box = NULL
    top.n = 0
'''


class Box:
    def __init__(self, number: int) -> None:
        self.number, self.n, self.flag, self.next = number, number + 5, False, None


class Top:
    n, zero, box = 1, 0, None


def in_python(body: str) -> int | None:
    """``top.n`` after the text, run as plain Python; None where that raises."""
    boxes = [Box(n) for n in range(3)]
    boxes[0].next, boxes[1].next = boxes[1], boxes[2]
    top = Top()
    top.box = boxes[0]
    known = {
        "Box": Box, "top": top, "LIMIT": 3, "FLAG": 4, "NULL": None, "each": lambda _: iter(boxes), "at": lambda _, n: boxes[n],
        "index": lambda box: box.number,
    }  # fmt: skip
    exec(FUNCTIONS, known)
    exec("def f(box):\n" + indented(body), known)
    try:
        known["f"](boxes[1])
    except (UnboundLocalError, ZeroDivisionError, ValueError, AttributeError):
        return None
    return int(top.n)


def indented(body: str) -> str:
    return "".join(f"    {line}\n" for line in body.splitlines())


def in_the_model(folder, body: str) -> int | None:
    text = MODEL + FUNCTIONS + RULES + "@rule()\ndef f(box: Box) -> None:\n    require(ready(box))\n" + indented(body)
    model = build(folder, text)
    assert assert_engines_agree(model, 8) > 0
    interpreter = Interpreter(model)
    state = next(s for s in interpreter.initial_states() if not s[interpreter.offsets["Box.flag"] + 2])
    outcomes = [o for o in interpreter.successors(state) if o.action == "f"]
    assert len(outcomes) == 1
    after = outcomes[0].state
    return None if after is None else after[interpreter.offsets["Top.n"]]


BODIES = """
# a copy in a loop keeps what it was given
s = 0
for i in range(0, 4):
    v = i
    if i == 0:
        first = v
    s = s * 2 + first - v
top.n = s
# a copy of a copy
s = 0
x = 3
for i in range(3):
    y = x
    x = i
    s = s * 10 + y
top.n = s
# swapped in a loop
a, b = 1, 2
for i in range(5):
    t = a
    a = b
    b = t
top.n = a * 10 + b
# last value of a while loop
x = 0
last = 9
while x < 3:
    last = x
    x += 1
top.n = last * 10 + x
# a field read before it is written
x = top.n
top.n = 5
top.n = x * 10 + top.n
# an element kept while the reference moves
b = top.box
top.box = b.next
b.n = 1
top.n = b.n * 10 + top.box.n
# the loop's name assigned in the loop
s = 0
for b in each(Box):
    s = s * 10 + b.n
    if b.next is not None:
        b = b.next
    s += b.n
top.n = s % 301
# the loop's name set to None
s = 0
for b in each(Box):
    s += b.n
    b = NULL
top.n = s
# the loop's number assigned in the loop
s = 0
for i in range(4):
    s = s * 3 + i
    i = 9
top.n = s * 10 + i
# an inner loop of the same name
s = 0
for b in each(Box):
    for b in each(Box):
        s += b.n
    s += b.n
top.n = s
# an inner range of the same name
s = 0
for i in range(3):
    for i in range(2):
        s += 1
    s = s * 2 + i
top.n = s
# the bound changes in the loop
n = 3
s = 0
for i in range(n):
    n = 1
    s += i + 1
top.n = s
# the loop's name after a break
for i in range(9):
    if i == 4:
        break
top.n = i
# the loop's name after an empty loop
i = 7
for i in range(2, 2):
    top.n = 3
top.n = i
# the loop's name after a loop that never ran
for i in range(2, 2):
    top.n = 3
top.n = i
# unbound on one path
if top.n == 2:
    x = 5
top.n = x
# bound on the path taken
if top.n == 1:
    x = 5
top.n = x
# unbound in a later round only
s = 0
for i in range(3):
    if i != 1:
        x = i
    s += x
top.n = s
# unbound behind an and
if top.n == 2:
    x = 5
top.n = 3 if top.n == 2 and x > 1 else 4
# an and that looks at the unbound
if top.n == 2:
    x = 5
top.n = 3 if top.n == 1 and x > 1 else 4
# a loop's name that is a singleton's
s = 0
for top in each(Box):
    s += top.n
for b in each(Box):
    s += b.n
put(s)
# a name that is a singleton's
top = box
top.n = 3
put(top.n + bump())
# a name that is a constant's
LIMIT = 40
top.n = LIMIT + 2
# a loop's name that is a constant's
s = 0
for LIMIT in range(2, 5):
    s += LIMIT + 1
top.n = s
# a constant in an expression
x = LIMIT
top.n = LIMIT * x + 1
# a name that is a function's
bump = 4
top.n = bump + 1
# a name that is a primitive's
index = 4
top.n = index + 1
# bool of a mask
v = masked(5)
b = top.n == 1
if b and v:
    top.n = 7
# bool of a mask, the other way round
v = masked(5)
b = top.n == 1
if v and b:
    top.n = 7
# a mask and a number
top.n = masked(5) and 6
# a mask compared
top.n = 3 if masked(5) == True else 8
# a number given for a bool
x = yes(masked(5), 1)
top.n = x * 10 + yes(top.n - 1, 2) + yes(True, 3)
# a number in a bool
x: bool = masked(5)
b = top.n == 1
if x and b and x == 4:
    top.n = 7
# a set bit compared
top.n = 3 if is_set(5) == True else 8
# two numbers and
x = top.n + 1
y = top.n + 3
if x and y:
    top.n = 50
# the value of and
x = top.n + 1
y = top.n + 3
top.n = x and y
# the value of or
x = top.n + 1
y = top.n + 3
top.n = x or y
# the value of or after 0
x = top.n - 1
y = top.n + 3
top.n = (x or y) * 10 + (x and y)
# three in a row
x = top.n - 1
top.n = (x or 0 or 6) * 10 + (top.n and 5 and top.n + 1)
# a flag that becomes a number in a loop
x = top.n != 0
s = 0
for i in range(3):
    if x and top.n == 1:
        s += 1
    x = 6
top.n = s * 10
# not of a number
top.n = 5 + (not top.n + 6)
# an element or another
b = top.box.next.next.next or box
top.n = b.n
# an element and the next
b = box and box.next
top.n = b.n
# or shields a shift
x = top.n - 5
if x < 0 or 1 << x > 0:
    top.n = 4
# and shields a shift
x = top.n - 5
if x >= 0 and 1 << x > 0:
    top.n = 4
# and does not shield the first
x = top.n - 5
if 1 << x > 0 and x >= 0:
    top.n = 4
# and shields a division
if top.zero != 0 and 1 // top.zero == 1:
    top.n = 4
# or shields an access
b = NULL
b = box.next.next
if b is None or b.flag:
    top.n = 4
# and False still looks at the left
if fails() and False:
    top.n = 9
# and with a constant inside
if top.n == 1 and (bump() and False):
    top.n = 9
# or with a constant inside
if top.n == 2 or (bump() or True):
    top.n += 9
# a conditional looks at one side
x = top.n - 5
top.n = 2 if x < 0 else 1 << x
# an unread shift
x = 1 << (top.n - 5)
top.n = 4
# an unread division
x = 1 // top.zero
top.n = 4
# the element on the left is looked up once
top.box.n += bump()
top.n = top.n * 10 + top.box.n
# the element on the left stays the same
top.box.n += index(top.box)
top.n = at(Box, 0).n * 10 + at(Box, 1).n
# division downwards
x = top.n
top.n = (x - 8) // 2 * 30 + (x - 8) % 3 + (x + 7) // (x - 4) * 5 + (x + 7) % (x - 4)
# division of constants
top.n = -7 // 2 * 10 + -7 % 3 + 7 // -2 * 30 + 7 % -2
# division in place
top.n = -7
top.n //= 2
x = -7
x %= 3
top.n = top.n * 10 + x
# a tuple
a, top.n = top.n + 1, 5
top.n = a * 10 + top.n
"""


def cases() -> list[object]:
    """The texts by the names that stand above them."""
    found = [part.split("\n", 1) for part in BODIES.removeprefix("\n# ").split("\n# ")]
    return [pytest.param(body, id=name) for name, body in found]


@pytest.mark.parametrize("body", cases())
def test_as_in_python(tmp_path, body):
    assert in_the_model(tmp_path, body) == in_python(body)
