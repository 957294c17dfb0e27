"""The IR's text form: as printed, and back again."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_programs import models
from small_models import PROPERTIES, build

from pasidlab import designs
from pasidlab.errors import PasidlabError, Position
from pasidlab.lang import source
from pasidlab.lang.functions import ARRIVALS, Functions
from pasidlab.lang.ir import OPS, Function, Instr, Site
from pasidlab.lang.names import Names
from pasidlab.lang.scope import Bounds
from pasidlab.lang.text import domain_text, function_text, model_text, parse_function, parse_functions
from pasidlab.lang.types import Int, Mask, Ref
from pasidlab.model.scope import EVENTS, Scope
from pasidlab.model.sources import MODEL_FILES

SOURCE = '''\
from typing import Annotated
@struct(count=2)
class Box:
    n: Annotated[int, Range(0, 3)] = 0
    next: Box = NULL
@initial
def begin() -> None:
    """."""
@instruction
def grow(box: Box, by: int) -> bool:
    check("p", box.n != 3, 'it is "full"')
    while box.n < 3:
        box.n += by
    return box.next is None
@rule()
def f(box: Box) -> None:
    if grow(box, 1):
        box.next = box
@never("q", "two is company")
def two(box: Box) -> bool:
    return box.n == 2
'''

GROW = """\
instruction grow (box by) -> int(0 1)  ; "model.py" 10 1
  local box ref(Box 2)
  local by int(-9223372036854775808 9223372036854775807)
  local %1 int(0 3)
  local %2 int(0 1)
  local %6 int(0 3)
  local %7 int(0 1)
  local %8 int(0 3)
  local %9 int(-9223372036854775808 9223372036854775807)
  local %10 ref(Box 2)
  local %11 int(0 1)
  load %1 Box.n box  ; "model.py" 11 16
  ne %2 %1 3  ; "model.py" 11 16
  check p %2 ; "it is \\"full\\""  ; "model.py" 11 5
  label while3  ; "model.py" 12 5
  load %6 Box.n box  ; "model.py" 12 11
  lt %7 %6 3  ; "model.py" 12 11
  branch %7 do4 done5  ; "model.py" 12 11
  label do4  ; "model.py" 12 5
  load %8 Box.n box  ; "model.py" 13 9
  add %9 %8 by  ; "model.py" 13 9
  store Box.n box %9  ; "model.py" 13 9
  jump while3  ; "model.py" 12 5
  label done5  ; "model.py" 12 5
  load %10 Box.next box  ; "model.py" 14 12
  eq %11 %10 0  ; "model.py" 14 12
  return %11  ; "model.py" 14 5
  return 0  ; "model.py" 14 0
