"""Local steps first, as the interpreter does them: the definition of what the compiled search does (``lowering/independence``)."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pasidlab.lang.back.layout import State
from pasidlab.lang.interpreter import MOST_OUTCOMES, Interpreter, Outcome, param_values
from pasidlab.lang.ir import Model

FOLLOWED = 8
"""States with a private CPU are followed up to this many times the successors that one state can have (``most_successors``)."""


def most_successors(model: Model) -> int:
    """More successors than any state of a model has."""
    return sum(
        MOST_OUTCOMES if any(instr.op == "choose" for instr in action.code) else 1 for action in model.actions for _ in param_values(action)
    )


@dataclass(frozen=True)
class LocalSteps:
    """The steps of a model in which CPUs may be private."""

    interpreter: Interpreter

    @property
    def model(self) -> Model:
        """The model that is executed."""
        return self.interpreter.model

    def ways(self, state: State) -> Iterator[tuple[State, ...]]:
        """Ways from a state, shortest first: nowhere, to each state after it, and from there to each one that is followed."""
        yield ()
        work: deque[tuple[State, ...]] = deque((after,) for after in self._first(state))
        known: set[State] = set()
        while work:
            way = work.popleft()
            if way[-1] not in known:
                known.add(way[-1])
                yield way
                work.extend((*way, after) for after in self._left_alone(way[-1]))

    def _first(self, state: State) -> list[State]:
        enough = [action for action in self.model.actions if not action.anyway]
        return self._after(self._private_steps(state) or self.interpreter.outcomes(enough, state))

    def successors(self, state: State) -> list[State]:
        """The states that local steps first give after this one (``independence``): who is private and left alone is followed."""
        found = self._first(state)
        at, most = 0, most_successors(self.model) * FOLLOWED
        while at < len(found):
            if ways := self._left_alone(found[at]) if len(found) <= most else []:
                found += ways
                found[at] = found.pop()
            else:
                at += 1
        return found

    def _after(self, outcomes: Iterable[Outcome]) -> list[State]:
        return [self._representative(outcome.state) for outcome in outcomes if outcome.state is not None]

    def _representative(self, state: State) -> State:
        return self.interpreter.layout.unpack(self.interpreter.canonical(state))

    def _private_steps(self, state: State) -> list[Outcome]:
        """The steps of the first CPU that is private and whose program can go on, if there is one."""
        for (cpu,) in self._private_cpus(state):
            program, others = self._steps_of(cpu, state)
            if any(outcome.state is not None for outcome in program):
                return program + others
        return []

    def _left_alone(self, state: State) -> list[State]:
        """Where the program of the first such CPU leads; nowhere if something may interrupt it, or there is no such CPU."""
        for (cpu,) in self._private_cpus(state):
            program, others = map(self._after, self._steps_of(cpu, state))
            if program or others:
                return [] if others else program
        return []

    def _private_cpus(self, state: State) -> Iterator[tuple[int, ...]]:
        private = self.model.private
        if private is not None:
            yield from (params for params in param_values(private) if self.interpreter.run(private, params, state)[0].result)

    def _steps_of(self, cpu: int, state: State) -> tuple[list[Outcome], list[Outcome]]:
        """What a CPU's programs may do, and what may interrupt them."""
        program: list[Outcome] = []
        others: list[Outcome] = []
        for action in self.model.actions:
            for params in param_values(action) if action.cpu_param and not action.anyway else ():
                if params[0] == cpu:
                    (program if action.resumes else others).extend(self.interpreter.run(action, params, state))
        return program, others
