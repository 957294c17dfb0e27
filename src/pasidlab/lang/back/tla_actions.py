"""The code of one action as operators of TLA+: each gives the set of outcomes in the state as it is.

An outcome is a record: ``go`` says whether a state follows, ``broken`` which promises break on the way. The rest is what the action's
fields hold after it. Where ways meet, an operator of its own goes on. Its parameters are what is alive there: locals, fields that may have
been stored, promises that may have been broken. A circle of ways is a recursive operator that counts its ``rounds``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pasidlab.lang.back.numbers import Expression32
from pasidlab.lang.back.places import Variables
from pasidlab.lang.back.ranges import ranges, refusing
from pasidlab.lang.back.tla_names import TlaNames
from pasidlab.lang.back.tla_numbers import TlaValue, literal, of_domain
from pasidlab.lang.back.tla_steps import StepWriter, TlaPath
from pasidlab.lang.interpreter import FUEL, loop_labels
from pasidlab.lang.ir import CPU, SOUND, Action, Instr
from pasidlab.lang.lowering.flow import Code, forward, liveness, reachable, successors, without_unreachable
from pasidlab.lang.types import Domain, Ref

_BROKEN = ""
"""Stands among the fields that may have changed for the promises that may have been broken."""


class TlaAction:
    """Writes one action. ``name`` is that of its set of outcomes; of a predicate ``go`` is the answer."""

    def __init__(self, action: Action, name: str, places: Variables, names: TlaNames, *, predicate: bool = False) -> None:
        self.name, self.places, self.names = name, places, names
        self.code = without_unreachable(list(action.code), set())
        inner = names.inner()
        self.known = {param: _parameter(inner.fresh("cpu" if param == CPU else param), domain) for param, domain in action.params}
        self.labels = {str(i.args[0]): n for n, i in enumerate(self.code) if i.op == "label"}
        self.alive = [sorted(live - self.known.keys()) for live in liveness(self.code)]
        self.changed = [sorted(known or ()) for known in forward(self.code, {0: frozenset[str]()}, _changed, frozenset.union)]
        self.meetings = _meetings(self.code)
        self.loops = {self.labels[label] for label in loop_labels(Action(action.name, (), tuple(self.code)))}
        self.ranges = _Ranges(self.code, self.known, places, program=bool(action.resumes))
        self.writer = StepWriter(places, names, _uses(self.code), predicate)
        self.predicate = predicate
        found = {str(i.field) for i in self.code if i.op == "store"}
        self.stored = [path for path in places.fields if path in found]
        self.same = names.fresh(f"{name}_same") if self.stored else ""
        self.operators: dict[int, str] = {0: name}  # where an operator begins -> its name
        self.calls: dict[int, set[int]] = {}
        self.rounds = "0"

    @property
    def may_break(self) -> set[str]:
        """The promises the action may break, once it is written."""
        return self.writer.may_break

    def definitions(self) -> list[str]:
        """The operators, each before those that use it; the last one is the action's."""
        texts: dict[int, str] = {}
        work = [0]
        while work:
            at = work.pop()
            self.calls[at] = set()
            texts[at] = self._definition(at)
            work += sorted(self.calls[at] - texts.keys() - set(work))
        order, circular = _ordered(self.calls)
        first = [f"RECURSIVE {self.operators[at]}({', '.join('_' * self._arity(at))})" for at in circular]
        return [*self._unchanged(), *first, *(texts[at] for at in order)]

    def _unchanged(self) -> list[str]:
        fields = ", ".join(f"{name} |-> {name}" for name in (self.places.names[path] for path in self.stored))
        return [f"{self.same} == [go |-> TRUE, broken |-> {{}}, {fields}]"] if self.stored else []

    def _arity(self, at: int) -> int:
        return len(self.known) + (len(self.alive[at]) + len(self.changed[at]) + bool(self.loops) if at else 0)

    def _definition(self, at: int) -> str:
        """The operator that begins there, and where in the source that is."""
        inner = self.writer.names = self.names.inner()
        for value in self.known.values():
            inner.fresh(value.text)
        path = TlaPath(dict(self.known), {f: self.places.names[f] for f in self.places.fields})
        written = [value.text for value in self.known.values()]
        for name in self.alive[at] if at else ():
            low, high = self.ranges.at(at, name)
            path.locals[name] = TlaValue(inner.fresh(name), low, high)
            written.append(path.locals[name].text)
        for name in self.changed[at]:
            written.append(inner.fresh(self.places.names[name] if name else "broke"))
            if name:
                path.fields[name] = written[-1]
            else:
                path.broken = written[-1]
        if at and self.loops:
            written.append(inner.fresh("rounds"))
        self.rounds = written[-1] if at and self.loops else "0"
        if at in self.loops:
            path.lines.append(f"IF {self.rounds} = {FUEL} THEN {self.writer.stop(path, '')} ELSE")
            self.rounds += " + 1"
        head = f"{self.operators[at]}({', '.join(written)})" if written else self.operators[at]
        site = self.code[at].site
        place = f"{site.position.file.rsplit('/', 1)[-1]}:{site.position.line}"
        return f"{head} ==  \\* {site.function} {place}\n{self._from(at, at, path, 1)}"

    def _from(self, begin: int, at: int, path: TlaPath, depth: int) -> str:
        """What the operator that begins at ``begin`` gives from an instruction on."""
        first = True
        while True:
            if at in self.meetings and not (first and at == begin):
                path.lines.append(self._call(begin, at, path))
                break
            first = False
            instr = self.code[at]
            with refusing(instr):
                if instr.op == "jump":
                    at = self.labels[str(instr.args[0])]
                    continue
                if instr.op in _ENDING:
                    path.lines.append(_ENDING[instr.op](self, begin, at, path, depth))
                    break
                if not self.writer.step(path, instr):
                    break
            at += 1
        indent = "  " * depth
        return "\n".join(line if line.startswith(" ") else indent + line for line in path.lines)

    def _call(self, begin: int, at: int, path: TlaPath) -> str:
        self.calls[begin].add(at)
        if at not in self.operators:
            self.operators[at] = self.names.fresh(f"{self.name}_at_{at}")
        given = [value.text for value in self.known.values()] + [path.value(name).text for name in self.alive[at]]
        given += [path.fields[name] if name else path.broken for name in self.changed[at]]
        given += [self.rounds] if self.loops else []
        return f"{self.operators[at]}({', '.join(given)})" if given else self.operators[at]

    def _branch(self, begin: int, at: int, path: TlaPath, depth: int) -> str:
        instr = self.code[at]
        value, (yes, no) = path.value(instr.args[0]), (self.labels[label] for label in instr.labels())
        if (holds := path.decided(value)) is not None:
            return self._from(begin, yes if holds else no, path.parted("TRUE"), depth)
        then = self._from(begin, yes, path.parted(value.truth), depth + 1)
        other = self._from(begin, no, path.parted(value.falsehood), depth)
        indent = "  " * depth
        return f"{indent}IF {value.truth} THEN\n{then}\n{indent}ELSE\n{other}"

    def _switch(self, begin: int, at: int, path: TlaPath, depth: int) -> str:
        """Which operator goes on: found by halving, as TLC tries the ways of a CASE one by one."""
        instr = self.code[at]
        value, labels = path.value(instr.args[0]), instr.labels()
        low, high = max(value.low, 0), min(value.high, len(labels) - 1)

        def among(low: int, high: int, depth: int) -> str:
            if low == high:
                return self._from(begin, self.labels[labels[low]], path.parted("TRUE"), depth)
            middle = (low + high) // 2
            indent = "  " * depth
            lower, upper = among(low, middle, depth + 1), among(middle + 1, high, depth + 1)
            return f"{indent}IF {value.text} <= {middle} THEN\n{lower}\n{indent}ELSE\n{upper}"

        return among(low, high, depth)

    def _choose(self, begin: int, at: int, path: TlaPath, depth: int) -> str:
        low, high = (path.value(operand) for operand in self.code[at].operands())
        name = str(self.code[at].args[0])
        chosen = TlaValue(self.writer.names.fresh(name), low.low, high.high)
        inner = path.parted("TRUE")
        inner.locals[name] = chosen
        indent = "  " * depth
        empty = "" if path.broken == "{}" else f"{indent}IF {low.text} > {high.text} THEN {self.writer.impossible(path)} ELSE\n"
        rest = self._from(begin, at + 1, inner, depth + 1)
        return f"{empty}{indent}UNION {{\n{rest}\n{indent}: {chosen.text} \\in {low.text}..{high.text}}}"

    def _end(self, begin: int, at: int, path: TlaPath, depth: int) -> str:
        changes = [f"!.{self.places.names[f]} = {path.fields[f]}" for f in self.stored if path.fields[f] != self.places.names[f]]
        changes += [f"!.broken = {path.broken}"] if path.broken != "{}" else []
        if not self.stored:
            return f"{{[go |-> TRUE, broken |-> {path.broken}]}}"
        return f"{{[{self.same} EXCEPT {', '.join(changes)}]}}" if changes else f"{{{self.same}}}"

    def _return(self, begin: int, at: int, path: TlaPath, depth: int) -> str:
        value = path.value(self.code[at].args[0])
        holds = path.decided(value)
        return f"{{[go |-> {value.truth if holds is None else str(holds).upper()}, broken |-> {path.broken}]}}"

    def _crash(self, begin: int, at: int, path: TlaPath, depth: int) -> str:
        return self.writer.stop(path, SOUND)


