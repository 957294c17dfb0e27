"""CONTRIBUTING.md's table, row by row: of what belongs together nothing is missing. Other tests run it; here its parts are only counted."""

import ast
import importlib.util
import json
import re
from pathlib import Path

import click
import pytest

import pasidlab
from pasidlab.accelerator import Op
from pasidlab.accelerator.device import DSA, IAX
from pasidlab.checking.reductions import Reductions
from pasidlab.cli import _group
from pasidlab.commands.formats import FORMATS
from pasidlab.designs import BUILT_IN
from pasidlab.lang.emit import EXACT
from pasidlab.lang.ir import BINARY, OPS
from pasidlab.model.scope import DEFAULT_PARTS, EVENTS
from pasidlab.observe.kinds import CALLS
from pasidlab.observe.kinds import EVENTS as RECORDED

SOURCES = Path(pasidlab.__file__).parent
ROOT = Path(__file__).parent.parent
LINUX = SOURCES / "model" / "linux"


def text(*places: str) -> str:
    """Files of the source, one after the other; a folder stands for those in it."""
    paths = [SOURCES / place for place in places]
    files = [file for path in paths for file in (sorted(path.glob("*.py")) if path.is_dir() else [path])]
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


def document(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def functions(place: str, beginning: str) -> set[str]:
    return {node.name for node in ast.parse(text(place)).body if isinstance(node, ast.FunctionDef) and node.name.startswith(beginning)}


def test_the_rows_name_files_that_are_there():
    rows = [row for row in document("CONTRIBUTING.md").splitlines() if row.startswith("|")]
    assert len(rows) > 15
    named = {name for row in rows for name in re.findall(r"`([\w-]+(?:/[\w.-]+)*(?:/|\.\w+))`", row)}
    missing = [name for name in named if not (ROOT / name).exists() and not (SOURCES / name).exists()]
    assert missing == [] and len(named) > 30


def test_every_file_is_in_the_page_of_files():
    """Else ``python docs/files.py`` writes it anew."""
    found = importlib.util.spec_from_file_location("files_page", ROOT / "docs" / "files.py")
    assert found and found.loader
    writer = importlib.util.module_from_spec(found)
    found.loader.exec_module(writer)
    assert document("docs/files.md") == writer.page()
    folders = {str(path.parent.relative_to(SOURCES)) for path in SOURCES.rglob("*") if path.is_file() and path.suffix in KINDS}
    assert {folder or "." for folder in writer.FOLDERS} == folders
    assert [line for line in writer.page().splitlines() if line.startswith("| `") and not line.endswith((". |", "? |"))] == []


KINDS = {".py", ".c", ".toml", ".json", ".html", ".css", ".js"}


def test_a_design_has_its_name_its_paragraph_and_its_counts():
    files = {path.stem for path in (SOURCES / "designs").glob("*.py")} - {"__init__", "design", "opening"}
    assert files == {name.replace("-", "_") for name in BUILT_IN}
    assert [name for name in BUILT_IN if f"**`{name}` " not in document("docs/debate.md")] == []
    counts = json.loads((ROOT / "tests" / "model" / "counts.json").read_text())
    assert [scope for scope, designs in counts.items() if set(designs) != set(BUILT_IN)] == []
    expected = (ROOT / "tests" / "model" / "test_designs.py").read_text()
    assert [name for name in BUILT_IN if f'    "{name}": (' not in expected] == []


def test_an_event_has_a_rule_and_a_part():
    used = re.findall(r'\b(?:event=|event\(|happens\()"(\w+)"', text("model/linux", "model/x86", "designs"))
    assert set(EVENTS) == set(used)
    assert set(EVENTS) == {event for part in DEFAULT_PARTS.values() for event in part.events}


def test_a_traced_function_is_called_at_its_entry_noted_and_known():
    declared = functions("model/linux/tracepoints.py", "trace_call_")
    kernel = "\n".join(file.read_text(encoding="utf-8") for file in LINUX.glob("*.py") if file.stem != "tracepoints")
    assert declared == {name for name in declared if f"{name}()" in kernel}
    assert declared == functions("observe/machine/calls.py", "trace_call_")
    assert declared == {f"trace_call_{kind.name}" for kind in CALLS}


def test_a_tracepoint_is_passed_noted_and_recorded():
    declared = {name for name in functions("model/linux/tracepoints.py", "trace_") if not name.startswith("trace_call_")}
    kernel = "\n".join(file.read_text(encoding="utf-8") for file in LINUX.glob("*.py") if file.stem != "tracepoints")
    assert declared == {name for name in declared if f"{name}(" in kernel}
    assert declared == functions("observe/machine/recorder.py", "trace_")
    assert declared <= {f"trace_{event.kind.name}" for event in RECORDED}


LOWERED = {"call", "enter", "mask", "take", "release", "lose"}
"""Operations that lowering puts others for."""
EXECUTORS = {
    "interpreter": (["lang/interpreter.py"], BINARY | LOWERED | {"sext"}),
    "live objects": (["live/objects.py"], BINARY | {"sext", "lose"}),
    "LLVM": (["lang/back/llvm_text.py"], LOWERED),
}
"""Where each executor has its operations, and those it has not: lowered before, or computed by ``emit.EXACT`` for all.

For Promela and TLA+ ``tests/lang/test_exported_operations.py`` writes each operation.
"""


@pytest.mark.parametrize("executor", EXECUTORS)
def test_an_executor_has_every_operation(executor):
    files, elsewhere = EXECUTORS[executor]
    assert [op for op in OPS if op not in elsewhere and f'"{op}"' not in text(*files)] == []
    assert EXACT.keys() >= BINARY


def test_a_reduction_has_its_switch_and_its_condition_in_the_documents():
    told = document("docs/what-holds-means.md")
    switches = re.findall(r'"(--no-(?!evidence)[\w-]+)", is_flag', text("commands/check.py"))
    assert len(switches) == len(Reductions.__dataclass_fields__)
    assert [switch for switch in switches if switch not in told] == []


def test_a_file_format_is_in_the_documents():
    told = document("README.md") + document("docs/kernel-developers.md") + document("docs/explore.md")
    assert [suffix for suffix in FORMATS if suffix not in told] == []


def test_a_model_beside_the_kernel_s_has_its_row():
    told = document("docs/own-model.md")
    models = [path.name for path in (ROOT / "examples" / "models").glob("*.py")]
    assert models and [name for name in models if f"| [{name}]" not in told and name not in told] == []


def test_an_operation_of_a_device_has_its_rule_and_its_work():
    for kind in (DSA, IAX):
        assert kind.operations.keys() | {Op.BATCH} == kind.rules.keys() | {Op.BATCH}
    assert set(Op) == DSA.operations.keys() | IAX.operations.keys() | {Op.BATCH}


def test_a_picture_is_made_by_a_row():
    program = document("docs/pictures.py")
    assert [image.stem for image in (ROOT / "docs" / "images").iterdir() if f'"{image.stem}"' not in program] == []


def options(command: click.Command, ctx: click.Context) -> set[tuple[str, ...]]:
    """The options of a command and of those below it, by all their names."""
    below = [command.get_command(ctx, name) for name in command.list_commands(ctx)] if isinstance(command, click.Group) else []
    own = {(*one.opts, *one.secondary_opts) for one in command.params if isinstance(one, click.Option) and not one.hidden}
    return own.union(*(options(one, ctx) for one in below if one))


SELF_EVIDENT = {"--version", "--port", "--most", "--pasids"}
"""Options that need no more than their help."""


def test_an_option_is_in_the_documents():
    told = "".join(page.read_text(encoding="utf-8") for page in [*(ROOT / "docs").glob("*.md"), ROOT / "README.md"])
    every = options(_group, click.Context(_group))
    assert len(every) > 50
    assert {names[-1] for names in every if not any(re.search(rf"(?<![\w-]){name}(?![\w-])", told) for name in names)} == SELF_EVIDENT
