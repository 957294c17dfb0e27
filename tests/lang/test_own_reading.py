"""What a file says of itself as a model of one's own, and how mistakes in that are told: file, line, column, what to do."""

from __future__ import annotations

import pytest

from pasidlab import check, designs
from pasidlab.errors import PasidlabError

MODEL = """\
from enum import IntEnum
from pasidlab.declare import NULL, event, happens, initial, model, never, reached, require, rule, size, struct

model(sizes={"cpus": 2}, events={"tick": "time goes on"}, mistakes={"rush": "nobody looks at the light"})


class Light(IntEnum):
    RED = 0
    GREEN = 1


@struct(count=size("cpus"))
class Cpu:
    light: Light = 0
    moves: bool = False


@initial
def begin() -> None:
    pass


@rule(event="tick")
def turn(cpu: Cpu) -> None:
    cpu.light = 1 - cpu.light
    cpu.moves = False


@rule()
def go(cpu: Cpu) -> None:
    require(cpu.light == Light.GREEN or event("rush"))
    reached("safe")
    cpu.moves = True


@never("safe", "it moves at a red light")
def moves_at_red(cpu: Cpu) -> bool:
    return cpu.moves and cpu.light == Light.RED
"""


def opened(folder, text: str):
    path = folder / "light.py"
    path.write_text(text)
    return designs.Opening(str(path)).design()


def test_what_a_model_says_of_itself(tmp_path):
    design = opened(tmp_path, MODEL)
    assert design.own is not None
    assert (design.own.sizes, list(design.own.events), list(design.own.mistakes)) == ({"cpus": 2}, ["tick"], ["rush"])
    assert design.property_names == ("safe", "sound_kernel")
    assert design.properties[0].sentence == "it never happens that it moves at a red light"
    assert str(design.scope()) == "cpus=2; tick"
    assert str(design.scope(events="+rush", cpus=1)) == "cpus=1; rush,tick"
    assert str(design.scope(events="tick:2")) == "cpus=2; tick:2"


def test_a_file_that_says_nothing_is_a_design(tmp_path):
    assert opened(tmp_path, "def try_fixup_enqcmd_gp() -> bool:\n    return False\n").own is None


@pytest.mark.parametrize("name", ["", "  ", "two\\nlines", "\\x1b[31m"])
def test_names_of_properties_can_be_printed(tmp_path, name):
    with pytest.raises(PasidlabError, match="the name of a property is one line that can be printed"):
        opened(tmp_path, MODEL.replace('"safe"', f'"{name}"'))


def test_verdicts_and_names_of_values(tmp_path):
    design = opened(tmp_path, MODEL)
    assert (check(design).verdict, check(design).states) == ("holds", 9)
    found = check(design, design.scope(events="+rush", cpus=1)).counterexample("safe")
    assert [(step.words, step.cpu) for step in found.steps] == [("go(CPU0)", 0)]
    walked = check(design, design.scope(events="tick,rush", cpus=1)).counterexample("safe")
    assert dict(walked.final) == {"CPU0.moves": "1"} and dict(walked.seen)["CPU0.light"] == "RED"
    assert check(design, design.scope(events="-tick")).verdict == "inconclusive", "nothing ever goes"


def test_an_event_that_is_counted(tmp_path):
    design = opened(tmp_path, MODEL)
    once, twice = (check(design, design.scope(events=f"tick:{n}", cpus=1)) for n in (1, 2))
    assert (once.states, twice.states) == (3, 4)


def test_each_mistake_is_evidence(tmp_path):
    from pasidlab.checking.evidence import declared_mistakes, with_evidence

    design = opened(tmp_path, MODEL)
    result = with_evidence(design, check(design), declared_mistakes(design), KeyError, jobs=1)
    assert [(e.property, e.mistake, e.steps) for e in result.evidence] == [
        ("safe", "nobody looks at the light", 1), ("sound_kernel", "", 0),
    ]  # fmt: skip
    assert result.verdict == "holds"


