"""ENQCMD and MOVDIR64B with random operands, each often enough to be replaced, with every register and flag looked at.

    pasidlab run -- python forms_program.py COUNT SEED

Prints how many calls were wrong, and the first.
"""

from __future__ import annotations

import ctypes
import random
import sys

from dsa_client import BOF, CRAV, FILL, RCR, Buffer, descriptor, file_mapping, libc, open_portal

from pasidlab.live.assembler import Assembler

NAMES = ["rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", *(f"r{n}" for n in range(8, 16))]
STEP, CONTEXT, CALLS = 512, 1 << 20, 16
HOST, FLAGS_IN, FLAGS_OUT, IN, OUT = 0, 8, 16, 64, 256  # in the context, which lies this far behind the code
STATUS_FLAGS = 0x8D5 & ~0x10  # but for AF


def function(operands: str, name: str) -> str:
    """A C function that loads all registers from the context, executes the instruction, and puts them all there."""
    kept = ["rbx", "rbp", "r12", "r13", "r14", "r15"]
    lines = [f"push %{register}" for register in kept]
    lines += [f"mov %rsp, begin+{CONTEXT + HOST}(%rip)", f"push begin+{CONTEXT + FLAGS_IN}(%rip)", "popf"]
    lines += [f"mov begin+{CONTEXT + IN + 8 * n}(%rip), %{register}" for n, register in enumerate(NAMES)]
    lines += [f"{name} {operands}"]
    lines += [f"mov %{register}, begin+{CONTEXT + OUT + 8 * n}(%rip)" for n, register in enumerate(NAMES)]
    lines += [f"mov begin+{CONTEXT + HOST}(%rip), %rsp", "pushf", f"pop begin+{CONTEXT + FLAGS_OUT}(%rip)"]
    lines += [f"pop %{register}" for register in reversed(kept)] + ["ret", f".balign {STEP}"]
    return "\n".join(lines)


class Form:
    """One instruction and the registers it needs, for a descriptor at ``place``."""

    def __init__(self, r: random.Random, code: int, place: int, portals: dict[str, int]) -> None:
        self.name = r.choice(list(portals))
        self.registers = [r.getrandbits(64) for _ in NAMES]
        target, base, index = r.sample(range(16), 3)
        index, scale = (index, r.choice([1, 2, 4, 8])) if index != 4 and r.random() < 0.5 else (-1, 1)
        shift = r.choice([0, r.randrange(-128, 128), r.randrange(-(1 << 30), 1 << 30)])
        kind = r.randrange(8)
        if kind == 0:
            source = f"begin+{place - code}(%rip)"
        elif kind == 1:
            source = f"{place:#x}"
        else:
            offset = r.getrandbits(20) if index >= 0 else 0
            if index >= 0:
                self.registers[index] = offset
            self.registers[base] = place - shift - offset * scale
            source = f"{shift}(%{NAMES[base]}" + (f",%{NAMES[index]},{scale})" if index >= 0 else ")")
        self.registers[target] = portals[self.name] + 64 * r.randrange(64)
        if 4 not in (target, base if kind > 1 else -1):
            self.registers[4] = STACK.address + 2048
        self.text = function(f"{source}, %{NAMES[target]}", self.name)
        self.what = f"{self.name} {source}, %{NAMES[target]}"


STACK = Buffer(4096)


def main(count: int, seed: int) -> None:
    """Print the calls that were wrong."""
    r = random.Random(seed)
    code, place = 0x2000_0000, 0x3000_0000
    for at, size in ((code + CONTEXT, 4096), (place, 4096)):
        assert libc.mmap(at, size, 3, 0x100022, -1, 0) == at
    portals = {"enqcmd": open_portal()[0], "movdir64b": open_portal("/dev/dsa/wq0.1")[0]}
    forms = [Form(r, code, place, portals) for _ in range(count)]
    assert file_mapping(Assembler().assemble("\n".join(form.text for form in forms), ("begin",)).data, code) == code
    context = (ctypes.c_uint64 * 512).from_address(code + CONTEXT)
    target, record = Buffer(64), Buffer(32)
    ctypes.memmove(place, descriptor(FILL, record.address, 0x0123456789ABCDEF, target.address, 64, CRAV | RCR | BOF), 64)
    wrong = []
    for number, form in enumerate(forms):
        call = ctypes.CFUNCTYPE(None)(code + STEP * number)
        for turn in range(CALLS):
            flags = r.getrandbits(16) & STATUS_FLAGS | 0x202
            context[FLAGS_IN // 8] = flags
            context[IN // 8 : IN // 8 + 16] = form.registers_now = [value & (1 << 64) - 1 for value in form.registers]
            STACK.data.raw = red = r.randbytes(4096)
            record.data.raw, target.data.raw = bytes(32), bytes(64)
            call()
            expected = flags & STATUS_FLAGS if form.name == "movdir64b" else 0
            good = list(context[OUT // 8 : OUT // 8 + 16]) == form.registers_now
            good = good and context[FLAGS_OUT // 8] & STATUS_FLAGS == expected and bytes(STACK) == red
            if not good or record.data.raw[0] != 1 or bytes(target) != bytes.fromhex("efcdab8967452301") * 8:
                wrong.append((form.what, turn))
    print(len(wrong), wrong[:1])


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