_ENDING = {
    "branch": TlaAction._branch, "switch": TlaAction._switch, "choose": TlaAction._choose, "end": TlaAction._end,
    "return": TlaAction._return, "crash": TlaAction._crash,
}  # fmt: skip
"""What ends a straight stretch of code."""


class _Ranges:
    """Which values a local may have where ways meet: for each of the places a program goes on from, those that can come there."""

    def __init__(self, code: Code, known: Mapping[str, TlaValue], places: Variables, *, program: bool) -> None:
        first = next(n for n, instr in enumerate(code) if instr.op == "switch") if program else 0
        begins = sorted(set(successors(code)[first])) if program else [0]
        self.parts: list[tuple[list[bool], dict[str, Expression32]]] = []
        for begin in begins:
            live = reachable(code, [begin])
            part = [*code[:first], *(instr for instr, there in zip(code, live, strict=True) if there)]
            self.parts.append((live, ranges(part, {param: value.range for param, value in known.items()}, places)))

    def at(self, place: int, name: str) -> tuple[int, int]:
        """The least and the greatest value of a local."""
        found = [ranges_.get(name, literal(0).range) for live, ranges_ in self.parts if live[place]]
        return min(value.low for value in found), max(value.high for value in found)


def _parameter(name: str, domain: Domain) -> TlaValue:
    """A parameter: a reference is never to nothing."""
    whole = of_domain(name, domain)
    return replace(whole, low=1) if isinstance(domain, Ref) else whole


