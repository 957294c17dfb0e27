"""Compiled objects kept between runs: each file says which model it is of, and carries a checksum of itself."""

from __future__ import annotations

import hashlib
import os
import tempfile
from contextlib import suppress
from pathlib import Path

DIGEST = 32  # bytes of a SHA-256


def cache_directory() -> Path | None:
    """Where compiled models are kept between runs; None for a user without a home."""
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pasidlab"
    except RuntimeError:
        return None


def cached_object(path: Path, key: bytes) -> bytes | None:
    """The object kept for a key; None if there is none, or what is there is damaged or another model's."""
    try:
        stored = path.read_bytes()
    except OSError:
        return None
    seal, code = stored[:DIGEST], stored[DIGEST:]
    return code if code and seal == _seal(key, code) else None


def keep_object(path: Path, key: bytes, code: bytes) -> None:
    """Keep an object, whole or not at all; where nothing can be kept, nothing is."""
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        number, partial = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=".part")
        try:
            with os.fdopen(number, "wb") as file:
                file.write(_seal(key, code) + code)
            os.replace(partial, path)
        except OSError:
            os.unlink(partial)
            raise


def _seal(key: bytes, code: bytes) -> bytes:
    """The checksum: of the key as well, so that no other model's object passes."""
    return hashlib.sha256(key + code).digest()
