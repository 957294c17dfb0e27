"""``python -m reference FIRST COUNT``: random models, the reference against pasidlab, with counts at the end."""

from __future__ import annotations

import os
import sys
import tempfile
from collections import Counter
from pathlib import Path

from reference.compare import Compared, compared
from reference.random_models import random_model

EVERY = 4  # each of so many models is compared with every combination of reductions


def kind(result: Compared) -> str:
    """What came of one comparison."""
    if result.reference is None or None in result.answers.values():
        return "not compared"
    if result.refused:
        return "refused"
    return "differ" if any(result.differences()) else "agree"


def main(first: int, count: int) -> int:
    """Compare ``count`` models from seed ``first`` on; the number that differ."""
    tally: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder
        for seed in range(first, first + count):
            result = compared(random_model(seed), Path(folder) / "model.py", every=seed % EVERY == 0)
            tally[kind(result)] += 1
            if kind(result) == "agree" and result.reference is not None:
                tally["of these broken"] += bool(result.reference.broken)
            lines = list(result.differences()) if kind(result) == "differ" else [result.refused] if result.refused else []
            for line in lines:
                print(f"seed {seed}: {line}", flush=True)
            if seed % 50 == 49:
                print(f"up to seed {seed}: {dict(tally)}", flush=True)
    print(f"seeds {first} to {first + count - 1}: {dict(tally)}")
    return tally["differ"]


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])) > 0)
