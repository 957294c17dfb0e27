"""A symbolic state: each field a function of its element, and what a step has stored since, in order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import z3

from pasidlab.lang.ir import Instr
from pasidlab.lang.types import BOOL, Field
from pasidlab.prove.general import General
from pasidlab.prove.values import (
    Element,
    SymbolicNumber,
    SymbolicValue,
    bound_of,
    element,
    field_sort,
    nobody,
    number,
    truth,
    unknown_function,
    values_of,
)


@dataclass(frozen=True)
class Fields:
    """What a state's fields are before a step: symbols, or their defaults in the states before ``@initial``."""

    general: General
    table: Mapping[str, Field]
    defaults: bool = False
    facts: dict[tuple[str, tuple[int, ...]], tuple[tuple[Any, ...], Any]] = field(default_factory=dict, compare=False, repr=False)

    def fact(self, name: str, terms: tuple[Any, ...], make: Callable[[], Any]) -> Any:
        """A formula of that name about terms, made once: making it is slow, and most steps have the same ones."""
        key = name, tuple(term.get_id() for term in terms)
        if key not in self.facts:
            self.facts[key] = terms, make()  # a term that is kept keeps its number
        return self.facts[key][1]

    def before(self, path: str, at: Any) -> Any:
        """The content of a field of an element (a term, or the number of an element from 1), before the step."""
        f = self.table[path]
        of_sort = self.general.sort_of(f.domain)
        if self.defaults or f.observer:
            if of_sort:
                return nobody(of_sort)
            return z3.BoolVal(bool(f.default)) if f.domain == BOOL else z3.IntVal(f.default)
        if self.general.any_number(f):
            return unknown_function(path, f.struct, field_sort(f.domain, of_sort))(at)
        name = path if f.count == 1 else f"{path}.{int(at) - 1}"
        return z3.Const(name, field_sort(f.domain, of_sort))

    def value(self, path: str, term: Any) -> SymbolicValue:
        """A term of a field's content as a value."""
        f = self.table[path]
        of_sort = self.general.sort_of(f.domain)
        if of_sort:
            return Element(term, of_sort)
        if z3.is_int_value(term):
            return int(term.as_long())
        if z3.is_true(term) or z3.is_false(term):
            return int(z3.is_true(term))
        return SymbolicNumber(term, values_of(f.domain), bound_of(f.domain))

    def content(self, path: str, value: SymbolicValue, instr: Instr) -> Any:
        """A value as a term that a field can hold. Refuses what is no reference where one belongs."""
        f = self.table[path]
        if of_sort := self.general.sort_of(f.domain):
            return element(value, of_sort, instr)
        return truth(value) if f.domain == BOOL else number(value, instr)


@dataclass(frozen=True)
class SymbolicState:
    """A state as a step sees it half way. ``stores`` are (element, content) by field, the last one last."""

    fields: Fields
    stores: Mapping[str, tuple[tuple[Any, Any], ...]] = field(default_factory=dict)

    def read(self, path: str, at: Any) -> Any:
        """The content of a field of an element: a term, or the number of an element from 1."""
        term = self.fields.before(path, at)
        for where, content in self.stores.get(path, ()):
            if isinstance(where, int):
                term = content if where == at else term
            else:
                term = content if where.eq(at) else z3.If(where == at, content, term)
        return term

    def stored(self, path: str, at: Any, content: Any) -> SymbolicState:
        """The state after a store."""
        return replace(self, stores={**self.stores, path: (*self.stores.get(path, ()), (at, content))})

    def settled(self) -> SymbolicState:
        """The state after the step: fields that are no part of it are as before."""
        kept = {path: stores for path, stores in self.stores.items() if not self.fields.table[path].observer}
        return replace(self, stores=kept)

    def written(self, path: str) -> tuple[Any, ...]:
        """The elements of which a field was stored."""
        return tuple(where for where, _ in self.stores.get(path, ()))
