"""What is not part of the language is refused at its place, with what to write instead: never an error of Python's own."""

import pytest
from small_models import build

from pasidlab.errors import PasidlabError

HEAD = '''\
from typing import Annotated
@struct(count=2)
class Box:
    n: Annotated[int, Range(0, 3)] = 0
    flag: bool = False
    next: Box = NULL
    other: Other = NULL
@struct(count=1)
class Other:
    m: Annotated[int, Bits(5)] = 0
other = singleton(Other)
LIMIT = 3
@initial
def begin() -> None:
    """."""
def helper(a: int, b: bool) -> int:
    return a
def nothing(box: Box) -> None:
    box.n = 1
'''
FURTHER_UP = "assign it further up; it is a local of this function"
WIDTH = "numbers have 64 bits; of what is computed from constants, so does every part"
BODY = "@rule()\ndef f(box: Box) -> None:\n"

# statements of a rule: text, line and column in it (each is indented by 4), what, hint
STATEMENTS = [
    ("break", 1, 5, "'break' outside a loop", "return, or put it into a for or while"),
    ("continue", 1, 5, "'continue' outside a loop", "return, or put it into a for or while"),
    ("a, b = 1, 2, 3", 1, 5, "both sides need the same number of items", ""),
    ("a, b = box", 1, 5, "both sides need the same number of items", ""),
    ("for x in each(f()):\n    pass", 1, 14, "cannot loop over 'each(f())'", "use range(low, high) or each(Struct)"),
    ("for x in each(box.n):\n    pass", 1, 14, "cannot loop over 'each(box.n)'", "use range(low, high) or each(Struct)"),
    ("pick(box.n)", 1, 10, "'box.n' is not a struct", "did you mean 'Box'?"),
    ("x = pick(Bax)", 1, 14, "'Bax' is not a struct", "did you mean 'Box'?"),
    ("x = at(box.n, 1)", 1, 12, "'box.n' is not a struct", "did you mean 'Box'?"),
    ("box.n = 1 << -1", 1, 13, "shift by -1", "shift by 0 .. 63 bits"),
    ("box.n = 10**30", 1, 13, "operator in '10 ** 30' is not part of the language", "use + - * // % & | ^ << >>"),
    ("box.n = 1 // 0", 1, 13, "division by zero", ""),
    ("box.n = LIMIT // (LIMIT - 3)", 1, 13, "division by zero", ""),
    ("box.n = 1 % 0", 1, 13, "division by zero", ""),
    ("while box.flag:\n    pass\nelse:\n    box.n = 1", 1, 5, "a while loop has no else", "put it after the loop"),
    ("for i in range(2):\n    pass\nelse:\n    pass", 1, 5, "a for loop has one name and no else", ""),
    ("for i in range(0, 3, 1):\n    box.n = i", 1, 14, "cannot loop over 'range(0, 3, 1)'", "use range(low, high) or each(Struct)"),
    ("for i in range(helper(1, True)):\n    pass", 1, 14, "the bounds of this loop are not known", "loop over a range of constants"),
    ("x = [1]", 1, 9, "'[1]' (List) is not part of the language", "state lives in struct fields; give the struct a count"),
    ("x = box[0]", 1, 9, "'box[0]' (Subscript) is not part of the language", "use at(Struct, number) for an element of a struct"),
    ("box[0] = 1", 1, 5, "cannot assign to 'box[0]'", "use at(Struct, number) for an element of a struct"),
    ("x = lambda: 1", 1, 9, "'lambda: 1' (Lambda) is not part of the language", "write a function with a name"),
    (
        "try:\n    pass\nexcept E:\n    pass",
        1,
        5,
        "'try:' (Try) is not part of the language",
        "model a fault with maybe() and an if; there are no exceptions",
    ),
    ("with box:\n    pass", 1, 5, "'with box:' (With) is not part of the language", "call lock and unlock yourself, as the kernel does"),
    ("x = f'{box}'", 1, 9, "'f'{box}'' (JoinedStr) is not part of the language", "texts have no place in a model; use an enumeration"),
    ("x = 'abc'", 1, 9, "'abc' (Constant) is not part of the language", "the language knows whole numbers, True, False and None"),
    ("if (y := box.n):\n    pass", 1, 9, "'(y := box.n)' (NamedExpr) is not part of the language", "assign in a statement of its own"),
    ("a, *b = 1, 2", 1, 8, "cannot assign to '*b'", "assign to a name or a struct field"),
    ("del box", 1, 5, "'del box' (Delete) is not part of the language", "assign None instead"),
    ("global x", 1, 5, "'global x' (Global) is not part of the language", "state lives in struct fields"),
    (
        "def g() -> None:\n    pass",
        1,
        5,
        "'def g() -> None:' (FunctionDef) is not part of the language",
        "define functions at module level",
    ),
    ("class G:\n    pass", 1, 5, "'class G:' (ClassDef) is not part of the language", "define structs at module level"),
    ("import os", 1, 5, "'import os' (Import) is not part of the language", "import at module level"),
    ("match box.n:\n    case 1:\n        pass", 1, 5, "'match box.n:' (Match) is not part of the language", "use if / elif"),
    ("raise E", 1, 5, "'raise E' (Raise) is not part of the language", "use check(property, False, sentence) or require(False)"),
    ("x = await box", 1, 9, "'await box' (Await) is not part of the language", "use wait_until(condition)"),
    ("assert box.flag", 1, 5, "assert names no property", "write check('sound_kernel', condition, 'sentence')"),
    ("a = b = 1", 1, 5, "chained assignment", "one assignment per line"),
    ("require(0 < box.n < 3)", 1, 13, "chained comparison", "join two comparisons with 'and'"),
    ("require(box.n in range(3))", 1, 13, "'box.n in range(3)' is not part of the language", "compare with == or a for loop"),
    ("box.n = box.n ** 2", 1, 13, "operator in 'box.n ** 2' is not part of the language", "use + - * // % & | ^ << >>"),
    ("box.n = box.n / 2", 1, 13, "operator in 'box.n / 2' is not part of the language", "use + - * // % & | ^ << >>"),
    ("box.n = box.n @ 2", 1, 13, "operator in 'box.n @ 2' is not part of the language", "use + - * // % & | ^ << >>"),
    ("box.n = LIMT", 1, 13, "unknown name 'LIMT'", "did you mean 'LIMIT'?"),
    ("heper(1, True)", 1, 5, "unknown function 'heper'", "did you mean 'helper'?"),
    ("box.flg = True", 1, 5, "Box has no field 'flg'", "did you mean 'flag'?"),
    ("box.n = box.nn", 1, 13, "Box has no field 'nn'", "did you mean 'n'?"),
    ("helper(1)", 1, 5, "helper takes 2 arguments, 1 given", ""),
    ("helper(1, True, 2)", 1, 5, "helper takes 2 arguments, 3 given", ""),
    ("helper(a=1, b=True)", 1, 5, "cannot call 'helper' this way", "call a function by name with positional arguments"),
    ("require()", 1, 5, "require takes 1 arguments, 0 given", ""),
    ("box.go()", 1, 5, "cannot call 'box.go' this way", "call a function by name with positional arguments"),
    ("box.n.x = 1", 1, 5, "'box.n' is not an element of a struct", "only struct elements have fields"),
    ("NULL.n = 1", 1, 5, "'NULL' is not an element of a struct", "only struct elements have fields"),
    ("x = None\nx.n = 1", 2, 5, "'x' is not an element of a struct", "only struct elements have fields"),
    ("box.next = other", 1, 5, "Box.next holds Box, not Other", ""),
    ("box.next = 1", 1, 5, "Box.next holds Box, not a number", ""),
    ("box.n = box.next", 1, 5, "Box.n holds a number, not Box", ""),
    ("require(box.next is other)", 1, 13, "compares a Box with a Other", ""),
    ("box.n = LIMIT\nLIMIT = 4", 1, 13, "'LIMIT' is read before it is assigned", FURTHER_UP),
    ("box.n = LIMIT + 1\nfor LIMIT in range(2):\n    pass", 1, 13, "'LIMIT' is read before it is assigned", FURTHER_UP),
    ("box.n = other.m\nother = box", 1, 13, "'other' is read before it is assigned", FURTHER_UP),
    ("while box.flag:\n    box.n = x\n    x = 1", 2, 17, "'x' is read before it is assigned", FURTHER_UP),
    ("if box.flag:\n    x = 1\nelse:\n    box.n = x", 4, 9, "'x' is read before it is assigned", "assign it on every path that leads here"),
    ("helper = 1\nbox.n = helper(1, True)", 2, 13, "'helper' is a local here, not a function", "give the local another name"),
    ("index = 1\nbox.n = index(box)", 2, 13, "'index' is a local here, not a function", "give the local another name"),
    ("Box = 1\npick(Box)", 2, 10, "'Box' is not a struct", "did you mean 'Box'?"),
    ("x = box and box.n", 1, 17, "the two sides of 'and' have different types", "compare: x is not None, n != 0"),
    ("x = box.n or box.next", 1, 18, "the two sides of 'or' have different types", "compare: x is not None, n != 0"),
    ("box.n = box + 1", 1, 13, "'box' is Box, not a number", "index(element) is the number of an element"),
    ("box.n = -box.next", 1, 14, "'box.next' is Box, not a number", "index(element) is the number of an element"),
    ("box.next += 1", 1, 5, "'box.next' is Box, not a number", "index(element) is the number of an element"),
    ("box += 1", 1, 5, "'box' is Box, not a number", "index(element) is the number of an element"),
    ("require(box == 1)", 1, 13, "compares Box with a number", "compare an element with an element or None"),
    ("require(0 != box.next)", 1, 13, "compares a number with Box", "compare an element with an element or None"),
    ("require(box.n is 1)", 1, 13, "'box.n is 1' asks whether two numbers are one object", "compare numbers with == or !="),
    ("x = nothing(box)", 1, 9, "nothing returns nothing", "give it a return type, or do not use its value"),
    ("return 1", 1, 5, "f returns a value but declares none", "write '-> bool' or '-> int' at its definition"),
    ("box.n", 1, 5, "'box.n' does nothing", "call a function or assign"),
    ("box.n == 1", 1, 5, "'box.n == 1' does nothing", "call a function or assign"),
    ("x = choose(box, box)", 1, 9, "choose needs two numbers", ""),
    ("check(1, box.flag)", 1, 5, "argument 1 of check must be a text in quotes", ""),
    ("check('nope', box.flag, 'x')", 1, 5, "unknown property 'nope'", "known: p, q, sound_kernel"),
    ("reached('nope')", 1, 5, "unknown property 'nope'", "known: p, q, sound_kernel"),
    ("repeated('nope')", 1, 5, "unknown property 'nope'", "known: p, q, sound_kernel"),
    ("require(event(box))", 1, 13, "argument 1 of event must be a text in quotes", ""),
    ("enter(nothing)", 1, 5, "'current' in a model without CPUs", "declare a struct Cpu with a field 'current'"),
    ("enter(box.n)", 1, 5, "enter needs the name of an entry point", ""),
    ("enter(zork)", 1, 5, "enter needs the name of an entry point", ""),
    ("wait_until(box.flag, 'doze')", 1, 5, "wait_until: 'doze'", "'sleep' or 'spin'"),
    ("take(box)", 1, 5, "take needs a Task", "declare 'class Task(TaskContext)'"),
    ("release(box)", 1, 5, "release needs a Task", "declare 'class Task(TaskContext)'"),
    ("current.n = 1", 1, 5, "'current' in a model without CPUs", "declare a struct Cpu with a field 'current'"),
    ("this_cpu.n = 1", 1, 5, "'this_cpu' in a model without CPUs", "declare a struct Cpu with a field 'current'"),
    ("x: int", 1, 5, "an annotated local needs a value", ""),
    ("box.n: int = 1", 1, 5, "an annotated local needs a value", ""),
    ("x: Foo = 1", 1, 8, "cannot use 'Foo' as a type", "bool, int, a struct, a struct | None, or an alias of Annotated[int, Range(...)]"),
    (
        "x: list[int] = 1",
        1,
        8,
        "cannot use 'list[int]' as a type",
        "bool, int, a struct, a struct | None, or an alias of Annotated[int, Range(...)]",
    ),
    ("x = box if box.flag else 1", 1, 9, "the two sides of the conditional have different types", ""),
    ("box = 1", 1, 5, "'box' was Box? before, here it becomes 1..1", "use another name"),
    (
        "x = [i for i in range(3)]",
        1,
        9,
        "'[i for i in range(3)]' (ListComp) is not part of the language",
        "use a for loop over each(...) or range(...)",
    ),
    ("x = {}", 1, 9, "'{}' (Dict) is not part of the language", "state lives in struct fields; give the struct a count"),
    ("x = (1, 2)", 1, 9, "'(1, 2)' (Tuple) is not part of the language", ""),
    ("(a, (b, c)) = 1, 2", 1, 9, "cannot assign to '(b, c)'", "assign to a name or a struct field"),
    ("x = box[0:1]", 1, 9, "'box[0:1]' (Subscript) is not part of the language", "use at(Struct, number) for an element of a struct"),
    ("helper(*box)", 1, 5, "helper takes 2 arguments, 1 given", ""),
    ("1 if box.flag else 2", 1, 5, "'1 if box.flag else 2' does nothing", "call a function or assign"),
    ("box.n = index(box.n)", 1, 13, "index needs an element of a struct", ""),
    ("async for x in each(Box):\n    pass", 1, 5, "'async for x in each(Box):' (AsyncFor) is not part of the language", ""),
    ("for a, b in each(Box):\n    pass", 1, 5, "a for loop has one name and no else", ""),
    ("for box.n in range(3):\n    pass", 1, 5, "a for loop has one name and no else", ""),
    ("box.n = size('zork')", 1, 13, "unknown size 'zork'", "known: n"),
    (
        "require(box.n == 'a')", 1, 22, "'a' (Constant) is not part of the language",
        "the language knows whole numbers, True, False and None",
    ),
    ("box.n = (1 << 70) >> 69", 1, 14, "shift by 70", "shift by 0 .. 63 bits"),
    ("return 1, 2", 1, 5, "f returns a value but declares none", "write '-> bool' or '-> int' at its definition"),
    ("nonlocal x", 1, 5, "'nonlocal x' (Nonlocal) is not part of the language", "state lives in struct fields"),
    ("check('p', box.flag, box.n)", 1, 5, "argument 3 of check must be a text in quotes", ""),
    ("require(condition=True)", 1, 5, "cannot call 'require' this way", "call a function by name with positional arguments"),
    ("helper(1, True).x = 1", 1, 5, "'helper(1, True)' is not an element of a struct", "only struct elements have fields"),
    ("require(helper)", 1, 13, "unknown name 'helper'", "did you mean 'other'?"),
]

