"""A search on disk, so that it goes on where it was when its process was killed: all states up to a complete level, and what they showed.

Each save appends a file with the states found since the last one, and then replaces the table of contents, ``search.json``. Both are
written beside their place first: at any moment the table names only files that are whole. It has the digest of each, and its own.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pasidlab.errors import PasidlabError
from pasidlab.search import partition
from pasidlab.search.exchange import ALONE, Exchange, together
from pasidlab.search.memory import WordArray
from pasidlab.search.result import Violation
from pasidlab.search.store import States, Store
from pasidlab.search.verdicts import Verdicts

TABLE = "search.json"
BEFORE = "search.json.before"  # the table before it, of one process of several
LOCK = "lock"
FORMAT = 2
LEAST_SECONDS = 5.0  # between two saves
SHARE = 10  # a save is followed by that many times its own duration without one


@dataclass(frozen=True)
class Checkpoint:
    """Where a search is kept. ``identity`` is a digest of all that its course depends on: another search is not continued."""

    directory: Path
    identity: str


@dataclass(frozen=True)
class Reached:
    """How far a search is, but for its states and verdicts."""

    completed: int
    transitions: int
    reached: int  # mask
    counters: tuple[int, ...]
    seconds: float


class SavedSearch:
    """The files of one search, locked as long as this object is open."""

    def __init__(self, checkpoint: Checkpoint, words: int, peers: Exchange = ALONE) -> None:
        """Raises PasidlabError if they are in use, damaged, of another search or number of processes, or cannot be written."""
        self.directory, self.identity, self.words = _own_folder(checkpoint.directory, peers), checkpoint.identity, words
        self.several = peers.size > 1
        self.segments: list[dict[str, Any]] = []
        self.counts: WordArray = np.zeros(partition.PARTITIONS, dtype=np.int64)  # states saved of each partition
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            self._lock = open(self.directory / LOCK, "w")  # noqa: SIM115 (closed by close)
        except OSError as error:
            raise _cannot(self.directory, error) from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            raise PasidlabError(f"checkpoint {self.directory} is in use by another process", hint="give each its own folder") from None
        try:
            self.table = self._read(TABLE)
            self.earlier = self._read(BEFORE) if self.several else None
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give up the lock."""
        self._lock.close()

    def agree(self, peers: Exchange) -> None:
        """Take the last table that all processes have: one may have been killed between two that saved the same level."""
        mine = {table["reached"]["completed"]: table for table in (self.earlier, self.table) if table}
        common = set.intersection(*(set(levels) for levels in peers.gather(list(mine))))
        if self.several:
            together(peers, lambda: self._keep(mine[max(common)] if common else None))

    def _keep(self, table: dict[str, Any] | None) -> None:
        """Go on from this table, and forget those after it."""
        try:
            if table and table is not self.table:
                self._write(TABLE, [_text({**table, "digest": _digest(_text(table))})])
            elif table is None:
                for name in (TABLE, BEFORE):
                    (self.directory / name).unlink(missing_ok=True)
        except OSError as error:
            raise _cannot(self.directory, error) from None
        self.table = table

    def _read(self, name: str) -> dict[str, Any] | None:
        """A table; None if there is none yet."""
        path = self.directory / name
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
            digest = told.pop("digest")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise PasidlabError(f"cannot read checkpoint {path}: {error.strerror or error}") from None
        except (ValueError, KeyError, AttributeError, RecursionError):
            raise _damaged(path) from None
        if digest != _digest(_text(told)) or told["format"] != FORMAT:
            raise _damaged(path)
        if (told["identity"], told["words"]) != (self.identity, self.words):
            hint = "the design, the scope, the options or pasidlab changed: use another folder"
            raise PasidlabError(f"checkpoint {path} is of another search", hint=hint)
        table: dict[str, Any] = told
        return table

    def restore(self, store: Store, verdicts: Verdicts) -> Reached | None:
        """Make the verdicts what they were, and the levels of the store, whose states must be put in first (``states``)."""
        if self.table is None:
            return None
        found = self.table["verdicts"]
        verdicts.restore(_violations(found["violations"]), _violations(found["waiting"]), _violation(found["error"]))
        verdicts.again, verdicts.pending = found["again"], found["pending"]
        store.levels = [np.array(ends, dtype=np.int64) for ends in self.table["levels"]]
        if not (store.parts[:, partition.COUNT] == self.counts).all():
            raise _damaged(self.directory / TABLE)
        told = self.table["reached"]
        return Reached(told["completed"], told["transitions"], told["reached"], tuple(told["counters"]), told["seconds"])

    def states(self) -> Iterator[States]:
        """The states of every file in turn, partition after partition. PasidlabError for a file that is damaged."""
        self.segments = list(self.table["segments"]) if self.table else []
        for segment in self.segments:
            path = self.directory / segment["file"]
            try:
                states = np.memmap(path, dtype=np.uint64, mode="r") if path.stat().st_size else np.empty(0, dtype=np.uint64)
            except (OSError, ValueError):
                raise _damaged(path) from None
            if hashlib.sha256(states.data).hexdigest() != segment["digest"] or len(states) != self.words * sum(segment["counts"]):
                raise _damaged(path)
            self.counts += np.array(segment["counts"], dtype=np.int64)
            yield states.reshape(-1, self.words)

    def save(self, store: Store, verdicts: Verdicts, reached: Reached) -> None:
        """Save a search whose last level is complete. PasidlabError if that fails: what was saved before is still there."""
        now = store.parts[:, partition.COUNT].copy()
        new = (store.run(p, int(self.counts[p]), int(now[p])).data for p in range(partition.PARTITIONS))
        file = f"{len(self.segments) + 1:06}.states"
        try:
            digest = self._write(file, new)
        except OSError as error:
            raise _cannot(self.directory, error) from None
        segment = {"file": file, "counts": (now - self.counts).tolist(), "digest": digest}
        table = {
            "format": FORMAT, "identity": self.identity, "words": self.words, "segments": [*self.segments, segment],
            "levels": [ends.tolist() for ends in store.levels], "reached": asdict(reached),
            "verdicts": {
                "violations": _listed(verdicts.violations), "waiting": _listed(verdicts.waiting),
                "error": asdict(verdicts.error) if verdicts.error else None, "again": verdicts.again, "pending": verdicts.pending,
            },
        }  # fmt: skip
        try:
            if self.several and self.table:
                self._write(BEFORE, [_text({**self.table, "digest": _digest(_text(self.table))})])
            self._write(TABLE, [_text({**table, "digest": _digest(_text(table))})])
        except OSError as error:
            raise _cannot(self.directory, error) from None
        self.segments.append(segment)
        self.counts, self.table = now, table

    def _write(self, name: str, parts: Iterable[bytes | memoryview]) -> str:
        """Write a file, whole or not at all; return its digest."""
        digest = hashlib.sha256()
        beside = self.directory / f"{name}.new"
        try:
            with open(beside, "wb") as file:
                for part in parts:
                    digest.update(part)
                    file.write(part)
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, self.directory / name)
        except BaseException:
            with suppress(OSError):
                beside.unlink()
            raise
        return digest.hexdigest()


