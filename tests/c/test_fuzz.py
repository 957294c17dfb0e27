"""Mutated C files, patches and mails: whatever they say, the answer is a design or one PasidlabError, and it comes soon.

The routine test tries some hundred; ``python tests/c/test_fuzz.py COUNT [SEED]`` as many as one likes, and builds some of the models.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
import traceback
from collections import Counter
from datetime import timedelta
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from mails import EXAMPLES, forms, late_either

from pasidlab.checking.model import design_model
from pasidlab.designs import Opening
from pasidlab.errors import PasidlabError
from pasidlab.model.scope import Scope
from pasidlab.zoo.catalogue import BUGS

TINY = Scope(cpus=1, tasks=1, mms=1, pasids=1, events=frozenset({"preempt"}))
FILES = [path for path in [*EXAMPLES.glob("*.c"), *BUGS.glob("*.c")] if path.stem != "dsa_hello"]
CORPUS = [(path.name, path.read_bytes()) for path in sorted(FILES)] + list(forms(late_either()).items())
WORDS = b"""if else while for do switch case default goto return break continue struct static bool u32 int unsigned sizeof NULL current
 0 1 -1 0xffffffff 18446744073709551616 ( ) { } [ ] ; , . -> * & ! ~ + - << >> == = ? : && || |= /* */ // \" ' # ## \\ @@ --- +++ > =20
 asm( ({ }) a++ &x fpregs_lock() current->mm->pasid this_cpu_read(x) test_thread_flag(TIF_NEED_FPU_LOAD) \xc3\xa9""".split()
WORDS += [b"#define A A\n", b"#define F(x) F(x)\n", b"#if 1\n", b"#else\n", b"#endif\n", b"\n", b"\t", b"\r\n", b"From ", b"@@ -1 +1 @@\n"]


def mutated(chance: random.Random) -> tuple[str, bytes]:
    """One of the corpus, changed in one to eight places."""
    name, data = chance.choice(CORPUS)
    for _ in range(chance.randint(1, 8)):
        data = chance.choice(MUTATIONS)(chance, data)
    return (name if chance.random() < 0.95 else chance.choice(CORPUS)[0]), data[:100_000]


def span(chance: random.Random, data: bytes, most: int = 60) -> tuple[int, int]:
    start = chance.randrange(len(data) + 1)
    return start, min(len(data), start + chance.randrange(most))


def delete(chance: random.Random, data: bytes) -> bytes:
    start, end = span(chance, data)
    return data[:start] + data[end:]


def insert(chance: random.Random, data: bytes) -> bytes:
    start, _ = span(chance, data)
    return data[:start] + b" ".join(chance.choices(WORDS, k=chance.randint(1, 4))) + data[start:]


def repeat(chance: random.Random, data: bytes) -> bytes:
    start, end = span(chance, data)
    return data[:start] + data[start:end] * chance.choice((2, 3, 50)) + data[end:]


def flip(chance: random.Random, data: bytes) -> bytes:
    start, _ = span(chance, data)
    return data[:start] + bytes([chance.randrange(32, 127) if chance.random() < 0.95 else chance.randrange(256)]) + data[start + 1 :]


def cut(chance: random.Random, data: bytes) -> bytes:
    start, _ = span(chance, data)
    return data[:start] if chance.random() < 0.5 else data[start:]


def move(chance: random.Random, data: bytes) -> bytes:
    lines = data.split(b"\n")
    first, second = chance.randrange(len(lines)), chance.randrange(len(lines))
    lines[first], lines[second] = lines[second], lines[first]
    return b"\n".join(lines)


def splice(chance: random.Random, data: bytes) -> bytes:
    _, other = chance.choice(CORPUS)
    start, end = span(chance, other, 400)
    place, _ = span(chance, data)
    return data[:place] + other[start:end] + data[place:]


def rename(chance: random.Random, data: bytes) -> bytes:
    words = data.split(b" ")
    words[chance.randrange(len(words))] = chance.choice(WORDS)
    return b" ".join(words)


def requote(chance: random.Random, data: bytes) -> bytes:
    return b"\n".join(b"> " + line if chance.random() < 0.9 else line for line in data.split(b"\n"))


MUTATIONS = (delete, insert, insert, repeat, flip, cut, move, splice, rename, rename, requote)


def outcome(name: str, data: bytes, folder: Path, build: bool = False) -> str:
    """What the front end says: a design, or the words of its error without names and numbers."""
    path = folder / name
    path.write_bytes(data)
    try:
        design = Opening(str(path)).design()
        if build:
            design_model(design, TINY)
    except PasidlabError as error:
        first = str(error).replace(str(path), "FILE").split("\n")[0].rpartition(": ")[2]
        return "".join(c for c in first.split("'")[0] if not c.isdigit())[:50]
    return "a design"


@settings(max_examples=400, deadline=timedelta(seconds=5), derandomize=True)
@given(st.integers(0, 1 << 62))
def test_every_answer_is_a_design_or_an_error(seed: int) -> None:
    name, data = mutated(random.Random(seed))
    with tempfile.TemporaryDirectory() as folder:
        outcome(name, data, Path(folder))


def main(count: int, seed: int = 0) -> int:
    """Try ``count`` inputs; print what was answered how often, and every traceback."""
    answers: Counter[str] = Counter()
    slowest, bad, start = (0.0, 0), 0, time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(seed, seed + count):
            name, data = mutated(random.Random(number))
            before = time.perf_counter()
            try:
                answers[outcome(name, data, Path(folder), build=number % 50 == 0)] += 1
            except Exception:
                bad += 1
                print(f"--- input {number} ({name})")
                traceback.print_exc(limit=-3, file=sys.stdout)
            slowest = max(slowest, (time.perf_counter() - before, number))
    for answer, times in answers.most_common(40):
        print(f"{times:8} {answer}")
    print(f"{count} inputs in {time.perf_counter() - start:.0f} s, slowest {slowest[0]:.2f} s (input {slowest[1]}), {bad} tracebacks")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
