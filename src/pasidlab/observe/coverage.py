"""Which steps of the model a live kernel has shown: each event at each place of the model's code where it can come."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pasidlab.observe.explanations import Explanations, in_words, is_arrival

EventStep = tuple[str, str]
"""An event in words, and the functions that come to its tracepoint."""

Pair = tuple[str, str]
"""Two events in words."""


@dataclass
class Coverage:
    """Steps that show an event. ``certain``: nothing else explains some event of the recording. ``perhaps``: something else does too."""

    certain: dict[EventStep, int] = field(default_factory=dict)
    perhaps: dict[EventStep, int] = field(default_factory=dict)
    never: list[EventStep] = field(default_factory=list)
    pairs: dict[Pair, int] = field(default_factory=dict)
    """Two events of a task, one after the other, as the recording has them."""
    pairs_never: list[Pair] = field(default_factory=list)
    """Those that the model can show, and the recording does not."""

    def to_json(self) -> dict[str, Any]:
        """The document that ``--json`` prints."""
        return {
            "certain": [{"event": event, "place": place, "times": times} for (event, place), times in self.certain.items()],
            "perhaps": [{"event": event, "place": place, "times": times} for (event, place), times in self.perhaps.items()],
            "never": [{"event": event, "place": place} for event, place in self.never],
            "pairs": [{"first": first, "second": second, "times": times} for (first, second), times in self.pairs.items()],
            "pairs_never": [{"first": first, "second": second} for first, second in self.pairs_never],
        }

    def text(self) -> str:
        """A table for a reader, by event."""
        total = len(self.certain) + len(self.perhaps) + len(self.never)
        lines = [
            f"{total} steps of the model show an event: {len(self.certain)} were seen for certain, {len(self.perhaps)} perhaps "
            f"(another step explains the same events), {len(self.never)} never",
            f"{len(self.pairs) + len(self.pairs_never)} pairs of events can follow each other in a task: {len(self.pairs)} were seen "
            "(--json lists them)",
        ]
        rows = {step: f"{times:>12,}  " for step, times in self.certain.items()}
        rows |= {step: f"{times:>12,} ?" for step, times in self.perhaps.items()}
        rows |= dict.fromkeys(self.never, f"{'never':>12}  ")
        event = ""
        for step in sorted(rows):
            if step[0] != event:
                event = step[0]
                lines += ["", event]
            lines.append(f"{rows[step]}{step[1]}")
        return "\n".join(lines)


def coverage(known: Explanations) -> Coverage:
    """What the transitions that a recording has used say of the model's steps."""
    found = Coverage()
    by: dict[tuple[int, int], set[str]] = {}
    for edge in (edge for edges in known.automaton.edges for edge in edges):
        if edge.letter and not is_arrival(edge.letter):
            by.setdefault((known.code(edge.letter), edge.to), set()).add(edge.by)
    for number in range(len(known.sets)):
        for column, letter in enumerate(known.codes):
            times = int(known.uses[number, column])
            if times:
                nodes = [node for node, counts in known.sets[int(known.table[number, column])] if not counts]
                places = {place for node in nodes for place in by[letter, node]}
                into = found.certain if len(places) == 1 else found.perhaps
                for place in places:
                    step = (in_words(letter), place)
                    into[step] = into.get(step, 0) + times
    found.perhaps = {step: times for step, times in found.perhaps.items() if step not in found.certain}
    possible = {(in_words(letter), place) for (letter, _), places in by.items() for place in places}
    found.never = sorted(possible - found.certain.keys() - found.perhaps.keys())
    words = [in_words(letter) for letter in known.codes]
    for first, second in zip(*np.nonzero(known.pairs[1:, 1:]), strict=True):
        found.pairs[words[first], words[second]] = int(known.pairs[first + 1, second + 1])
    found.pairs_never = sorted({(words[first], words[second]) for first, second in _possible_pairs(known)} - found.pairs.keys())
    return found


def _possible_pairs(known: Explanations) -> set[tuple[int, int]]:
    """Two letters, by their columns, of which the second can be the next that a task shows: it may leave a CPU and come back between."""
    edges, number = known.automaton.edges, {code: n for n, code in enumerate(known.codes)}
    moved: dict[int, list[int]] = {}
    for (node, _, _), to in known.automaton.relocated.items():
        moved.setdefault(node, []).append(to)
    begins: dict[int, set[int]] = {}
    for edge in (edge for row in edges for edge in row if edge.letter and not is_arrival(edge.letter)):
        begins.setdefault(number[known.code(edge.letter)], set()).add(edge.to)  # type: ignore[arg-type]
    pairs = set()
    for first, todo in begins.items():
        seen = set(todo)
        while todo:
            node = todo.pop()
            further = set(moved.get(node, ()))
            for edge in edges[node]:
                if edge.letter and not is_arrival(edge.letter):
                    pairs.add((first, number[known.code(edge.letter)]))
                else:
                    further.add(edge.to)
            todo |= further - seen
            seen |= further
    return pairs