def _meetings(code: Code) -> frozenset[int]:
    """Instructions at which ways meet, and those a switch goes to."""
    into: dict[int, int] = {0: 1}
    for n, (targets, there) in enumerate(zip(successors(code), reachable(code, [0]), strict=True)):
        for target in set(targets) if there else ():
            into[target] = into.get(target, 0) + (2 if code[n].op == "switch" else 1)
    return frozenset(n for n, count in into.items() if count > 1)


def _uses(code: Code) -> Mapping[str, int]:
    counts: dict[str, int] = {}
    for operand in (o for instr in code for o in instr.operands() if isinstance(o, str)):
        counts[operand] = counts.get(operand, 0) + 1
    return counts


def _changed(instr: Instr, known: frozenset[str]) -> frozenset[str]:
    if instr.op == "store":
        return known | {str(instr.field)}
    return known | {_BROKEN} if instr.op == "check" else known


def _ordered(calls: Mapping[int, set[int]]) -> tuple[list[int], list[int]]:
    """Operators, each after those it calls. The second list has those that call themselves."""
    done: dict[int, None] = {}
    open_: set[int] = set()
    circular: set[int] = set()

    def visit(at: int) -> None:
        open_.add(at)
        for there in sorted(calls[at]):
            if there in open_:
                circular.add(there)
            elif there not in done:
                visit(there)
        open_.remove(at)
        done[at] = None

    visit(0)
    return list(done), sorted(circular)
