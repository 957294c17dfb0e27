"""Compiled objects kept between runs: a damaged file, or another model's under this name, is not used but replaced."""

from __future__ import annotations

import pytest
from small_models import PROPERTIES

from pasidlab.lang.back.native import compile_model
from pasidlab.lang.back.object_cache import cached_object, keep_object
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


def test_an_object_of_another_model_is_not_taken(tmp_path):
    path = tmp_path / "one.o"
    keep_object(path, b"one", b"code")
    assert cached_object(path, b"one") == b"code"
    assert cached_object(path, b"other") is None
    assert list(tmp_path.iterdir()) == [path]  # nothing half written beside it


def test_a_folder_nobody_can_write_keeps_nothing(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    keep_object(file / "one.o", b"one", b"code")
    assert cached_object(file / "one.o", b"one") is None
