"""LLVM's assembler for x86-64: text to machine code, without a compiler on the machine."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cache
from typing import Any


@dataclass(frozen=True)
class Assembled:
    """Machine code, and where its labels are, in bytes from the start."""

    data: bytes
    labels: dict[str, int]


class Assembler:
    """LLVM's assembler for x86-64."""

    def __init__(self) -> None:
        import llvmlite.binding as llvm

        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        llvm.initialize_native_asmparser()
        self._llvm: Any = llvm
        self._machine = llvm.Target.from_triple("x86_64-pc-linux-gnu").create_target_machine(reloc="pic")

    def assemble(self, text: str, labels: tuple[str, ...]) -> Assembled:
        """The code of ``text``; it must not need relocation."""
        table = "\n".join(f".long {label} - begin" for label in labels)
        lines = f".text\nbegin:\n{text}\n.section .labels\n{table}".splitlines()
        source = 'target triple = "x86_64-pc-linux-gnu"\n' + "\n".join(f'module asm "{line}"' for line in lines)
        built = self._llvm.ObjectFileRef.from_data(self._machine.emit_object(self._llvm.parse_assembly(source)))
        sections = {section.name(): bytes(section.data()) for section in built.sections() if section.size()}
        assert not any(name.startswith(b".rel") for name in sections)
        offsets = struct.unpack(f"<{len(labels)}I", sections[b".labels"])
        return Assembled(sections[b".text"], dict(zip(labels, offsets, strict=True)))


@cache
def assembler() -> Assembler:
    """The one of this process; LLVM is loaded when it is first asked for."""
    return Assembler()
