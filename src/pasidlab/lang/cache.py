"""What is made of models and kept between runs: each file says what it is of, and carries a checksum of itself."""

from __future__ import annotations

import fcntl
import hashlib
import os
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
DIGEST = 32  # bytes of a SHA-256
MOST_FILES = 3000
"""Files in the cache. At this number the third that was used least recently is removed."""


def cache_directory() -> Path | None:
    """Where what was made is kept between runs; None for a user without a home."""
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pasidlab"
    except RuntimeError:
        return None


def fingerprint(*parts: str) -> bytes:
    """A digest of the package's own text: of the files and folders (all their modules) of these names."""
    digest = hashlib.sha256(sys.version.encode())
    for part in parts:
        place = PACKAGE / part
        for file in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            digest.update(str(file.relative_to(PACKAGE)).encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.digest()


def kept(key: bytes, suffix: str) -> bytes | None:
    """What is kept for a key (a digest); None if there is nothing, or what is there is damaged or of another key."""
    path = _place(key, suffix)
    if path is None:
        return None
    try:
        stored = path.read_bytes()
    except OSError:
        return None
    seal, what = stored[:DIGEST], stored[DIGEST:]
    if not what or seal != _seal(key, what):
        return None
    with suppress(OSError):
        os.utime(path)
    return what


def kept_or_made(key: bytes, suffix: str, make: Callable[[], bytes]) -> bytes:
    """What is kept for a key; made and kept if there is nothing. Of several processes one makes it, and the others wait for it."""
    if found := kept(key, suffix):
        return found
    with ExitStack() as held:
        if (path := _place(key, suffix + ".lock")) is not None:
            with suppress(OSError):  # where nothing can be kept, each makes its own
                path.parent.mkdir(parents=True, exist_ok=True)
                lock = held.enter_context(path.open("w"))
                held.callback(path.unlink, missing_ok=True)
                fcntl.flock(lock, fcntl.LOCK_EX)
        if found := kept(key, suffix):
            return found
        made = make()
        keep(key, suffix, made)
    return made


def keep(key: bytes, suffix: str, what: bytes) -> None:
    """Keep something for a key, whole or not at all; where nothing can be kept, nothing is."""
    path = _place(key, suffix)
    if path is None:
        return
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        _make_room(path.parent)
        number, partial = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=".part")
        try:
            with os.fdopen(number, "wb") as file:
                file.write(_seal(key, what) + what)
            os.replace(partial, path)
        except OSError:
            os.unlink(partial)
            raise


def _place(key: bytes, suffix: str) -> Path | None:
    folder = cache_directory()
    return folder / f"{key.hex()[:32]}{suffix}" if folder else None


def _make_room(folder: Path) -> None:
    """Remove what was used least recently, if there is too much. Another process may do so at the same time."""
    with os.scandir(folder) as entries:
        files = [entry.path for entry in entries]
    if len(files) < MOST_FILES:
        return
    ages: list[tuple[float, str]] = []
    for path in files:
        with suppress(OSError):
            ages.append((os.stat(path).st_mtime, path))
    for _, path in sorted(ages)[: MOST_FILES // 3]:
        with suppress(OSError):
            os.unlink(path)


def _seal(key: bytes, what: bytes) -> bytes:
    """The checksum: of the key as well, so that nothing kept for another key passes."""
    return hashlib.sha256(key + what).digest()