# texts at module level: text, line and column in it, what, hint
MODULES = [
    (
        "def g() -> None:\n    h()\ndef h() -> None:\n    g()\n@rule()\ndef f() -> None:\n    g()\n",
        1,
        1,
        "recursion: f -> g -> h -> g",
        "use a loop",
    ),
    ("@rule()\ndef f(a):\n    pass\n", 2, 7, "parameter 'a' has no type", "annotate it: bool, int, a struct ..."),
    ("@rule()\ndef f(a: bool = True) -> None:\n    pass\n", 2, 1, "f: only plain parameters without defaults", "pass every argument"),
    ("@rule()\ndef f(*, a: bool) -> None:\n    pass\n", 2, 1, "f: only plain parameters without defaults", "pass every argument"),
    ("@rule()\ndef f(*a: bool) -> None:\n    pass\n", 2, 1, "f: only plain parameters without defaults", "pass every argument"),
    (
        "async def f() -> None:\n    pass\n",
        1,
        1,
        "'async def f() -> None:' at module level is not part of the language",
        "a model file holds imports, constants, structs and functions",
    ),
    (
        "@rule()\ndef f(a: int) -> None:\n    other.m = a\n",
        2,
        1,
        "the parameters of rule f have too many values",
        "Annotated[int, Range(low, high)]",
    ),
    (
        "@rule()\ndef f(a: str) -> None:\n    pass\n",
        2,
        10,
        "cannot use 'str' as a type",
        "bool, int, a struct, a struct | None, or an alias of Annotated[int, Range(...)]",
    ),
    (
        "@rule()\ndef f(a: Annotated) -> None:\n    pass\n",
        2,
        10,
        "cannot use 'Annotated' as a type",
        "bool, int, a struct, a struct | None, or an alias of Annotated[int, Range(...)]",
    ),
    (
        "@rule()\ndef f(a: Annotated[int]) -> None:\n    pass\n",
        2,
        10,
        "cannot use 'Annotated[int]' as a type",
        "bool, int, a struct, a struct | None, or an alias of Annotated[int, Range(...)]",
    ),
    ("@rule()\ndef f(a: Annotated[int, 3]) -> None:\n    pass\n", 2, 25, "cannot use '3' as a domain", "Range(low, high) or Bits(mask)"),
    ("@rule()\ndef f(a: 'not python (') -> None:\n    pass\n", 2, 10, "cannot use 'not python (' as a type", ""),
    (
        "@rule()\ndef f(a: 3) -> None:\n    pass\n",
        2,
        10,
        "cannot use '3' as a type",
        "bool, int, a struct, a struct | None, or an alias of Annotated[int, Range(...)]",
    ),
    (
        "@rule()\ndef f(a: Annotated[int, Range(3, 0)]) -> None:\n    require(a)\n",
        2,
        25,
        "cannot use 'Range(3, 0)' as a domain",
        "Range(low, high) or Bits(mask)",
    ),
    (
        "@rule()\ndef f(a: Annotated[int, Range(zork, 0)]) -> None:\n    require(a)\n",
        2,
        25,
        "cannot use 'Range(zork, 0)' as a domain",
        "Range(low, high) or Bits(mask)",
    ),
    (
        "@rule()\ndef f(a: Annotated[int, Range(0, 1 << 40)]) -> None:\n    other.m = a\n",
        2,
        1,
        "the parameters of rule f have too many values",
        "Annotated[int, Range(low, high)]",
    ),
    (
        "@rule()\ndef f(a: Annotated[int, Bits(-1)]) -> None:\n    other.m = a\n",
        2,
        25,
        "cannot use 'Bits(-1)' as a domain",
        "Range(low, high) or Bits(mask)",
    ),
    ("@rule(zork)\ndef f() -> None:\n    pass\n", 2, 1, "@rule of f takes texts in quotes, and event='...' or follows='...', obliged='...'", ""),  # noqa: E501
    ("@rule(event=zork)\ndef f() -> None:\n    pass\n", 2, 1, "@rule of f takes texts in quotes, and event='...' or follows='...', obliged='...'", ""),  # noqa: E501
    (
        "@zork\ndef f() -> None:\n    pass\n",
        2,
        1,
        "unknown decorator '@zork' of f",
        "known: context, entry, exit_to_user, forget, initial, instruction, never, pending, rule, stuck, user",
    ),
    ("@rules()\ndef f() -> None:\n    pass\n", 2, 1, "unknown decorator '@rules' of f", "did you mean 'rule'?"),
    (
        "@a.b.c(1)\ndef f() -> None:\n    pass\n",
        2,
        1,
        "unknown decorator '@a.b.c' of f",
        "known: context, entry, exit_to_user, forget, initial, instruction, never, pending, rule, stuck, user",
    ),
    ("@never()\ndef f() -> bool:\n    return True\n", 2, 1, "@never of f takes 2 texts, 0 given", ""),
    ("@never\ndef f() -> bool:\n    return True\n", 2, 1, "@never of f takes 2 texts, 0 given", ""),
    ("@never('p')\ndef f() -> bool:\n    return True\n", 2, 1, "@never of f takes 2 texts, 1 given", ""),
    ("@never('zork', 'x')\ndef f() -> bool:\n    return True\n", 2, 1, "unknown property 'zork'", "known: p, q, sound_kernel"),
    ("@never('p', 'x')\ndef f() -> None:\n    pass\n", 2, 1, "@never of f answers yes or no", "write '-> bool' at its definition"),
    (
        "@never('p', 'x')\ndef f(a: int) -> bool:\n    return a == 1\n",
        2,
        1,
        "the parameters of never f have too many values",
        "Annotated[int, Range(low, high)]",
    ),
    ("@pending('p')\ndef f() -> bool:\n    return other.m == 1\n", 2, 1, "@pending of f needs the element that waits as its parameter", ""),
    ("@entry('zork')\ndef f() -> None:\n    pass\n", 2, 1, "@entry of f: there is no 'zork'", "one of syscall, exception, fork"),
    ("@entry\ndef f() -> None:\n    pass\n", 2, 1, "@entry of f takes 1 texts, 0 given", ""),
    ("@context('zork')\ndef f() -> None:\n    pass\n", 2, 1, "@context of f: there is no 'zork'", "one of schedule, softirq, hardirq, ipi"),
    (
        "@context('softirq')\ndef f() -> None:\n    other.m = 1\n",
        2,
        1,
        "@context of f in a model without contexts",
        "declare 'class Cpu(CpuContext)'",
    ),
    ("@user()\ndef f() -> None:\n    other.m = 1\n", 2, 1, "@user of f in a model without contexts", "declare 'class Cpu(CpuContext)'"),
    ("@initial\ndef g(b: Box) -> None:\n    b.n = 1\n", 2, 1, "@initial of g takes no parameters", "use pick(Struct) or choose(low, high)"),
    (
        "@struct\nclass A:\n    n: bool = False\n",
        2,
        1,
        "class A is neither a struct nor an enumeration",
        "write @struct(count=...) above it, or derive it from IntEnum",
    ),
    ("@struct(count=zork)\nclass A:\n    n: bool = False\n", 2, 1, "struct A needs a count of at least 1", ""),
    (
        "@struct(count=0)\nclass A:\n    n: bool = False\n@rule()\ndef f(a: A) -> None:\n    a.n = not a.n\n",
        2,
        1,
        "struct A needs a count of at least 1",
        "",
    ),
    (
        "@struct(count=-1)\nclass A:\n    n: bool = False\n@rule()\ndef f(a: A) -> None:\n    a.n = not a.n\n",
        2,
        1,
        "struct A needs a count of at least 1",
        "",
    ),
    (
        "@struct(count=1)\nclass A:\n    n: int = 0\n",
        3,
        5,
        "field A.n needs a finite domain that holds its default",
        "bool, a struct, a struct | None, Annotated[int, Range(low, high)] or Annotated[int, Bits(mask)]",
    ),
    (
        "@struct(count=1)\nclass A:\n    n: bool = 7\n",
        3,
        5,
        "field A.n needs a finite domain that holds its default",
        "bool, a struct, a struct | None, Annotated[int, Range(low, high)] or Annotated[int, Bits(mask)]",
    ),
    (
        "@struct(count=1)\nclass A:\n    n: bool = zork\n",
        3,
        5,
        "field A.n needs a finite domain that holds its default",
        "bool, a struct, a struct | None, Annotated[int, Range(low, high)] or Annotated[int, Bits(mask)]",
    ),
    ("@struct(count=1)\nclass A:\n    a.b: bool = False\n", 3, 5, "a field of A is a name with a type", ""),
    ("boxes = singleton(3)\n", 1, 9, "singleton needs the name of a struct", "known: Box, Other"),
    ("boxes = singleton()\n", 1, 9, "singleton needs the name of a struct", "known: Box, Other"),
    (
        "boxes = singleton(Zork)\n@rule()\ndef f() -> None:\n    boxes.n = 1\n",
        1,
        9,
        "singleton needs the name of a struct",
        "known: Box, Other",
    ),
    (
        "class E(IntEnum):\n    A = zork()\n@rule()\ndef f(e: E, box: Box) -> None:\n    box.n = e\n",
        -18,
        1,
        "enumeration E needs members that are numbers",
        "",
    ),
    (
        "class E(IntEnum):\n    pass\n@rule()\ndef f(e: E, box: Box) -> None:\n    box.n = e\n",
        -18,
        1,
        "enumeration E needs members that are numbers",
        "",
    ),
    (
        "class E:\n    pass\n",
        1,
        1,
        "class E is neither a struct nor an enumeration",
        "write @struct(count=...) above it, or derive it from IntEnum",
    ),
    (
        "for i in range(3):\n    pass\n",
        1,
        1,
        "'for i in range(3):' at module level is not part of the language",
        "a model file holds imports, constants, structs and functions",
    ),
    (
        "LIMIT += 1\n",
        1,
        1,
        "'LIMIT += 1' at module level is not part of the language",
        "a model file holds imports, constants, structs and functions",
    ),
    (
        "A, B = 1, 2\n",
        1,
        1,
        "'A, B = (1, 2)' at module level is not part of the language",
        "a model file holds imports, constants, structs and functions",
    ),
    (
        "del LIMIT\n",
        1,
        1,
        "'del LIMIT' at module level is not part of the language",
        "a model file holds imports, constants, structs and functions",
    ),
    ("A = B\nB = A\n@rule()\ndef f(box: Box) -> None:\n    box.n = A\n", 1, 5, "'A' is defined by itself", ""),
    ("A = 1 // 0\n@rule()\ndef f(box: Box) -> None:\n    box.n = A\n", 1, 5, "division by zero", ""),
    ("A = 1 << -1\n@rule()\ndef f(box: Box) -> None:\n    box.n = A\n", 1, 5, "shift by -1", "shift by 0 .. 63 bits"),
    ("X = X\n@rule()\ndef f(a: X) -> None:\n    pass\n", 1, 5, "'X' is defined by itself", ""),
    ("X = Y\nY = X\n@rule()\ndef f(a: X) -> None:\n    pass\n", 1, 5, "'X' is defined by itself", ""),
    ("def g() -> Box:\n    return 1\n@rule()\ndef f() -> None:\n    g().n = 1\n", 2, 5, "g declares Box but returns a number", ""),
    (
        "def g(box: Box) -> int:\n    return box\n@rule()\ndef f(box: Box) -> None:\n    box.n = g(box)\n",
        2,
        5,
        "g declares a number but returns Box",
        "",
    ),
    ("def g() -> Box:\n    return other\n@rule()\ndef f() -> None:\n    g().n = 1\n", 2, 5, "g declares Box but returns Other", ""),
    (
        "def g() -> zork:\n    return 1\n@rule()\ndef f(box: Box) -> None:\n    box.n = g()\n",
        1,
        12,
        "cannot use 'zork' as a type",
        "bool, int, a struct, a struct | None, or an alias of Annotated[int, Range(...)]",
    ),
    (
        "def g() -> int:\n    pass\n@rule()\ndef f(box: Box) -> None:\n    box.n = g()\n",
        5,
        13,
        "g returns nothing",
        "give it a return type, or do not use its value",
    ),
    (
        "@rule()\ndef f(a: Annotated[int, Range(0, 3000)], b: Annotated[int, Range(0, 3000)]) -> None:\n    other.m = a\n",
        2,
        1,
        "the parameters of rule f have too many values",
        "Annotated[int, Range(low, high)]",
    ),
    ("@rule(event=3)\ndef f() -> None:\n    other.m = 1\n", 2, 1, "@rule of f takes texts in quotes, and event='...' or follows='...', obliged='...'", ""),  # noqa: E501
    ("@rule(**x)\ndef f() -> None:\n    other.m = 1\n", 2, 1, "@rule of f takes texts in quotes, and event='...' or follows='...', obliged='...'", ""),  # noqa: E501
    ("@never('p', 'x', 'y')\ndef f() -> bool:\n    return other.m == 1\n", 2, 1, "@never of f takes 2 texts, 3 given", ""),
    ("@never(p, 'x')\ndef f() -> bool:\n    return other.m == 1\n", 2, 1, "@never of f takes texts in quotes, and event='...' or follows='...'", ""),  # noqa: E501
]


