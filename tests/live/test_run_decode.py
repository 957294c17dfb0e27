"""Decoding, against encodings that assemblers emit."""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path

import pytest

from pasidlab.live.decode import InstructionKind, decode
from pasidlab.live.registers import ENCODING, FS_BASE, GS_BASE, RIP, Registers

NAMES = ("rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", *(f"r{n}" for n in range(8, 16)))


def registers() -> Registers:
    """Each register holds something else."""
    values = Registers()
    for number, index in enumerate(ENCODING):
        values[index] = 0x1000_0000_0000 + number * 0x11_0000_1000
    values[FS_BASE], values[GS_BASE], values[RIP] = 0x7000_0000_0000, 0x7100_0000_0000, 0x40_0000
    return values


@pytest.mark.parametrize(
    ("code", "kind", "length", "destination", "source"),
    [
        ("f20f38f802", InstructionKind.ENQCMD, 5, "rax", ("rdx", None, 1, 0)),
        ("f20f38f805cd2f0000", InstructionKind.ENQCMD, 9, "rax", ("rip", None, 1, 0x2FCD)),
        ("f30f38f83e", InstructionKind.ENQCMDS, 5, "rdi", ("rsi", None, 1, 0)),
        ("660f38f84708", InstructionKind.MOVDIR64B, 6, "rax", ("rdi", None, 1, 8)),
        ("66f20f38f802", InstructionKind.ENQCMD, 6, "rax", ("rdx", None, 1, 0)),
        ("f2470f38f844b580", InstructionKind.ENQCMD, 8, "r8", ("r13", "r14", 4, -128)),
        ("f20f38f80425eeffffff", InstructionKind.ENQCMD, 10, "rax", (None, None, 1, -18)),
        ("f2490f38f80424", InstructionKind.ENQCMD, 7, "rax", ("r12", None, 1, 0)),
        ("f2440f38f8bc2400010000", InstructionKind.ENQCMD, 11, "r15", ("rsp", None, 1, 256)),
        ("f2410f38f80d10000000", InstructionKind.ENQCMD, 10, "rcx", ("rip", None, 1, 16)),
        ("f2420f38f8046500000000", InstructionKind.ENQCMD, 11, "rax", (None, "r12", 2, 0)),
    ],
)
def test_memory_forms(code: str, kind: InstructionKind, length: int, destination: str, source: tuple) -> None:
    instruction = decode(bytes.fromhex(code) + b"\x90" * 3)
    assert instruction is not None
    assert (instruction.kind, instruction.length) == (kind, length)
    values = registers()
    at = {name: values[index] for name, index in zip(NAMES, ENCODING, strict=True)} | {
        "rip": values[RIP] + length,
        None: 0,
    }
    base, index, scale, displacement = source
    assert instruction.destination(values) == at[destination]
    assert instruction.source(values) == (at[base] + at[index] * scale + displacement) & (1 << 64) - 1


def test_segments_and_32_bit_addresses() -> None:
    values = registers()
    short = decode(bytes.fromhex("67f20f38f802"))
    assert short is not None and short.destination(values) == values[ENCODING[0]] & 0xFFFFFFFF
    assert short.source(values) == values[ENCODING[2]] & 0xFFFFFFFF
    local = decode(bytes.fromhex("64f20f38f802"))
    assert local is not None and local.source(values) == values[ENCODING[2]] + values[FS_BASE]
    assert local.destination(values) == values[ENCODING[0]], "the destination is always in ES"


def test_waits_and_what_is_not_ours() -> None:
    kinds = {"f30faef7": InstructionKind.UMONITOR, "f20faef1": InstructionKind.UMWAIT, "66410faef0": InstructionKind.TPAUSE}
    for code, kind in kinds.items():
        instruction = decode(bytes.fromhex(code))
        assert instruction is not None and (instruction.kind, instruction.length) == (kind, len(code) // 2)
    for code in (
        "0f0b",
        "f20f38f8c2",
        "0f38f802",
        "f0f20f38f802",
        "f20f38f8",
        "f20f38f805cd2f",
        "660faefb",
        "660fae38",
        "",
        "f2" * 20,
    ):
        assert decode(bytes.fromhex(code)) is None, code


def test_noise_never_raises() -> None:
    chance = random.Random(0)
    for _ in range(20000):
        code = chance.choice([b"", b"\xf2\x0f\x38\xf8", b"\x66\x4f\x0f\x38\xf8"]) + chance.randbytes(12)
        instruction = decode(code)
        assert instruction is None or 3 < instruction.length <= 15


def test_against_the_assembler(tmp_path: Path) -> None:
    if not shutil.which("as") or not shutil.which("objcopy"):
        pytest.skip("no assembler")
    chance = random.Random(7)
    wanted = []
    for _ in range(300):
        base, index, scale = chance.choice(NAMES), chance.choice([*NAMES[:4], *NAMES[5:]]), chance.choice([1, 2, 4, 8])
        displacement, destination = chance.choice([0, 8, -8, 127, 128, 0x12345]), chance.choice(NAMES)
        wanted.append(
            (chance.choice(["enqcmd", "enqcmds", "movdir64b"]), base, index, scale, displacement, destination)
        )
    lines = [f"{name} {disp}(%{base},%{index},{scale}),%{dest}" for name, base, index, scale, disp, dest in wanted]
    (tmp_path / "a.s").write_text("\n".join(lines) + "\n")
    made = subprocess.run(["as", "-o", tmp_path / "a.o", tmp_path / "a.s"], capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"this assembler does not know ENQCMD: {made.stderr}")
    subprocess.run(["objcopy", "-O", "binary", "-j", ".text", tmp_path / "a.o", tmp_path / "a.bin"], check=True)
    code, values = (tmp_path / "a.bin").read_bytes(), registers()
    at = {name: values[index] for name, index in zip(NAMES, ENCODING, strict=True)}
    for name, base, index, scale, displacement, destination in wanted:
        instruction = decode(code[:15])
        assert instruction is not None and instruction.kind.name == name.upper()
        assert instruction.source(values) == (at[base] + at[index] * scale + displacement) & (1 << 64) - 1
        assert instruction.destination(values) == at[destination]
        code = code[instruction.length :]
    assert not code


def test_compatibility_mode_has_no_rex_no_base_of_rip_and_addresses_of_32_bits() -> None:
    """SDM volume 2, 2.2.1."""
    alone = decode(bytes.fromhex("f20f38f80500200020"), compatible=True)
    by_register = decode(bytes.fromhex("65f20f38f84210"), compatible=True)
    assert alone and by_register
    assert (alone.source(registers()), alone.length) == (0x20002000, 9)
    values = registers()
    assert alone.destination(values) == values[ENCODING[0]] & 0xFFFFFFFF
    assert by_register.source(values) == (values[ENCODING[2]] + 0x10 & 0xFFFFFFFF) + values[GS_BASE] & 0xFFFFFFFF
    assert decode(bytes.fromhex("f2480f38f802"), compatible=True) is None
    assert decode(bytes.fromhex("67f20f38f802"), compatible=True) is None
