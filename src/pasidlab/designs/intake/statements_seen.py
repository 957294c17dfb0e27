"""Which lines of a C function mean something in the model: those the preprocessor kept and the compiler made code of."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tree_sitter import Node

from pasidlab.designs.intake.spans import bare_lines
from pasidlab.errors import Position
from pasidlab.lang.c.declarators import text_of
from pasidlab.lang.c.parse import CFunction
from pasidlab.lang.c.vocabulary import vocabulary

_BODIES = ("consequence", "alternative", "body")


@dataclass(frozen=True)
class CompiledLines:
    """One function as it was compiled: ``made`` are the lines that gave code."""

    function: CFunction
    made: frozenset[int]

    def lines_of(self, text: str, number: int) -> list[int]:
        """The lines of the function that say this, comments aside; in a patch without a tree just the line of that number."""
        source = self.function.unit.source
        lines = source.text.split("\n")
        first, last = self._range(self.function.node)
        if source.places:
            return [number] if first <= number <= last else []
        bare = bare_lines(lines)
        return [n for n in range(first, last + 1) if n - 1 < len(bare) and bare[n - 1] == text]

    def calls(self, name: str) -> bool:
        """True if the function has a call of that name."""
        text = text_of(self.function.node)
        return re.search(rf"\b{name}\s*\(", text) is not None

    def says(self, text: str) -> bool:
        """True if one of the lines that was taken says this."""
        return text in bare_lines(self.function.unit.source.text.split("\n"))

    def at(self, position: Position) -> str | None:
        """What the line at a place says, comments aside; None if the function does not have it."""
        source = self.function.unit.source
        first, last = self._range(self.function.node)
        if position.file != self.function.position.file or not first <= position.line <= last:
            return None
        n = source.places.index((position.file, position.line)) if source.places else position.line - source.first
        return bare_lines(source.text.split("\n"))[n]

    def silent(self, line: int) -> str:
        """Why a line that says something means nothing; empty if it means something or is mere structure."""
        if line not in self._kept():
            return "left out by #if"
        branch = self._branch(self.function.body, line)
        if branch is None:
            return ""
        first, last = self._range(branch)
        if any(first <= made <= last for made in self.made):
            return ""
        acts = _acts(branch) and not _for_other_machines(branch)
        return "the condition it depends on is never true in the model, or not in this scope" if acts else ""

    def _kept(self) -> frozenset[int]:
        unit = self.function.unit
        text = unit.text.encode()
        said = (into for out, into in zip(unit.outs, unit.ins, strict=True) if text[out : out + 1].strip())
        return frozenset(unit.source.position(into).line for into in said)

    def _range(self, node: Node) -> tuple[int, int]:
        unit = self.function.unit
        return unit.position(node.start_byte).line, unit.position(max(node.end_byte - 1, node.start_byte)).line

    def _branch(self, node: Node, line: int) -> Node | None:
        """The innermost branch of an if or a loop that has the line."""
        found = None
        work = [node]
        while work:
            one = work.pop()
            for n, inner in enumerate(one.children):
                first, last = self._range(inner)
                if first <= line <= last:
                    if one.field_name_for_child(n) in _BODIES and one.type != "function_definition":
                        found = inner
                    work.append(inner)
        return found


def _for_other_machines(branch: Node) -> bool:
    """True for a branch of machines that lack what the model's machine must have, or there were no ENQCMD."""
    condition = branch.parent.child_by_field_name("condition") if branch.parent is not None else None
    text = text_of(condition)
    features = [vocabulary().features.get(name, False) for name in re.findall(r"X86_FEATURE_\w+", text)]
    return all(features) and bool(features or re.search(r"\buse_\w+\(", text))


def _acts(node: Node) -> bool:
    """True if there is a call or an assignment in it."""
    work = [node]
    while work:
        one = work.pop()
        if one.type in ("call_expression", "assignment_expression", "update_expression", "return_statement", "goto_statement"):
            return True
        work += one.named_children
    return False