def error_of(tmp_path, text: str) -> PasidlabError:
    with pytest.raises(PasidlabError) as caught:
        build(tmp_path, text)
    return caught.value


def expected(tmp_path, line: int, column: int, what: str, hint: str) -> str:
    return f"{tmp_path / 'model.py'}:{line}:{column}: {what}" + (f"\n  hint: {hint}" if hint else "")


@pytest.mark.parametrize(("text", "line", "column", "what", "hint"), STATEMENTS)
def test_statements(tmp_path, text, line, column, what, hint):
    body = BODY + "".join(f"    {part}\n" for part in text.splitlines())
    assert str(error_of(tmp_path, HEAD + body)) == expected(tmp_path, (HEAD + BODY).count("\n") + line, column, what, hint)


@pytest.mark.parametrize(("text", "line", "column", "what", "hint"), MODULES)
def test_modules(tmp_path, text, line, column, what, hint):
    assert str(error_of(tmp_path, HEAD + text)) == expected(tmp_path, HEAD.count("\n") + line, column, what, hint)


@pytest.mark.parametrize(
    "text",
    [
        "box.n = " + " + ".join(["box.n"] * 3000),
        "require(" + "not " * 3000 + "box.flag)",
        "box.n = " + "(" * 300 + "1" + ")" * 300,
        "box.n = " + "1" * 5000,
        "box.n = " + "-" * 5000 + "1",
        "box.n = " + "-" * 400 + "1",
    ],
    ids=["sum", "negation", "parentheses", "digits", "minus", "fewer"],
)
def test_texts_too_deep_or_too_long(tmp_path, text):
    assert "model.py" in str(error_of(tmp_path, HEAD + BODY + f"    {text}\n"))