def _own_folder(directory: Path, peers: Exchange) -> Path:
    """The folder of one process. PasidlabError if another number of processes began the search: their parts of it do not fit."""
    mine = f"-of-{peers.size}"
    of_ranks = [path.name for path in directory.glob("rank-*-of-*")] if directory.is_dir() else []
    begun = {name[name.rindex("-of-") :] for name in of_ranks} | ({"-of-1"} if (directory / TABLE).exists() else set())
    if begun - {mine}:
        count = max(begun - {mine})[len("-of-") :]
        hint = f"mpirun -n {count}, or another folder" if count != "1" else "without mpirun, or another folder"
        raise PasidlabError(f"checkpoint {directory} is of a search by {count} processes, and this is one by {peers.size}", hint=hint)
    return directory / f"rank-{peers.rank}{mine}" if peers.size > 1 else directory


def _text(table: dict[str, Any]) -> bytes:
    return json.dumps(table, sort_keys=True).encode()


def _digest(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def _listed(violations: dict[int, Violation]) -> list[list[Any]]:
    return [[bit, asdict(violation)] for bit, violation in violations.items()]


def _violations(listed: list[list[Any]]) -> dict[int, Violation]:
    return {bit: violation for bit, told in listed if (violation := _violation(told))}


def _violation(told: dict[str, Any] | None) -> Violation | None:
    return Violation(told["steps"], tuple(told["state"]), told["by_step"], told["minimal"]) if told else None


def _damaged(path: Path) -> PasidlabError:
    return PasidlabError(f"checkpoint {path} is damaged", hint=f"to begin anew: rm -r {path.parent}")


def _cannot(path: Path, error: OSError) -> PasidlabError:
    hint = "the same command goes on from what was saved before"
    return PasidlabError(f"cannot write checkpoint {path}: {error.strerror or error}", hint=hint)
