"""Writes ``pasidlab/kernel.py``, the one place designs import the kernel from: ``python tests/model/kernel_door.py``."""

from __future__ import annotations

import ast
from pathlib import Path

import pasidlab
from pasidlab.model.sources import MODEL_FILES

PACKAGE = Path(pasidlab.__file__).parent
DOOR = PACKAGE / "kernel.py"
AROUND = ("state", "x86/", "linux/")  # not the properties: a design has to keep them, it does not call them
HEAD = '''"""The kernel and the machine around a design, under their own names: ``from pasidlab.kernel import current, fpregs_lock, Task``.

Which file of pasidlab/model a name comes from:

'''


def declared(path: Path) -> list[str]:
    """The functions, structs, constants and types a file of the model declares, in its order."""
    found: list[str] = []
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.append(node.name)
        elif isinstance(node, ast.Assign):
            found += [target.id for target in node.targets if isinstance(target, ast.Name)]
    return found


def names() -> dict[str, list[str]]:
    """What each file gives, the file named relative to pasidlab/model."""
    model = PACKAGE / "model"
    files = {path.relative_to(model).as_posix(): path for path in MODEL_FILES}
    chosen = {name: path for name, path in files.items() if name.removesuffix(".py").startswith(AROUND)}
    return {"ambient.py": ["current", "this_cpu"], **{name: declared(path) for name, path in chosen.items()}}


def wrapped(words: list[str], indent: str, width: int = 130) -> str:
    """Words with commas between them, on as many lines as they need."""
    lines = [indent]
    for word in words:
        if len(lines[-1]) + len(word) + 2 > width and lines[-1] != indent:
            lines.append(indent)
        lines[-1] += ("" if lines[-1] == indent else " ") + word + ","
    return "\n".join(lines)


def text() -> str:
    """The file as it has to be."""
    given = {name: found for name, found in names().items() if found}
    told = "\n".join(f"{name}\n{wrapped(sorted(found), '    ').removesuffix(',')}" for name, found in given.items())
    imports = "".join(
        f"from pasidlab.model.{name.removesuffix('.py').replace('/', '.')} import (\n{wrapped(sorted(found), '    ')}\n)\n"
        for name, found in sorted(given.items())
    )
    public = wrapped([f'"{name}"' for name in sorted(name for found in given.values() for name in found)], "    ")
    head = f'{HEAD}{told}\n"""\n\n# ruff: noqa: I001, RUF022\nfrom __future__ import annotations\n\n'
    return f"{head}{imports}\n__all__ = [\n{public}\n]\n"


if __name__ == "__main__":
    DOOR.write_text(text(), encoding="utf-8")