@pytest.mark.parametrize("depth", [400, 5_000, 100_000])
@pytest.mark.parametrize("text", ["A = {}1", "def g(a: {}x) -> None:", "def g() -> {}x:", "@{}x\ndef g() -> None:", "{}x"])
def test_declarations_too_deep(tmp_path, text, depth):
    message = str(error_of(tmp_path, HEAD + text.format("-" * depth) + "\n    pass" * text.endswith(":")))
    assert "model.py" in message and ("nested more than 200 deep" in message or "nested too deeply to be read" in message)


@pytest.mark.parametrize("depth", [400, 5_000, 100_000])
def test_a_type_in_quotes_too_deep(tmp_path, depth):
    message = str(error_of(tmp_path, HEAD + BODY + "    g(1)\n" + f"def g(a: '{'-' * depth}x') -> None:\n    pass\n"))
    assert "cannot use '---" in message


def test_numbers_that_grow_without_end(tmp_path):
    """Of 40 squares in a row the last would have a million million bits."""
    squares = "A0 = 3\n" + "".join(f"A{n + 1} = A{n} * A{n}\n" for n in range(40))
    message = str(error_of(tmp_path, HEAD + squares + BODY + "    box.flag = A40 == 1\n"))
    assert message == expected(tmp_path, HEAD.count("\n") + 7, 6, "this number needs more than 64 bits", WIDTH)
    build(tmp_path, HEAD + f"W = ~0xFFFFFFFFFFFFFFFF + {(1 << 64) - 1}\n" + BODY + "    box.flag = W == -1\n")


