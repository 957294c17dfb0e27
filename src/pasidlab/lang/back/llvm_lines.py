"""Lines of LLVM IR, one instruction after the other, each result under a new name."""

from __future__ import annotations


class Lines:
    """The body of a function that is being written."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.fresh = 0

    def temp(self) -> str:
        """A new SSA name."""
        self.fresh += 1
        return f"%t{self.fresh}"

    def put(self, text: str) -> None:
        """One line of the body."""
        self.lines.append("  " + text)

    def op(self, text: str) -> str:
        """An instruction with a result."""
        name = self.temp()
        self.put(f"{name} = {text}")
        return name

    def get(self, pointer: str) -> str:
        """A loaded word."""
        return self.op(f"load i64, ptr {pointer}")

    def index(self, base: str, number: int | str) -> str:
        """The address of word ``number`` behind ``base``."""
        return self.op(f"getelementptr i64, ptr {base}, i64 {number}")

    def do(self, operation: str, a: int | str, b: int | str) -> str:
        """A binary operation on 64-bit words."""
        return self.op(f"{operation} i64 {a}, {b}")

    def block(self, label: str) -> None:
        """Start a basic block."""
        self.lines.append(f'"{label}":')
