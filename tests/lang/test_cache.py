"""What is kept between runs: a damaged file, or another model's under this name, is not used but replaced."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from small_models import PROPERTIES

from pasidlab.lang import cache
from pasidlab.lang.back.native import compile_model
from pasidlab.lang.lowering import kept as models
from pasidlab.lang.lowering.kept import kept_or_built
from pasidlab.lang.lowering.lower import build_model
from pasidlab.lang.scope import Bounds

MODEL = """
from pasidlab.lang.declare import Range, initial, rule, singleton, struct
from typing import Annotated

@struct(count=1)
class Shared:
    n: Annotated[int, Range(0, 3)] = 0

shared = singleton(Shared)

@initial
def start() -> None:
    pass

@rule()
def count() -> None:
    shared.n = 0 if shared.n == 3 else shared.n + 1
"""


@pytest.fixture
def model(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "model.py"
    path.write_text(MODEL)
    return build_model("model", [path], Bounds({}, frozenset()), PROPERTIES)


def test_a_whole_object_is_used_again(model):
    assert [compile_model(model).optimised().code.cached for _ in range(2)] == [False, True]


@pytest.mark.parametrize("where", [0, 40, -1])
def test_a_flipped_bit_is_noticed_and_the_object_made_again(model, tmp_path, where):
    compile_model(model).optimised()
    (kept,) = (tmp_path / "cache" / "pasidlab").glob("*.o")
    stored = bytearray(kept.read_bytes())
    stored[where] ^= 1
    kept.write_bytes(stored)
    assert [compile_model(model).optimised().code.cached for _ in range(2)] == [False, True]


def test_a_file_cut_short_is_noticed(model, tmp_path):
    compile_model(model).optimised()
    (kept,) = (tmp_path / "cache" / "pasidlab").glob("*.o")
    for size in (0, 10, kept.stat().st_size - 1):
        kept.write_bytes(kept.read_bytes()[:size])
        assert [compile_model(model).optimised().code.cached for _ in range(2)] == [False, True]


KEYS = [bytes([n]) * 32 for n in range(4)]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "pasidlab"


def test_what_is_kept_for_another_key_is_not_taken(folder):
    cache.keep(KEYS[0], ".o", b"code")
    assert cache.kept(KEYS[0], ".o") == b"code"
    (kept,) = folder.iterdir()  # nothing half written beside it
    kept.rename(folder / f"{KEYS[1].hex()[:32]}.o")
    assert cache.kept(KEYS[1], ".o") is None


def test_a_folder_nobody_can_write_keeps_nothing(folder):
    folder.parent.write_text("")
    cache.keep(KEYS[0], ".o", b"code")
    assert cache.kept(KEYS[0], ".o") is None


def test_what_was_used_least_recently_goes(folder, monkeypatch):
    monkeypatch.setattr(cache, "MOST_FILES", 3)
    for age, key in enumerate(KEYS[:3]):
        cache.keep(key, ".o", b"code")
        os.utime(folder / f"{key.hex()[:32]}.o", (age, age))
    assert cache.kept(KEYS[0], ".o") == b"code"  # used now: the second is the oldest
    cache.keep(KEYS[3], ".o", b"code")
    assert [bool(cache.kept(key, ".o")) for key in KEYS] == [True, False, True, True]


def test_of_several_that_want_what_is_not_kept_one_makes_it(folder):
    made = []
    together = Barrier(3)

    def make():
        made.append(True)
        time.sleep(0.05)
        return b"code"

    def want(_):
        together.wait()
        return cache.kept_or_made(KEYS[0], ".o", make)

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(want, range(3))) == [b"code"] * 3
    assert len(made) == 1
    assert [path.suffix for path in folder.iterdir()] == [".o"]  # no lock is left


def test_where_nothing_can_be_kept_each_makes_its_own(folder):
    folder.parent.write_text("")
    assert [cache.kept_or_made(KEYS[0], ".o", lambda: b"code") for _ in range(2)] == [b"code"] * 2


def lowered(path, **how):
    return kept_or_built("model", [path], Bounds({}, frozenset()), PROPERTIES, whole=path, **how)


def test_a_lowered_model_is_read_back_as_it_was(model, tmp_path, monkeypatch):
    path = tmp_path / "model.py"
    first = lowered(path)
    monkeypatch.setattr(models, "build_model", None)
    assert lowered(path) == first == model
    with pytest.raises(TypeError, match="not callable"):  # other switches make another model
        lowered(path, merged=False)


def test_another_text_or_a_damaged_file_is_lowered_again(model, tmp_path):
    path = tmp_path / "model.py"
    first = lowered(path)
    path.write_text(MODEL.replace("== 3", "== 2"))
    assert lowered(path) != first
    for kept in (tmp_path / "cache" / "pasidlab").glob("*.model"):
        kept.write_bytes(kept.read_bytes()[:-1])
    path.write_text(MODEL)
    assert lowered(path) == first
