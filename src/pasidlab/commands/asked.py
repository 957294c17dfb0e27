"""The options of ``check``, and what they ask for."""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING

from pasidlab import designs
from pasidlab.commands.scopes import AskedScope, asked_scope
from pasidlab.errors import PasidlabError

if TYPE_CHECKING:
    from pasidlab.checking.api import AskedParts
    from pasidlab.checking.reductions import Reductions
    from pasidlab.designs import Design, Opening
    from pasidlab.designs.opening import Side
    from pasidlab.search.result import Budget
    from pasidlab.search.simulate import Walks

NEVER = 1 << 62  # states after a violation: both sides of a comparison are explored to the end
SIZES = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}


def number_asked(text: str | None, option: str) -> int | None:
    """A whole number with K, M or G."""
    if text is None:
        return None
    digits, suffix = (text[:-1], text[-1].upper()) if text[-1:].upper() in ("K", "M", "G") else (text, "")
    try:
        value = int(float(digits) * SIZES[suffix])
    except (ValueError, OverflowError):
        value = 0
    if value <= 0:
        raise PasidlabError(f"{option} {text} is not a positive number", hint="for example 500K, 20M, 4G")
    return value


@dataclass(frozen=True)
class Asked:
    """The options of ``check``."""

    names: tuple[str, ...]
    kernel: str | None
    base: str | None
    config: tuple[str, ...]
    stub: tuple[str, ...]
    allow_unjudged: tuple[str, ...]
    compare: bool
    reverse: bool
    matrix: str | None
    thorough: bool
    cpus: int | None
    tasks: int | None
    mms: int | None
    pasids: int | None
    size: tuple[str, ...]
    events: str | None
    properties: tuple[str, ...]
    jobs: int | None
    max_states: str | None
    max_memory: str | None
    timeout: float | None
    as_json: bool
    outputs: tuple[str, ...]
    no_merge: bool
    no_symmetry: bool
    no_forget: bool
    no_local_first: bool
    checkpoint: str | None
    spill: str | None
    simulate: float | None
    seed: int | None
    evidence: bool
    prove: bool
    smt: str | None
    quiet: bool
    verbose: bool

    def opening(self, name: str, side: Side = "") -> Opening:
        """What opens the design of a name."""
        return designs.Opening(
            name, self.base, self.config, self.stub, self.kernel, allow_unjudged=self.allow_unjudged, reverse=self.reverse, side=side
        )

    def budget(self) -> Budget:
        """When to give up."""
        from pasidlab.search.result import Budget

        if self.timeout is not None and isnan(self.timeout):
            raise PasidlabError("--timeout nan is not a number of seconds")
        limits = number_asked(self.max_states, "--max-states"), number_asked(self.max_memory, "--max-memory"), self.timeout
        return Budget(*limits, NEVER if self.compare else None, Path(self.spill).absolute() if self.spill else None)

    def matrix_alone(self) -> None:
        """Raises PasidlabError if an option says what a matrix says."""
        said = {
            "a design": self.names, "--kernel": self.kernel, "--config": self.config, "--compare": self.compare, "--events": self.events,
            "--size": self.size, "--cpus": self.cpus, "--tasks": self.tasks, "--mms": self.mms, "--pasids": self.pasids,
            "--thorough": self.thorough,
        }  # fmt: skip
        for option, given in said.items():
            if given:
                raise PasidlabError(f"--matrix says what is checked, and so does {option}", hint="put it into the file")

    def scopes(self, design: Design) -> AskedParts:
        """What is explored of a design; None: its default parts. PasidlabError for an unknown size or event, or options that disagree."""
        asked = self.scope()
        if not self.thorough:
            return asked.of(design)
        if asked.sizes or asked.events is not None:
            said = "--thorough explores parts of its own, and a size or --events makes one scope"
            raise PasidlabError(said, hint="leave out one of them")
        return design.thorough_parts

    def walks(self) -> Walks | None:
        """The random walks that take the place of a search; None: there is a search. PasidlabError for options that exclude each other."""
        from pasidlab.search.simulate import Walks

        if self.simulate is None:
            if self.seed is not None:
                raise PasidlabError("--seed is for random walks", hint=f"--simulate 60 --seed {self.seed}")
            return None
        if isnan(self.simulate):
            raise PasidlabError("--simulate nan is not a number of seconds")
        of_a_search = {
            "--max-states": self.max_states, "--max-memory": self.max_memory, "--evidence": self.evidence, "--checkpoint": self.checkpoint,
            "--spill": self.spill,
        }  # fmt: skip
        for option, given in of_a_search.items():
            if given:
                raise PasidlabError(f"{option} is for a search, and --simulate makes random walks", hint=f"leave out {option}")
        return Walks(self.simulate, self.seed or 0)

    def reductions(self) -> Reductions:
        """What is not switched off."""
        from pasidlab.checking.reductions import Reductions

        return Reductions(not self.no_merge, not self.no_symmetry, not self.no_forget, not self.no_local_first)

    def scope(self) -> AskedScope:
        """The sizes and events the options ask for."""
        named = {"cpus": self.cpus, "tasks": self.tasks, "mms": self.mms, "pasids": self.pasids}
        return asked_scope(named, self.size, self.events)