end
"""


def functions_of(text: str) -> Functions:
    space = source.Namespace()
    source.collect_text(text, "model.py", space)
    return Functions(Names(space, Bounds()))


def test_a_function():
    function = functions_of(SOURCE)("grow")
    assert function_text(function) == GROW
    assert parse_function(GROW) == function


def test_a_model(tmp_path):
    text = model_text(build(tmp_path, SOURCE))
    assert text.splitlines()[:6] == [
        "model model",
        "field Box.n int(0 3) x 2 = 0",
        "field Box.next ref(Box 2) x 2 = 0",
        *(f'property {p.name} "{p.sentence}"' for p in PROPERTIES),
    ]
    assert "action f (box:ref(Box 2))" in text
    assert '  check p %2.2 ; "it is \\"full\\""  ; grow:11 < f:17' in text
    assert text.endswith(
        'never q "two is company" action two (box:ref(Box 2))\n'
        "  load %1.1 Box.n box  ; two:21\n  eq %2.1 %1.1 2  ; two:21\n  return %2.1  ; context:0\nend\n"
    )


def test_every_function_of_the_kernel_and_the_designs():
    scope = Scope(cpus=2, tasks=2, mms=2, pasids=2, events=frozenset(EVENTS))
    for design in designs.BUILT_IN.values():
        space = source.collect([ARRIVALS, *MODEL_FILES, design.path])
        functions = Functions(Names(space, scope.compiler_bounds()))
        compiled = [functions(name) for name in space.functions]
        assert len(compiled) > 100
        assert list(parse_functions("\n".join(map(function_text, compiled)))) == compiled


@settings(max_examples=40, deadline=None)
@given(models())
def test_random_functions(text):
    functions = functions_of(text.replace("event('e')", "top.box.flag"))
    for name in functions.names.namespace.functions:
        try:
            function = functions(name)
        except PasidlabError:
            continue
        assert parse_function(function_text(function)) == function


WORDS = st.one_of(st.text(max_size=8), st.sampled_from(["%1", "a.b", "->", "unknown", "(", ";", '"', "-1", "end", "local"]))
DOMAINS = st.one_of(
    st.none(),
    st.builds(Int, st.integers(-9, 0), st.integers(0, 9)),
    st.builds(Mask, st.integers(0, 1 << 40)),
    st.builds(Ref, WORDS, st.integers(0, 9)),
)
PLACES = st.builds(Position, WORDS, st.integers(0, 999), st.integers(0, 99))
NUMBERS = st.integers(-(1 << 63), (1 << 63) - 1)


@st.composite
def instructions(draw) -> Instr:
    op = draw(st.sampled_from(sorted(OPS)))
    letters = OPS[op].split()
    if letters and letters[-1].startswith("*"):
        letters[-1:] = [letters[-1][1:]] * draw(st.integers(0, 3))
    args = tuple(draw(st.one_of(WORDS, NUMBERS)) if letter in "ai" else draw(WORDS) for letter in letters)
    return Instr(op, args, Site(draw(WORDS), draw(PLACES)), draw(st.text(max_size=12)))


@settings(max_examples=300, deadline=None)
@given(
    st.builds(
        Function, WORDS, st.lists(WORDS, max_size=3).map(tuple), st.dictionaries(WORDS, DOMAINS, max_size=3), DOMAINS,
        st.lists(instructions(), max_size=6).map(tuple), PLACES, st.booleans(),
    )
)  # fmt: skip
def test_any_function(function):
    assert parse_function(function_text(function)) == function


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("instruction grow", "procedure grow", "ir:1: a function begins with: function name (parameters) -> domain ; file line column"),
        ("-> int(0 1)", "int(0 1)", "ir:1: a function begins with: function name (parameters) -> domain ; file line column"),
        ("-> int(0 1)", "-> real(0 1)", "ir:1: 'real ( 0 1 )' is not a domain"),
        ("local %1 int(0 3)", "local %1 int(0 x)", "ir:4: 'x' is not a number"),
        ("local %1 int(0 3)", "local", "ir:4: a local has a name and a domain"),
        ("lt %7 %6 3", "gt %7 %6 3", "ir:17: unknown operation 'gt'"),
        ("lt %7 %6 3", "lt %7 %6", "ir:17: 'lt' takes: d a a"),
        ('jump while3  ; "model.py" 12 5', "jump while3", "ir:23: an instruction ends with ; file line column"),
        ('jump while3  ; "model.py" 12 5', 'jump while3  ; "model.py" 12', "ir:23: a place is: file line column"),
        ('jump while3  ; "model.py" 12 5', 'jump while3  ; "model.py 12 5', "ir:23: a text in quotes does not end"),
        ("end\n", "", "ir:1: a function without its 'end'"),
        (GROW, "", "ir:1: 0 functions where one is wanted"),
        (GROW, GROW + GROW, "ir:1: 2 functions where one is wanted"),
    ],
)
def test_what_is_no_function(old, new, message):
    with pytest.raises(PasidlabError) as caught:
        parse_function(GROW.replace(old, new, 1), "ir")
    assert str(caught.value) == message


def test_domains():
    assert [domain_text(d) for d in (Int(0, 1), Mask(0x80000003), Ref("Task", 2), None)] == [
        "int(0 1)", "mask(0x80000003)", "ref(Task 2)", "unknown",
    ]  # fmt: skip
