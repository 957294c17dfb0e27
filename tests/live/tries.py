"""Tries every danger to ``pasidlab run`` again and again: ``python tests/live/tries.py --count 100 [--rows ends,stops]``.

Prints a table, one line for each variant of a row: how many tries were right, how many were skipped as they cannot be made here
(under redirection, by this kernel, without root), and how long the longest took. A try is right if
the program ended in time, with the exit status and the text that it must have, and nothing was written that must not be. Tries
are forks of one process that has loaded pasidlab: loading takes longer than most of them. The exit status is 1 if one was wrong.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

from tries_others import VARIANTS as OTHERS
from tries_place import Place, Skipped, Variant, build
from tries_rows import VARIANTS as FIRST
from tries_stalls import VARIANTS as MORE

VARIANTS = [*FIRST, *MORE, *OTHERS]


@dataclass
class Tally:
    """What came of all tries of a variant."""

    right: int = 0
    tries: int = 0
    skipped: int = 0
    longest: float = 0.0
    wrong: list[str] = field(default_factory=list)


def tried(variant: Variant, programs: Path, options: Sequence[str], count: int) -> Tally:
    """All tries of a variant; it is given up after three that were wrong."""
    tally = Tally()
    for number in range(count):
        with tempfile.TemporaryDirectory(prefix="tries-") as scratch:
            began = time.monotonic()
            try:
                wrong = variant.once(Place(programs, Path(scratch), options), number)
                tally.right += not wrong
            except Skipped:
                wrong = ""
                tally.skipped += 1
            tally.longest = max(tally.longest, time.monotonic() - began)
        tally.tries += 1
        if wrong:
            tally.wrong.append(wrong)
        if len(tally.wrong) == 3:
            break
    return tally


def main() -> int:
    """Every row, plain and under redirection."""
    rows = list(dict.fromkeys(variant.row for variant in VARIANTS))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100, help="tries of each variant")
    parser.add_argument("--rows", default=",".join(rows), help="some of: %(default)s")
    parser.add_argument("--only", default="", help="variants whose name holds this")
    parser.add_argument("--isolation", default="auto,redirect", help="one or both of: %(default)s")
    chosen = parser.parse_args()
    wanted, failed = chosen.rows.split(","), False
    if unknown := set(wanted) - set(rows):
        parser.error(f"no such rows: {', '.join(sorted(unknown))}; there are {', '.join(rows)}")
    import_module("pasidlab.live.session")  # before the first fork
    signal.signal(signal.SIGINT, signal.default_int_handler)  # shells ignore both for what they start in the background
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    with tempfile.TemporaryDirectory(prefix="tries-") as built:
        if why := build(Path(built)):
            parser.error(f"the programs cannot be built: {why}")
        print(f"{'row':12} {'variant':34} {'isolation':10} {'right of tries':>15} {'skipped':>8} {'longest':>9} {'all':>8}", flush=True)
        for variant in VARIANTS:
            if variant.row not in wanted or chosen.only not in variant.name:
                continue
            for isolation in chosen.isolation.split(","):
                began = time.monotonic()
                tally = tried(variant, Path(built), ("--isolation", isolation), chosen.count)
                line = f"{variant.row:12} {variant.name:34} {isolation:10} {tally.right:>8} of {tally.tries:<3}"
                print(f"{line} {tally.skipped:>8} {tally.longest:>7.1f} s {time.monotonic() - began:>6.0f} s", flush=True)
                for wrong in tally.wrong:
                    print(f"   WRONG {wrong}", flush=True)
                failed |= bool(tally.wrong)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
