"""Registers of a thread as gdb knows them: a description in XML, and their bytes in its order.

GDB manual, appendix G, "i386 Features"; names and order are those of gdb's own files features/i386/64bit-*.xml.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from pasidlab.live import ptrace, registers
from pasidlab.live.registers import Registers

_GENERAL = ("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", *(f"r{number}" for number in range(8, 16)), "rip")
_SEGMENTS = ("cs", "ss", "ds", "es", "fs", "gs")
_X87 = ("fctrl", "fstat", "ftag", "fiseg", "fioff", "foseg", "fooff", "fop")
_X87_TYPE = 2  # NT_PRFPREG, linux/elf.h: the FXSAVE area, SDM volume 1, 10.5.1
_ST, _XMM = 32, 160  # bytes in that area

_VECTORS = """
  <vector id="v4f" type="ieee_single" count="4"/><vector id="v2d" type="ieee_double" count="2"/>
  <vector id="v16i8" type="int8" count="16"/><vector id="v8i16" type="int16" count="8"/>
  <vector id="v4i32" type="int32" count="4"/><vector id="v2i64" type="int64" count="2"/>
  <union id="vec128"><field name="v4_float" type="v4f"/><field name="v2_double" type="v2d"/>
    <field name="v16_int8" type="v16i8"/><field name="v8_int16" type="v8i16"/><field name="v4_int32" type="v4i32"/>
    <field name="v2_int64" type="v2i64"/><field name="uint128" type="uint128"/></union>"""


@dataclass(frozen=True)
class _Register:
    """A register of the description, and where its value is: ``at`` counts bytes of the FXSAVE area, else words of PTRACE_GETREGS."""

    name: str
    bits: int
    kind: str
    at: int
    in_fxsave: bool = False

    @property
    def size(self) -> int:
        """Bytes."""
        return self.bits // 8


def _index(name: str) -> int:
    return int(getattr(registers, name.upper()))


def _fxsave() -> list[_Register]:
    """FXSAVE: FCW 0, FSW 2, FTW 4, FOP 6, FIP 8, FCS 12, FDP 16, FDS 20."""
    places = dict(zip(_X87, (0, 2, 4, 12, 8, 20, 16, 6), strict=True))
    return [_Register(name, 32, "int", at, in_fxsave=True) for name, at in places.items()]


_FEATURES: dict[str, list[_Register]] = {
    "org.gnu.gdb.i386.core": [
        *(_Register(name, 64, {"rip": "code_ptr", "rsp": "data_ptr", "rbp": "data_ptr"}.get(name, "int64"), _index(name))
          for name in _GENERAL),
        _Register("eflags", 32, "int", _index("eflags")),
        *(_Register(name, 32, "int32", _index(name)) for name in _SEGMENTS),
        *(_Register(f"st{number}", 80, "i387_ext", _ST + 16 * number, in_fxsave=True) for number in range(8)),
        *_fxsave(),
    ],
    "org.gnu.gdb.i386.sse": [
        *(_Register(f"xmm{number}", 128, "vec128", _XMM + 16 * number, in_fxsave=True) for number in range(16)),
        _Register("mxcsr", 32, "int", 24, in_fxsave=True),
    ],
    "org.gnu.gdb.i386.linux": [_Register("orig_rax", 64, "int", _index("orig_rax"))],
    "org.gnu.gdb.i386.segments": [_Register(name, 64, "int", _index(name)) for name in ("fs_base", "gs_base")],
}  # fmt: skip
_ALL = [register for found in _FEATURES.values() for register in found]
_NARROW = {"fctrl": 2, "fstat": 2, "fiseg": 2, "foseg": 2, "fop": 2}  # bytes of those that FXSAVE keeps in fewer than four


def description() -> str:
    """target.xml."""
    features = ""
    for name, found in _FEATURES.items():
        lines = "".join(f'  <reg name="{one.name}" bitsize="{one.bits}" type="{one.kind}"/>\n' for one in found)
        features += f'<feature name="{name}">{_VECTORS if name.endswith("sse") else ""}\n{lines}</feature>\n'
    return (
        '<?xml version="1.0"?>\n<!DOCTYPE target SYSTEM "gdb-target.dtd">\n<target>\n'
        f"<architecture>i386:x86-64</architecture>\n<osabi>GNU/Linux</osabi>\n{features}</target>\n"
    )


class ThreadRegisters:
    """The registers of a thread that stands still."""

    def __init__(self, tid: int) -> None:
        self._tid, self._words = tid, Registers()
        ptrace.get_registers(tid, self._words)
        self._fxsave = bytearray(ptrace.register_set(tid, _X87_TYPE))

    def whole(self) -> bytes:
        """All of them, in order."""
        return b"".join(self._get(register) for register in _ALL)

    def one(self, number: int) -> bytes:
        """Register ``number`` of the description. IndexError: there is none."""
        return self._get(_ALL[number])

    def set_one(self, number: int, value: bytes) -> None:
        """Another value for the thread's register. IndexError, ValueError: there is none of this size."""
        self._set(_ALL[number], value)
        self._write()

    def set_whole(self, data: bytes) -> None:
        """Others for all. ValueError: too few."""
        for register in _ALL:
            self._set(register, data[: register.size])
            data = data[register.size :]
        self._write()

    def _write(self) -> None:
        ptrace.set_registers(self._tid, self._words)
        ptrace.set_register_set(self._tid, _X87_TYPE, bytes(self._fxsave))

    def _get(self, register: _Register) -> bytes:
        if register.name == "ftag":
            return _full_tags(self._fxsave).to_bytes(4, "little")
        if register.in_fxsave:
            size = _NARROW.get(register.name, register.size)
            return bytes(self._fxsave[register.at : register.at + size]).ljust(register.size, b"\0")
        return (self._words[register.at] & (1 << register.bits) - 1).to_bytes(register.size, "little")

    def _set(self, register: _Register, value: bytes) -> None:
        if len(value) != register.size:
            raise ValueError(register.name)
        if register.name == "ftag":
            tags = int.from_bytes(value, "little")
            self._fxsave[register.at] = sum((tags >> 2 * place & 3 != 3) << place for place in range(8))
        elif register.in_fxsave:
            size = _NARROW.get(register.name, register.size)
            self._fxsave[register.at : register.at + size] = value[:size]
        else:
            self._words[register.at] = int.from_bytes(value, "little")


def _full_tags(fxsave: bytearray) -> int:
    """The x87 tag word of FSTENV, from the byte that FXSAVE keeps of it (SDM volume 1, 8.1.7 and 10.5.1.1)."""
    top, tags = fxsave[3] >> 3 & 7, 0
    for physical in range(8):
        tag = 3
        if fxsave[4] >> physical & 1:
            at = _ST + 16 * ((physical - top) % 8)
            fraction, exponent = struct.unpack_from("<QH", fxsave, at)
            exponent &= 0x7FFF
            tag = 1 if exponent == fraction == 0 else 2  # zero, or special
            if exponent != 0x7FFF and fraction >> 63:
                tag = 0  # valid
        tags |= tag << 2 * physical
    return tags
