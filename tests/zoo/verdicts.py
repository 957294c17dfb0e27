"""Recorded numbers of the zoo: ``python tests/zoo/verdicts.py [NAME ...]`` records them anew, all or those named."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from pasidlab.commands.zoo import BugRow, examine
from pasidlab.zoo.catalogue import CATALOGUE, Bug

TABLE = Path(__file__).with_name("verdicts.json")
INSIDE = {bug.name: bug for bug in CATALOGUE if not bug.reason}


def measured(bug: Bug) -> dict[str, Any]:
    row = examine(bug)
    assert row.repaired is not None
    return {**caught(row), "fixed": row.repaired.verdict, "fixed_states": row.repaired.states}


def caught(row: BugRow) -> dict[str, Any]:
    assert row.caught is not None
    return {"steps": row.steps, "states": row.caught.states}


if __name__ == "__main__":
    names, known = sys.argv[1:] or list(INSIDE), json.loads(TABLE.read_text(encoding="utf-8"))
    table = {name: measured(bug) if name in names else known[name] for name, bug in INSIDE.items()}
    TABLE.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
