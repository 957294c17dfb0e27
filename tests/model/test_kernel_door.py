"""What a design imports stands in two places, whatever lies behind them."""

import ast
import pydoc
from pathlib import Path

import pytest
from kernel_door import DOOR, names, text

import pasidlab.declare
import pasidlab.kernel
from pasidlab import PasidlabError, Scope, check
from pasidlab.lang import arrivals
from pasidlab.lang import declare as language

ROOT = Path(__file__).parents[2]
DESIGNS = sorted([
    *(ROOT / "src" / "pasidlab" / "designs").glob("*.py"),
    *(ROOT / "src" / "pasidlab" / "zoo" / "bugs").glob("*.py"),
    *(ROOT / "src" / "pasidlab" / "examples").glob("*.py"),
    ROOT / "examples" / "mydesign.py",
])  # fmt: skip
OWN = {"__init__.py", "design.py", "opening.py"}  # of the folder, no designs
FIXUP = "def try_fixup_enqcmd_gp() -> bool:\n    return current.mm.pasid != 0\n"


def test_the_kernel_is_what_the_model_declares():
    assert DOOR.read_text() == text()
    assert len({name for found in names().values() for name in found}) > 150


def test_help_lists_the_kernel_by_source_file():
    shown = pydoc.plain(pydoc.render_doc(pasidlab.kernel))
    fpu = shown[shown.index("linux/fpu.py") : shown.index("linux/idle.py")]
    assert "fpregs_lock" in fpu and "wrmsr_pasid" not in fpu
    assert "This CPU's registers now belong to the task." in shown


def test_declare_is_the_language():
    known = {name for name, value in vars(language).items() if getattr(value, "__module__", "") == language.__name__ and name not in "FT"}
    values, contexts = {"NULL", "FORGOTTEN", "current", "this_cpu"}, {"CpuContext", "TaskContext"}  # for models of one's own
    assert set(pasidlab.declare.__all__) == known | values | contexts
    assert all(hasattr(language, name) for name in values) and all(hasattr(arrivals, name) for name in contexts)


@pytest.mark.parametrize("path", [path for path in DESIGNS if path.name not in OWN], ids=lambda path: path.name)
def test_designs_import_from_these_places_only(path):
    modules = {node.module for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)}
    assert modules <= {"__future__", "typing", "enum", "pasidlab.kernel", "pasidlab.declare"}


def test_a_name_the_kernel_does_not_have_is_refused_at_its_place(tmp_path):
    path = tmp_path / "bad.py"
    path.write_text("from pasidlab.kernel import current, fpregs_lok\n\n\n" + FIXUP)
    with pytest.raises(PasidlabError) as error:
        check(str(path), Scope(cpus=1, tasks=1, mms=1))
    assert str(error.value).startswith(f"{path}:1:38: pasidlab.kernel has no 'fpregs_lok'")
    assert "did you mean 'fpregs_lock'?" in str(error.value)


def test_a_name_the_kernel_has_is_not(tmp_path):
    path = tmp_path / "good.py"
    path.write_text("from pasidlab.kernel import current, this_cpu, Task, fpregs_lock\n\n\n" + FIXUP)
    assert check(str(path), Scope(cpus=1, tasks=1, mms=1, events=frozenset({"preempt"}))).states > 10


def test_a_word_of_the_language_is_found_at_the_other_door(tmp_path):
    path = tmp_path / "bad.py"
    path.write_text("from pasidlab.kernel import NULL, current\n\n\n" + FIXUP)
    with pytest.raises(PasidlabError) as error:
        check(str(path), Scope(cpus=1, tasks=1, mms=1))
    assert str(error.value).endswith("pasidlab.kernel has no 'NULL'\n  hint: from pasidlab.declare import NULL")
