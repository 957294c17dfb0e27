"""Automata that were derived before, kept on disk: a derivation takes seconds, and is the same until the model changes."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pasidlab.lang.cache import fingerprint, keep, kept
from pasidlab.observe.automaton import Arc, Automaton, Hidden, Letter, derive

SUFFIX = ".observe"


def derived(version: tuple[int, int], calls: bool = False) -> Automaton:
    """The automaton of a version of Linux, from the disk if it is there. ``calls``: with those of functions."""
    key = hashlib.sha256(fingerprint("errors.py", "lang", "model", "observe") + repr((version, calls)).encode()).digest()
    if found := kept(key, SUFFIX):
        return _read(json.loads(found))
    made = derive(version, calls)
    keep(key, SUFFIX, json.dumps(_written(made)).encode())
    return made


def _written(automaton: Automaton) -> dict[str, Any]:
    return {
        "version": automaton.version, "edges": [[[e.to, e.letter, e.hidden, e.by] for e in edges] for edges in automaton.edges],
        "running": automaton.running, "away": automaton.away, "dead": automaton.dead, "copied": automaton.copied,
        "place": automaton.place, "child": automaton.child, "relocated": [[*key, to] for key, to in automaton.relocated.items()],
    }  # fmt: skip


def _read(document: dict[str, Any]) -> Automaton:
    edges = [
        [Arc(to, Letter(*letter) if letter else None, Hidden(*hidden) if hidden else None, by) for to, letter, hidden, by in row]
        for row in document["edges"]
    ]
    return Automaton(
        (document["version"][0], document["version"][1]), edges=edges, running=document["running"], away=document["away"],
        dead=document["dead"], relocated={(node, owner, last): to for node, owner, last, to in document["relocated"]},
        copied=[(owner, last) for owner, last in document["copied"]], place=document["place"], child=document["child"],
    )  # fmt: skip