WRONG = {
    'model(sizes={"cpus": 2},': ("model(2, sizes={'cpus': 2},", "4:7", "model() takes sizes=..., events=..., mistakes=... and copies=..."),
    "mistakes={": ("bugs={", "4:59", "model() has no 'bugs'"),
    '"cpus": 2}, e': ('"cpus": True}, e', "4:22", "'cpus' needs a number"),
    '"cpus": 2}': ('"cpus": 2, "tasks": 3}', "4:25", "nothing asks for 'tasks'"),
    '"cpus": 2}, ev': ('"CPUs": 2}, ev', "4:14", "a name is small letters, digits and _ in quotes, and not 'all'"),
    'sizes={"cpus": 2}': ("sizes=dict(cpus=2)", "4:13", "write names, and for each a number: {'name': ...}"),
    '"tick": "time goes on"': ('"tick": ""', "4:42", "'tick' needs a text that says what it means"),
    '"rush": ': ('"tick": ', "4:69", "'tick' is an event already"),
    '    reached("safe")\n': ("", "35:2", "nothing puts 'safe' to the test"),
    "from enum import IntEnum": ("from os import path", "1:1", "a model is one file: nothing can be imported from os"),
    "import NULL,": ("import NIL,", "2:30", "the language has no 'NIL'"),
    "from enum import IntEnum\n": (
        "from pasidlab.kernel import Cpu\n",
        "1:1",
        "a model of one's own has no kernel around it to import from",
    ),
    "\n\nclass Light": ("\nmodel()\n\nclass Light", "6:1", "a file is one model: model(...) stands in it once"),
    'event="tick"': ('event="tock"', "4:34", "nothing asks for 'tick'"),
    'event("rush")': ('event("rash") or event("rush")', "31:41", "unknown event 'rash'"),
    'size("cpus"))': ('size("cpu") + size("cpus"))', "12:15", "unknown size 'cpu'"),
    "1 - cpu.light": ("1 - cpu.lite", "25:21", None),
    "def begin() -> None:\n    pass": ("def begin(:\n    pass", "19:11", None),
}


@pytest.mark.parametrize("right", WRONG, ids=lambda text: text.strip()[:24])
def test_a_mistake_in_a_model_has_a_place(tmp_path, right):
    wrong, place, what = WRONG[right]
    assert MODEL.count(right) == 1
    with pytest.raises(PasidlabError) as caught:
        check(opened(tmp_path, MODEL.replace(right, wrong)), jobs=1)
    position = caught.value.position
    assert position and f"{position.line}:{position.column}" == place and position.file.endswith("light.py")
    assert what is None or caught.value.what == what


@pytest.mark.parametrize(
    ("events", "what"),
    [
        ("+tock", "unknown event 'tock'"),
        ("rush:1", "'rush' cannot be counted: a mistake is made or not"),
        ("tick:999", "tick:999 is more than 255"),
        ("", "--events names no event"),
    ],
)
def test_events_that_there_are_not(tmp_path, events, what):
    with pytest.raises(PasidlabError) as caught:
        opened(tmp_path, MODEL).scope(events=events)
    assert caught.value.what == what


def test_sizes_that_there_are_not(tmp_path):
    design = opened(tmp_path, MODEL)
    with pytest.raises(PasidlabError, match="unknown size 'tasks'"):
        design.scope(tasks=2)
    with pytest.raises(PasidlabError, match=r"cpus=-1 is outside 0\.\.1000000"):
        design.scope(cpus=-1)
    with pytest.raises(PasidlabError, match="needs a count of at least 1"):
        check(design, design.scope(cpus=0))
    with pytest.raises(PasidlabError, match="that is no scope of light"):
        check(design, designs.early.scope(cpus=1))


CONTEXTS = """\
from pasidlab.declare import *
model(sizes={"cpus": 1})
@struct(count=size("cpus"))
class Cpu(CpuContext):
    current: Task = NULL
@struct(count=1)
class Task(TaskContext):
    done: bool = False
@initial
def begin() -> None:
    at(Cpu, 0).current = at(Task, 0)
    at(Task, 0).on_cpu = True
def work_is_waiting() -> bool:
    return False
@user()
def call() -> None:
    enter(work)
@entry("syscall")
def work() -> None:
    reached("once")
    current.done = True
@exit_to_user
def leave() -> None:
    local_irq_disable()
@never("once", "it is done")
def done(task: Task) -> bool:
    return task.done
"""


def test_a_smallest_model_with_contexts(tmp_path):
    result = check(opened(tmp_path, CONTEXTS), jobs=1)
    assert {c.property: [step.words for step in c.steps] for c in result.counterexamples} == {"once": ["call()", "work()", "work()"]}
    assert result.counterexample("once").steps[2].context == "kernel"


@pytest.mark.parametrize(
    ("there", "instead", "what"),
    [
        ("class Task(TaskContext)", "class Task", "a model with contexts needs tasks"),
        ("current: Task = NULL", "mine: Task = NULL", "a CPU with contexts needs to know which task it runs"),
        ("work_is_waiting", "work_is_ready", "a model with contexts needs work_is_waiting()"),
    ],
)
def test_what_contexts_need(tmp_path, there, instead, what):
    with pytest.raises(PasidlabError) as caught:
        opened(tmp_path, CONTEXTS.replace(there, instead))
    assert caught.value.what == what and caught.value.position and caught.value.hint
