"""A path of packed states becomes steps a kernel developer can read, and moves are made again: both by the interpreter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pasidlab.lang.back.layout import State
from pasidlab.lang.interpreter import Failure, Interpreter, Outcome, Touch
from pasidlab.lang.ir import Action, Site
from pasidlab.lang.lowering.lower import IN_USER_MODE
from pasidlab.lang.types import Field, Ref
from pasidlab.trace.naming import element_name, is_bookkeeping, shown, told
from pasidlab.trace.sources import Shown, source_line
from pasidlab.trace.steps import Change, Counterexample, Enabled, Frame, Line, Move, Recipe, Step, joined_line
from pasidlab.trace.words import CONTEXTS as ARRIVING
from pasidlab.trace.words import words_for

Packed = tuple[int, ...]
CONTEXTS = {"task": "kernel", "schedule": "schedule", "softirq": "softirq", "hardirq": "hardirq"}
"""Action of a program -> the context it runs in; what else happens is an instruction of user mode or an event."""
MOST_LAPS = 10
ARRIVALS_FILE = "lang/arrivals.py"


class Replayer:
    """Replays paths of one model. ``texts`` are lines of files that are not on the disk as they were read (``Design.shown``)."""

    def __init__(self, interpreter: Interpreter, texts: Shown | None = None) -> None:
        self.interpreter, self.texts = interpreter, texts or {}
        self.names = {f.path: f for f in interpreter.model.fields}
        self.words = interpreter.model.words
        self.contexts = any(action.resumes for action in interpreter.model.actions)
        self.arrivals = {action.name for action in interpreter.model.actions if action.name in ARRIVING and _is_arrival(action)}

    def counterexample(self, name: str, path: Sequence[Packed], by_step: bool) -> Counterexample:
        """Replay packed states; the violation must show, or the engines disagree and nothing is reported."""
        found = self.path(name, "", path)
        state = found.steps[-1].state if found.steps else found.initial
        if by_step:
            return self.finished(self._broken_by_step(name, found.initial, list(found.steps), state))
        broken = next((predicate for predicate, _ in self.interpreter.broken(state) if predicate.property == name), None)
        if broken is None:
            raise AssertionError(f"the interpreter does not find {name} violated at the end of the path")
        return self.finished(replace(found, sentence=broken.sentence))

    def finished(self, found: Counterexample) -> Counterexample:
        """With the state at the end told in words, and what the promise saw in it."""
        state = found.steps[-1].state if found.steps else found.initial
        told = []
        for f in self.interpreter.model.fields:
            start = self.interpreter.offsets[f.path]
            for i in range(f.count):
                if not self._is_bookkeeping(f.path) and state[start + i] != f.default:
                    told.append((f"{element_name(f, i)}.{f.name}", shown(f, state[start + i], self.words)))
        return replace(found, final=tuple(sorted(told, key=lambda t: t[0].split(".")[0])), seen=self._seen(found, state))

    def _seen(self, found: Counterexample, state: State) -> tuple[tuple[str, str], ...]:
        if found.broken_by_step:
            lines = found.steps[-1].lines
            failed = next((n for n, line in enumerate(lines) if line.failed), -1)
            mine = [line for line in lines[: failed + 1] if line.here.function == lines[failed].here.function]
            return tuple(dict.fromkeys(load for line in mine for load in line.loads))
        for predicate, outcome in self.interpreter.broken(state):
            if (predicate.property, predicate.sentence) == (found.property, found.sentence):
                told = [self._told(touch) for touch in outcome.path if touch.op == "load" and not self._is_bookkeeping(touch.field)]
                return tuple(dict.fromkeys(told))
        return ()

    def _told(self, touch: Touch) -> tuple[str, str]:
        f = self.names[touch.field]
        return f"{element_name(f, touch.element)}.{f.name}", shown(f, touch.new, self.words)

    def _is_bookkeeping(self, path: str | None) -> bool:
        return self.contexts and is_bookkeeping(path)

    def path(self, name: str, sentence: str, path: Sequence[Packed]) -> Counterexample:
        """The steps along a path of packed states, canonical or not; AssertionError where the interpreter cannot follow."""
        canonical = self.interpreter.canonical
        initial = next((s for s in self.interpreter.initial_states() if canonical(s) == tuple(path[0])), None)
        if initial is None:
            raise AssertionError("the path does not begin in an initial state")
        state = initial
        steps: list[Step] = []
        for target in path[1:]:
            outcomes = self.interpreter.successors(state)
            outcome = next((o for o in outcomes if o.state is not None and canonical(o.state) == tuple(target)), None)
            if outcome is None or outcome.state is None:
                raise AssertionError(f"step {len(steps) + 1} of the path is not a step of the interpreter")
            steps.append(replace(self.step(outcome, state), others=self._others(outcome, outcomes, state)))
            state = outcome.state
        return Counterexample(name, sentence, initial, tuple(steps))

    def _broken_by_step(self, name: str, initial: State, steps: list[Step], state: State) -> Counterexample:
        outcomes = self.interpreter.successors(state)
        for outcome in outcomes:
            for failure in outcome.failures:
                if failure.property == name:
                    last = replace(self.step(outcome, state), others=self._others(outcome, outcomes, state))
                    return Counterexample(name, failure.sentence, initial, (*steps, last), broken_by_step=True)
        raise AssertionError(f"no step out of the last state breaks {name} in the interpreter")

    def errors(self, state: State) -> list[Failure]:
        """Model errors in a state, then those of the steps out of it."""
        return self.interpreter.unanswered(state) + [o.error for o in self.interpreter.successors(state) if o.error]

    def error(self, path: Sequence[Packed]) -> tuple[tuple[Step, ...], Failure]:
        """The steps along a path to a model error, and what it is."""
        found = self.path("", "", path)
        return found.steps, self.errors(found.steps[-1].state if found.steps else found.initial)[0]

    def follow(self, state: State, moves: Sequence[Move]) -> list[tuple[Outcome, State]]:
        """What each move does, as far as they can be made, and the state after it."""
        made: list[tuple[Outcome, State]] = []
        for move in moves:
            action = next((a for a in self.interpreter.model.actions if a.name == move.action), None)
            outcomes = self.interpreter.run(action, move.params, state) if action else []
            outcome = next((o for o in outcomes if o.choices == move.choices), None)
            if outcome is None:
                break
            state = outcome.state or state
            made.append((outcome, state))
        return made

    def remade(self, recipe: Recipe) -> Counterexample | None:
        """A counterexample whose moves are made in this interpreter's model; None if they do not lead to the violation here."""
        for initial in self.interpreter.initial_states():
            if recipe.initial is not None and initial != recipe.initial:
                continue
            found = self._remade_from(initial, recipe)
            if found is not None:
                return found
        return None

    def _remade_from(self, state: State, recipe: Recipe) -> Counterexample | None:
        made = self.follow(state, recipe.moves)
        if len(made) < len(recipe.moves):
            return None
        before = [state, *(after for _, after in made)]
        if not recipe.property:
            shows = True
        elif recipe.loop is not None:
            shows = self._closes(before[-1], before[recipe.loop], recipe.moves[recipe.loop :])
        elif recipe.broken_by_step:
            shows = bool(made) and any(f.property == recipe.property for f in made[-1][0].failures)
        else:
            shows = any(predicate.property == recipe.property for predicate, _ in self.interpreter.broken(before[-1]))
        if not shows:
            return None
        steps = tuple(self.beside_others(outcome, before[n]) for n, (outcome, _) in enumerate(made))
        found = Counterexample(
            recipe.property, recipe.sentence, state, steps=steps, broken_by_step=recipe.broken_by_step, loop=recipe.loop,
            exact=recipe.exact, shortest=recipe.shortest,
        )  # fmt: skip
        return self.finished(found)

    def _closes(self, state: State, first: State, lap: Sequence[Move]) -> bool:
        """Whether going round again and again comes back to a state: contents nobody may rely on may differ in the first laps."""
        known = {first}
        while state not in known:
            known.add(state)
            made = self.follow(state, lap)
            if len(made) < len(lap) or len(known) > MOST_LAPS:
                return False
            state = made[-1][1]
        return True

    def beside_others(self, outcome: Outcome, before: State) -> Step:
        """What an outcome says to a reader, and what could have been done instead."""
        return replace(self.step(outcome, before), others=self._others(outcome, self.interpreter.successors(before), before))

    def enabled(self, state: State) -> tuple[Enabled, ...]:
        """Every move that can be made in a state."""
        return self._others(None, self.interpreter.successors(state), state)

    def _others(self, taken: Outcome | None, outcomes: Sequence[Outcome], state: State) -> tuple[Enabled, ...]:
        others = [o for o in outcomes if taken is None or _move(o) != _move(taken)]
        told = [(self.step(o, state), tuple(dict.fromkeys(f.property for f in o.failures))) for o in others]
        return tuple(
            Enabled(step.move, step.cpu, step.task, words=step.words, place=step.place or step.main, breaks=breaks) for step, breaks in told
        )

    def stacks(self, state: State) -> tuple[tuple[str, ...], ...]:
        """For each CPU the contexts that are active, the innermost last; none in a model without contexts."""
        if "Cpu.current" not in self.names or not self.contexts:
            return ()
        found = []
        for cpu in range(self.names["Cpu.current"].count):
            task = self.value(state, "Cpu.current", cpu) - 1
            active = [("kernel", task >= 0 and "Task.pc" in self.names and self.value(state, "Task.pc", task))]
            active += [(context, self._counter(state, context, cpu)) for context in ("schedule", "softirq", "hardirq")]
            found.append(tuple(context for context, counter in active if counter))
        return tuple(found)

    def _counter(self, state: State, context: str, cpu: int) -> int:
        path = f"Cpu.{context}_pc"
        return self.value(state, path, cpu) if path in self.names else 0

    def step(self, outcome: Outcome, before: State) -> Step:
        """What an outcome says to a reader."""
        action = next(a for a in self.interpreter.model.actions if a.name == outcome.action)
        cpu = outcome.params[0] - 1 if action.cpu_param else self._named(action, outcome, "Cpu")
        program = CONTEXTS.get(action.name) if action.resumes else None
        context = program or ("user" if any(i.dst == IN_USER_MODE for i in action.code) else "event")
        after = outcome.state or before
        task = self._task(before, cpu)
        step = Step(
            _move(outcome), cpu, context, task=task, lines=self.lines(outcome), changes=self.changes(before, after), state=after,
            over=self._over(context, cpu, task, after), stacks=self.stacks(after),
        )  # fmt: skip
        words = words_for(step, self.words, self._arguments(action, outcome), action.name in self.arrivals)
        rule = self.words.signatures and not action.resumes and action.name not in self.arrivals
        return replace(step, words=words, place=step.lines[0].frames[0] if rule and step.lines else None)

    def _task(self, before: State, cpu: int | None) -> int | None:
        """The task that the CPU runs."""
        current = self.names.get("Cpu.current")
        if cpu is None or current is None or not isinstance(current.domain, Ref) or current.domain.struct != "Task":
            return None
        task = self.value(before, "Cpu.current", cpu) - 1
        return task if task >= 0 else None

    def _named(self, action: Action, outcome: Outcome, struct: str) -> int | None:
        """The element that a rule's first parameter of that struct names, in a model that tells rules by their names."""
        if not self.words.signatures:
            return None
        values = zip(action.params, outcome.params, strict=True)
        return next((value - 1 for (_, domain), value in values if isinstance(domain, Ref) and domain.struct == struct), None)

    def _arguments(self, action: Action, outcome: Outcome) -> str:
        """The arguments of a rule, as text; its CPU is the column."""
        first = 1 if action.cpu_param else 0
        return ", ".join(told(domain, value) for (_, domain), value in zip(action.params[first:], outcome.params[first:], strict=True))

    def _over(self, context: str, cpu: int | None, task: int | None, after: State) -> bool:
        path, element = ("Task.pc", task) if context == "kernel" else (f"Cpu.{context}_pc", cpu)
        return context in CONTEXTS.values() and path in self.names and self.value(after, path, element) == 0

    def value(self, state: State, path: str, element: int | None) -> int:
        """One field of one element in a state."""
        return state[self.interpreter.offsets[path] + (element or 0)]

    def lines(self, outcome: Outcome) -> tuple[Line, ...]:
        """The source lines that touched state, in the order of execution; a line that goes on touching it is one line."""
        found: list[Line] = []
        for touch in outcome.path:
            position = touch.site.position
            if position.line == 0 or position.file.endswith(ARRIVALS_FILE) or self._is_bookkeeping(touch.field):
                continue
            line = self._line(touch)
            if _is_header(line):
                continue
            if found and found[-1].frames == line.frames:
                found[-1] = joined_line(found[-1], line)
            else:
                found.append(line)
        return tuple(found)

    def _line(self, touch: Touch) -> Line:
        frames = _frames(touch.site, self.texts)
        if touch.op == "check":
            return Line(frames, failed=True)
        if touch.op == "load":
            return Line(frames, (self._told(touch),))
        f = self.names[touch.field]
        name, _ = self._told(touch)
        change = (self._change(f, name, touch.old, touch.new),) if touch.old != touch.new else ()
        return Line(frames, (), change, stored=True)

    def changes(self, before: State, after: State) -> tuple[Change, ...]:
        """Fields whose value differs, but for the language's own."""
        found = []
        for f in self.interpreter.model.fields:
            if self._is_bookkeeping(f.path):
                continue
            start = self.interpreter.offsets[f.path]
            for i in range(f.count):
                old, new = before[start + i], after[start + i]
                if old != new:
                    found.append(self._change(f, f"{element_name(f, i)}.{f.name}", old, new))
        return tuple(found)

    def _change(self, f: Field, name: str, old: int, new: int) -> Change:
        return Change(name, shown(f, old, self.words), shown(f, new, self.words), f.name in self.words.aside)


def _is_arrival(action: Action) -> bool:
    """Whether a rule is one of the language's own."""
    return any(i.site.position.file.endswith(ARRIVALS_FILE) for i in action.code)


def _move(outcome: Outcome) -> Move:
    return Move(outcome.action, outcome.params, outcome.choices)


def _frames(site: Site, texts: Shown) -> tuple[Frame, ...]:
    """The calls that lead to a site, without the machine's instructions: the kernel code that executes them says it better."""
    chain = []
    for one in site.chain():
        file, line = one.position.file, one.position.line
        chain.append(Frame(one.function, file, line, source_line(file, line, texts)))
    while len(chain) > 1 and "/model/x86/" in chain[0].file:
        del chain[0]
    chain = [frame for n, frame in enumerate(chain) if n == 0 or frame.function != chain[n - 1].function]  # C: parameters made ready
    return tuple(reversed(chain))


def _is_header(line: Line) -> bool:
    """Whether a line is where its function is defined: its parameters are made ready there."""
    return not line.stored and not line.failed and f"{line.here.function}(" in line.here.source.replace(" (", "(")
