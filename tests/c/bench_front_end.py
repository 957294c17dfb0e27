"""Timings of the C front end alone: ``python tests/c/bench_front_end.py [LINUX TREE]...``; the kernel around is read beforehand."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pasidlab import designs
from pasidlab.designs.intake.gather import from_tree, gather, read_options
from pasidlab.lang import source
from pasidlab.lang.functions import ARRIVALS
from pasidlab.lang.names import Names
from pasidlab.model.scope import Scope
from pasidlab.model.sources import MODEL_FILES

EXAMPLES = Path(__file__).parents[2] / "examples"


def names_of(design: designs.Design) -> Names:
    """The kernel around a design, collected anew: a file leaves its marks in it."""
    return Names(source.collect([ARRIVALS, *MODEL_FILES, design.path]), Scope().compiler_bounds())


def show(label: str, read: Callable[[], Any]) -> None:
    """Best of four: from text to functions, and those to IR."""
    times = []
    for _ in range(4):  # the first one also imports, and reads the vocabulary
        start = time.perf_counter()
        found = read()
        parsed = time.perf_counter()
        names = names_of(designs.BUILT_IN[found.base])
        around = time.perf_counter()
        functions = found.functions(names)
        times.append((parsed - start + time.perf_counter() - around, parsed - start))
    whole, reading = min(times)
    print(f"{label:40} {whole:7.3f} s ({reading:.3f} s reading), {len(functions)} functions")


def main() -> None:
    for file in sorted(EXAMPLES.glob("*.c")):
        if file.stem != "dsa_hello":
            show(file.name, lambda file=file: gather(str(file), read_options()))
    for tree in sys.argv[1:]:
        show(tree, lambda tree=tree: from_tree(read_options(kernel=tree)))


if __name__ == "__main__":
    main()
