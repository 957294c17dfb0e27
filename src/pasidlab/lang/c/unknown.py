"""Names the vocabulary does not know: gathered over a whole run and reported together."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable
from dataclasses import dataclass, field

from pasidlab.errors import PasidlabError, Position
from pasidlab.lang.c.vocabulary import vocabulary
from pasidlab.lang.names import nearest


@dataclass(frozen=True)
class Stub:
    """What to do where a name is used: ``noop``, or ``unconstrained`` over a range of values."""

    kind: str
    low: int = 0
    high: int = 1


def read_stubs(words: Iterable[str]) -> dict[str, Stub]:
    """``name=noop``, ``name=unconstrained`` and ``name=unconstrained:LOW..HIGH`` as the command line gives them."""
    stubs = {}
    for word in words:
        match = re.fullmatch(r"([\w.*]+)=(noop|unconstrained)(?::(-?\d+)\.\.(-?\d+))?", word)
        if not match or (match.group(2) == "noop" and match.group(3)):
            raise PasidlabError(
                f"cannot read stub '{word}'", hint="--stub name=noop, --stub name=unconstrained or --stub name=unconstrained:-1..3"
            )
        low, high = int(match.group(3) or 0), int(match.group(4) or 1)
        if low > high or high - low > 64:
            raise PasidlabError(f"stub '{word}': from {low} to {high} is no range to try", hint="at most 64 values, the lower one first")
        stubs[match.group(1)] = Stub(match.group(2), low, high)
    return stubs


@dataclass
class Unknowns:
    """The names not known, each at the places that use it."""

    found: dict[str, tuple[str, Position]] = field(default_factory=dict)
    used_by: dict[str, tuple[str, str, Position]] = field(default_factory=dict)  # function -> the first name unknown in it

    def add(self, name: str, kind: str, at: Position, function: str) -> None:
        """Remember a use; the first place is kept."""
        self.used_by.setdefault(function, (name, kind, at))
        self.found.setdefault(name, (kind, at))

    def raise_if_any(self, known: Iterable[str], model: Container[str] = ()) -> None:
        """Raises one PasidlabError for all unknown names, if there are any. ``model``: the functions of the kernel around."""
        if not self.found:
            return
        names = sorted(set(known))
        lines = [f"{at}: {_what(name, kind, model)}{_closest(name, names)}" for name, (kind, at) in self.found.items()]
        count = len(lines)
        first = next(iter(self.found.values()))[1]
        what = lines[0].split(": ", 1)[1] if count == 1 else f"{count} names mean nothing to the model:\n  " + "\n  ".join(lines)
        example = next(iter(self.found))
        raise PasidlabError(
            what, position=first,
            hint=f"--stub {example}=noop leaves it out, --stub {example}=unconstrained tries every value; "
            "model/linux/vocabulary.toml says what every known name means",
        )  # fmt: skip


def _what(name: str, kind: str, model: Container[str]) -> str:
    """What is wrong with a use of a name: nobody knows it, or not with these arguments."""
    known = _forms(name, model) if kind == "function" else []
    return f"{name}() is not known with these arguments: the model knows {', '.join(known)}" if known else f"unknown {kind} '{name}'"


def _forms(name: str, model: Container[str]) -> list[str]:
    """The calls of a name that mean something; of functions that a file may define only those of the kernel around."""
    words = vocabulary()
    calls = [f"{name}({', '.join(argument.name for argument in pattern.args)})" for pattern, _ in words.calls.get(name, ())]
    return calls or [f"{name}({', '.join(entry.params)})" for entry in words.replacements.get(name, ()) if entry.model in model]


def _closest(name: str, names: list[str]) -> str:
    """What a name may have been meant to be; of a struct, the members that mean something."""
    if name in names:
        return ""
    struct, dot, _ = name.partition(".")
    alike = [known for known in names if ("." in known) == bool(dot)]
    hint = nearest(name, alike)
    if hint.startswith("did you mean"):
        return f" ({hint})"
    members = [known.removeprefix(f"{struct}.") for known in alike if dot and known.startswith(f"{struct}.")]
    return f" (of {struct} the model knows {', '.join(members)})" if members else ""