def test_calls_that_double(tmp_path):
    """Of 30 functions each calls the next one twice."""
    calls = "def g30(box: Box) -> None:\n    box.n = 1\n"
    calls += "".join(f"def g{n}(box: Box) -> None:\n    g{n + 1}(box)\n    g{n + 1}(box)\n" for n in range(30))
    message = str(error_of(tmp_path, HEAD + calls + BODY + "    g0(box)\n"))
    assert "model.py:" in message and "g17 has 24,575 instructions" in message and "20,000 are the most\n  hint: call" in message
    build(tmp_path, HEAD + calls + BODY + "    g24(box)\n")


def test_calls_too_deep(tmp_path):
    """In either order: what is called is compiled before, or while its caller is."""
    calls = [f"def g{n}(box: Box) -> None:\n    g{n + 1}(box)\n" for n in range(1000)] + ["def g1000(box: Box) -> None:\n    box.n = 1\n"]
    rule = BODY + "    g0(box)\n"
    for text in ("".join(calls) + rule, "".join(reversed(calls)) + rule, rule + "".join(reversed(calls))):
        assert "calls are nested more than 100 deep: f -> g0 -> g1 -> ... -> g99" in str(error_of(tmp_path, HEAD + text))


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("x = 1\0", "null bytes"),
        ("def f(:", "invalid syntax"),
        ("(a, b) += 1", "illegal expression for augmented assignment"),
        ("if True:\n\tx = 1\n        y = 1", "inconsistent use of tabs and spaces"),
    ],
)
def test_not_python(tmp_path, text, what):
    message = str(error_of(tmp_path, HEAD + text + "\n"))
    assert "not valid Python: " in message and what in message and "model.py:" in message


def test_masks_belong_to_kernel_code(tmp_path):
    message = str(error_of(tmp_path, HEAD + BODY + "    local_irq_disable()\n"))
    assert message.endswith("only kernel code changes masks\n  hint: move it into an entry point or a context")


def test_a_field_wider_than_a_word(tmp_path):
    wide = "@struct(count=65)\nclass W:\n    v: bool = False\n@rule()\ndef g(w: W) -> None:\n    w.v = not w.v\n"
    from pasidlab.lang.back.layout import Layout

    with pytest.raises(PasidlabError, match="needs 65 bits, more than one word holds"):
        Layout(build(tmp_path, HEAD + wide).fields)


def test_no_file(tmp_path):
    from pasidlab.lang.source import read_text

    with pytest.raises(PasidlabError, match="no such file"):
        read_text(tmp_path / "nothing.py")
    (tmp_path / "bytes.py").write_bytes(b"x = '\xff'")
    with pytest.raises(PasidlabError, match="is not a text file"):
        read_text(tmp_path / "bytes.py")
