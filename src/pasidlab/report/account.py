"""What one command explored, for the formats that tell it: results, designs, the command itself, and how files are named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pasidlab.checking.compare import Comparison
from pasidlab.checking.result import CheckResult
from pasidlab.designs import BUILT_IN, Design, Opening

PACKAGE = Path(__file__).parents[1]


@dataclass(frozen=True)
class Checked:
    """One design and what its check found. ``opened`` is what opens it again, where a name alone does not."""

    design: Design
    result: CheckResult
    opened: Opening | None = None

    @property
    def file(self) -> str:
        """The file of the design, as it was named."""
        return self.design.origin or str(self.design.path)


@dataclass(frozen=True)
class FileName:
    """A file as documents name it: ``path`` is relative to the base of that name, or absolute where ``base`` is empty."""

    base: str
    path: str


@dataclass(frozen=True)
class Account:
    """All that one command explored. ``missing`` names the designs that were not, ``ended`` says what ended the command."""

    checked: tuple[Checked, ...]
    missing: tuple[str, ...] = ()
    ended: str = ""
    command: tuple[str, ...] = ()
    kernel: str | None = None
    directory: Path = field(default_factory=Path.cwd)
    comparison: Comparison | None = None  # of a patch: the first result is before it, the second after it

    @property
    def results(self) -> Sequence[CheckResult]:
        """The results, in the order in which the designs were named."""
        return tuple(entry.result for entry in self.checked)

    @property
    def properties(self) -> dict[str, str]:
        """The properties of all designs, each with what it means; in models of one's own one name may mean several things."""
        said: dict[str, list[str]] = {}
        for design in [entry.design for entry in self.checked] or [*BUILT_IN.values()][:1]:
            for p in design.properties:
                sentences = said.setdefault(p.name, [])
                sentences += [p.sentence] if p.sentence not in sentences else []
        return {name: "; or ".join(sentences) for name, sentences in said.items()}

    @property
    def title(self) -> str:
        """What was checked, in words."""
        own = [entry.design.name for entry in self.checked if entry.design.own]
        return ", ".join(own) if own and len(own) == len(self.checked) else "How a process gets its PASID"

    @property
    def bases(self) -> dict[str, Path]:
        """The folders that files are named relative to; the first that holds a file is its base."""
        tree = {"KERNEL": Path(self.kernel).absolute()} if self.kernel else {}
        return {"PASIDLAB": PACKAGE, **tree, "SRCROOT": self.directory}

    def place(self, file: str) -> FileName:
        """How documents name a file. A name that is no path, as ``<stdin>``, stays what it is."""
        path = Path(file)
        if path.is_absolute():
            for base, folder in self.bases.items():
                if path.is_relative_to(folder):
                    return FileName(base, path.relative_to(folder).as_posix())
            return FileName("", path.as_posix())
        return FileName("SRCROOT" if (self.directory / path).is_file() else "", path.as_posix())

    @property
    def exit_code(self) -> int:
        """The exit code of the comparison if there is one.

        Else 1 if anything is violated, 3 if anything is inconclusive or was not explored, 0 otherwise.
        """
        if self.comparison is not None:
            return 3 if self.missing else self.comparison.exit_code
        verdicts = {result.verdict for result in self.results}
        if "violated" in verdicts:
            return 1
        return 3 if "inconclusive" in verdicts or self.missing else 0

    @property
    def finished(self) -> bool:
        """True if every design has its verdict: nothing is inconclusive, interrupted, in error or left unexplored."""
        settled = all(r.verdict != "inconclusive" and not r.error and not r.interrupted for r in self.results)
        return settled and not self.missing and not self.ended
