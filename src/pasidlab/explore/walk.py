"""Walks through the model of a design: moves made one after the other, and what can be done then."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from pasidlab.checking.model import design_model
from pasidlab.checking.reductions import Reductions
from pasidlab.designs import AnyScope, Design
from pasidlab.errors import PasidlabError
from pasidlab.lang.back.layout import State
from pasidlab.lang.interpreter import Interpreter, param_values
from pasidlab.lang.ir import Model
from pasidlab.trace.replay import Replayer
from pasidlab.trace.steps import Counterexample, Enabled, Move


@dataclass(frozen=True)
class Walk:
    """``path`` names the property that is broken at its end, or none. ``initial`` is the number of the state it begins in."""

    path: Counterexample
    enabled: tuple[Enabled, ...]
    initial: int


class Walker:
    """Makes walks through one model. Steps are those of a check: merged, and with the contents that a check may forget."""

    def __init__(self, design: Design, scope: AnyScope) -> None:
        self.design, self.scope = design, scope
        self.model: Model = design_model(design, scope, reductions=Reductions(forgetting=False, local_first=False))
        self.replayer = Replayer(Interpreter(self.model), design.shown)
        self.initial: list[State] = self.replayer.interpreter.initial_states()
        self._known = {action.name: frozenset(param_values(action)) for action in self.model.actions}

    def again(self, moves: Sequence[Move], initial: State | None) -> Walk:
        """The walk along saved moves, from the state it began in, or else from the first that allows them.

        Raises PasidlabError if none does.
        """
        numbers = sorted(range(len(self.initial)), key=lambda n: self.initial[n] != initial)
        for number in numbers:
            with suppress(PasidlabError):
                return self.walk(moves, number)
        return self.walk(moves, numbers[0])  # tells why

    def walk(self, moves: Sequence[Move], initial: int = 0) -> Walk:
        """The walk that the moves make. Raises PasidlabError at the first that cannot be made."""
        if not 0 <= initial < len(self.initial):
            raise PasidlabError(f"there is no initial state {initial}", hint=f"0 to {len(self.initial) - 1}")
        begin = self.initial[initial]
        possible = next((n for n, move in enumerate(moves) if move.params not in self._known.get(move.action, ())), len(moves))
        made = self.replayer.follow(begin, moves[:possible])
        if len(made) < len(moves):
            what = f"step {len(made) + 1}, {moves[len(made)].action}, cannot be made there"
            raise PasidlabError(what, hint="a path of another design or scope? Open that one: pasidlab explore found.json")
        before = [begin, *(after for _, after in made)]
        steps = tuple(self.replayer.beside_others(outcome, before[n]) for n, (outcome, _) in enumerate(made))
        ended = bool(made) and made[-1][0].state is None
        broken = next(((f.property, f.sentence) for f in made[-1][0].failures if f.property), None) if made else None
        path = Counterexample("", "", begin, steps, broken is not None)
        found = broken or next(((p.property, p.sentence) for p, _ in self.replayer.interpreter.broken(before[-1])), None)
        if found is not None:
            path = replace(path, property=found[0], sentence=found[1])
        enabled = () if ended else self.replayer.enabled(before[-1])
        return Walk(self.replayer.finished(path), enabled, initial)
