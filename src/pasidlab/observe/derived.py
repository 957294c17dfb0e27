"""Automata that were derived before, kept on disk: a derivation takes seconds, and is the same until the model changes.

Versions of Linux with the same protocol share one. A process that wants what another derives just now waits for it.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pasidlab.lang.cache import fingerprint, kept_or_made
from pasidlab.observe.automaton import Arc, Automaton, Hidden, Letter, derive, protocol_files

SUFFIX = ".observe"
MADE_BY = ("automaton.py", "derived.py", "kinds.py", "machine")
"""Files of this folder that an automaton depends on."""


def derived(version: tuple[int, int], calls: bool = False) -> Automaton:
    """The automaton of a version of Linux, from the disk if it is there. ``calls``: with those of functions."""
    text = fingerprint("errors.py", "lang", "model", *(f"observe/{name}" for name in MADE_BY))
    protocol = [file.name for file in protocol_files(version, calls)]
    key = hashlib.sha256(text + json.dumps(protocol).encode()).digest()
    return _read(json.loads(kept_or_made(key, SUFFIX, lambda: json.dumps(_written(derive(version, calls))).encode())))


def _written(automaton: Automaton) -> dict[str, Any]:
    return {
        "edges": [[[e.to, e.letter, e.hidden, e.by] for e in edges] for edges in automaton.edges],
        "running": automaton.running, "away": automaton.away, "dead": automaton.dead, "copied": automaton.copied,
        "place": automaton.place, "executing": automaton.executing, "child": automaton.child,
        "relocated": [[*key, to] for key, to in automaton.relocated.items()],
    }  # fmt: skip


def _read(document: dict[str, Any]) -> Automaton:
    edges = [
        [Arc(to, Letter(*letter) if letter else None, Hidden(*hidden) if hidden else None, by) for to, letter, hidden, by in row]
        for row in document["edges"]
    ]
    return Automaton(
        edges=edges, running=document["running"], away=document["away"],
        dead=document["dead"], relocated={(node, owner, last): to for node, owner, last, to in document["relocated"]},
        copied=[(owner, last) for owner, last in document["copied"]], place=document["place"], executing=document["executing"],
        child=document["child"],
    )  # fmt: skip
