"""Loads and stores of a symbolic execution, and the faults they may be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import z3

from pasidlab.lang.ir import SOUND, Instr
from pasidlab.prove.general import General
from pasidlab.prove.state import Fields
from pasidlab.prove.values import Element, SymbolicValue, element, inside, number, refused, truth
from pasidlab.prove.ways import Feasible, PathEnd, SymbolicPath, possible


@dataclass(frozen=True)
class Accesses:
    """What loads and stores do: the faults first, then the path that goes on, if one does."""

    general: General
    fields: Fields
    feasible: Feasible

    def access(self, path: SymbolicPath, instr: Instr) -> Iterator[SymbolicPath | PathEnd]:
        """A load, a store, or a look at a field that is left out of the state. Following nothing is a fault of the kernel."""
        if instr.op == "deref":
            value = path.value(instr.args[0])
            yield from self._followed(path, value, instr, instr.text)
            return
        dst = instr.args[0] if instr.op == "load" else ""
        field_path = str(instr.field)
        f = self.fields.table[field_path]
        at = path.value(instr.element)
        if self.general.any_number(f):
            term = element(at, f.struct, instr)
            for found in self._followed(path, Element(term, f.struct), instr, field_path):
                if isinstance(found, PathEnd):
                    yield found
                else:
                    yield from self._at(found.with_element(Element(term, f.struct)), instr, field_path, term, dst)
            return
        if isinstance(at, Element):
            raise refused(instr, f"{field_path} of an element of {at.sort}")
        for found in self._followed(path, at, instr, field_path, f.count):
            if isinstance(found, PathEnd):
                yield found
            elif isinstance(at, int):
                yield from self._at(found, instr, field_path, at, dst)
            else:
                yield from self._one_of(found, instr, field_path, at, dst)

    def _followed(
        self, path: SymbolicPath, at: SymbolicValue, instr: Instr, what: str, number_: int = 0
    ) -> Iterator[SymbolicPath | PathEnd]:
        """A fault where there is no such element, and the path on which there is one."""
        there = truth(at)
        wrong = possible(path, self.feasible, z3.Not(there))
        if wrong is not None and not z3.is_true(z3.simplify(there)):
            yield PathEnd("fault", wrong, instr.site, property=SOUND, sentence=f"NULL pointer dereference: {what} of nothing")
        if number_ and not isinstance(at, int):
            term = number(at, instr)
            beyond = possible(path, self.feasible, z3.Or(term < 0, term > number_))
            if beyond is not None:
                yield PathEnd("fault", beyond, instr.site, sentence=f"{what}: no such element")
            there = z3.And(term >= 1, term <= number_)
        elif number_ and isinstance(at, int) and at > number_:
            yield PathEnd("fault", path, instr.site, sentence=f"{what}: no element {at - 1}")
            return
        good = possible(path, self.feasible, there)
        if good is not None:
            yield good

    def _one_of(
        self, path: SymbolicPath, instr: Instr, field_path: str, at: SymbolicValue, dst: object
    ) -> Iterator[SymbolicPath | PathEnd]:
        """An access to one of a fixed number of elements, which one is not known."""
        f = self.fields.table[field_path]
        term = number(at, instr)
        if instr.op == "load":
            contents = [path.state.read(field_path, n) for n in range(1, f.count + 1)]
            result = contents[-1]
            for n in range(f.count - 1, 0, -1):
                result = z3.If(term == n, contents[n - 1], result)
            yield path.assigned(dst, self.fields.value(field_path, z3.simplify(result)))
            return
        for found in self._checked(path, instr, field_path):
            if isinstance(found, PathEnd):
                yield found
                continue
            content = self.fields.content(field_path, path.value(instr.args[2]), instr)
            state = found.state
            for n in range(1, f.count + 1):
                state = state.stored(field_path, n, z3.If(term == n, content, state.read(field_path, n)))
            yield replace(found, state=state)

    def _at(self, path: SymbolicPath, instr: Instr, field_path: str, at: Any, dst: object) -> Iterator[SymbolicPath | PathEnd]:
        if instr.op == "load":
            term = z3.simplify(path.state.read(field_path, at))
            yield path.assigned(dst, self.fields.value(field_path, term))
            return
        for found in self._checked(path, instr, field_path):
            if isinstance(found, PathEnd):
                yield found
            else:
                content = self.fields.content(field_path, path.value(instr.args[2]), instr)
                yield replace(found, state=found.state.stored(field_path, at, content))

    def _checked(self, path: SymbolicPath, instr: Instr, field_path: str) -> Iterator[SymbolicPath | PathEnd]:
        """A fault where a value does not fit into a field, and the path on which it does."""
        f = self.fields.table[field_path]
        value = path.value(instr.args[2])
        if self.general.sort_of(f.domain):
            yield path
            return
        if isinstance(value, Element):
            raise refused(instr, f"an element of {value.sort} is stored in {field_path}")
        fits = inside(value, f.domain, instr)
        wrong = None if z3.is_true(z3.simplify(fits)) else possible(path, self.feasible, z3.Not(fits))
        if wrong is not None:
            yield PathEnd("fault", wrong, instr.site, sentence=f"a value outside {f.domain} is stored to {field_path}")
        good = possible(path, self.feasible, fits)
        if good is not None:
            yield good
