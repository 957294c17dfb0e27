"""The few machine operations the search kernels need beyond Numba's: raw memory, prefetch, a call through an address.

Everything here and in ``kernels`` is a signed 64-bit integer (addresses, packed words, counts): Numba would turn a mix
of signed and unsigned into floating point. Where the difference matters there is ``shift_right`` (logical) and
``below`` (unsigned). The on-disk cache looks only at the file of the cached function: after a change here, delete
``__pycache__``.
"""

from __future__ import annotations

import mmap
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import njit, types
from numba.core.typing.templates import Signature
from numba.extending import intrinsic

from pasidlab.search.spill import Spill

F = TypeVar("F", bound=Callable[..., Any])
WordArray = npt.NDArray[np.int64]

_I8, _I32, _I64 = ir.IntType(8), ir.IntType(32), ir.IntType(64)
_Emit = Callable[[ir.IRBuilder, list[ir.Value]], ir.Value]

HUGE_PAGE = 1 << 21  # bytes


# No wrapper for C callers, no check for division by zero: they only cost time to compile.
_OPTIONS: dict[str, Any] = {"nogil": True, "no_cfunc_wrapper": True, "error_model": "numpy"}


def compiled(signature: str) -> Callable[[F], F]:
    """Compile a function for exactly this signature, to run without the GIL; cached on disk where that is possible."""

    def wrap(function: F) -> F:
        try:
            return cast(F, njit(signature, cache=True, **_OPTIONS)(function))
        except (RuntimeError, OSError):  # "cannot cache function": no folder is writable; or the disk is full
            return cast(F, njit(signature, **_OPTIONS)(function))

    return wrap


def _operation(result: types.Type, arity: int, emit: _Emit) -> Callable[..., int]:
    """An intrinsic on ``arity`` 64-bit integers whose LLVM code is what ``emit`` builds."""

    def codegen(_context: Any, builder: ir.IRBuilder, _signature: Signature, args: list[ir.Value]) -> ir.Value:
        return emit(builder, args)

    def typed(*args: types.Type) -> tuple[Signature, Any]:
        return result(*[types.int64] * len(args)), codegen

    # Numba reads the parameter names of the typing function, so the arity has to be spelt out.
    typings: dict[int, Callable[..., Any]] = {
        1: lambda typing, a: typed(a),
        2: lambda typing, a, b: typed(a, b),
        3: lambda typing, a, b, c: typed(a, b, c),
        4: lambda typing, a, b, c, d: typed(a, b, c, d),
    }
    return cast(Callable[..., int], intrinsic(typings[arity]))


def _pointer(builder: ir.IRBuilder, address: ir.Value, to: ir.Type) -> ir.Value:
    return builder.inttoptr(address, to.as_pointer())


def _load(of: ir.IntType) -> _Emit:
    return lambda b, a: b.zext(b.load(_pointer(b, a[0], of)), _I64) if of.width < 64 else b.load(_pointer(b, a[0], of))


def _store(of: ir.IntType) -> _Emit:
    def emit(b: ir.IRBuilder, a: list[ir.Value]) -> ir.Value:
        b.store(b.trunc(a[1], of) if of.width < 64 else a[1], _pointer(b, a[0], of))
        return _I64(0)

    return emit


def _prefetch(b: ir.IRBuilder, a: list[ir.Value]) -> ir.Value:
    kind = ir.FunctionType(ir.VoidType(), [_I8.as_pointer(), _I32, _I32, _I32])
    prefetch = b.module.declare_intrinsic("llvm.prefetch", (_I8.as_pointer(),), kind)
    b.call(prefetch, [_pointer(b, a[0], _I8), _I32(0), _I32(3), _I32(1)])  # for reading, keep in every cache, data
    return _I64(0)


def _lanes(of: ir.IntType) -> _Emit:
    count = 512 // of.width
    vector = ir.VectorType(of, count)

    def emit(b: ir.IRBuilder, a: list[ir.Value]) -> ir.Value:
        def splat(x: ir.Value) -> ir.Value:
            lane = b.trunc(x, of) if of.width < 64 else x
            one = b.insert_element(ir.Constant(vector, ir.Undefined), lane, _I32(0))
            return b.shuffle_vector(one, ir.Constant(vector, ir.Undefined), ir.Constant(ir.VectorType(_I32, count), [0] * count))

        line, mask, value = a
        loaded = b.load(_pointer(b, line, vector), align=8)
        equal = b.icmp_unsigned("==", b.and_(loaded, splat(mask)), splat(value))
        return b.zext(b.bitcast(equal, ir.IntType(count)), _I64)

    return emit


def _claim(b: ir.IRBuilder, a: list[ir.Value]) -> ir.Value:
    return b.zext(b.extract_value(b.cmpxchg(_pointer(b, a[0], _I64), _I64(0), _I64(1), "acq_rel", "acquire"), 1), _I64)


def _publish(b: ir.IRBuilder, a: list[ir.Value]) -> ir.Value:
    b.store_atomic(b.trunc(a[1], _I32), _pointer(b, a[0], _I32), "release", 4)
    return _I64(0)


def _call(b: ir.IRBuilder, a: list[ir.Value]) -> ir.Value:
    kind = ir.FunctionType(_I64, [_I64] * 3)
    return b.call(_pointer(b, a[0], kind), a[1:])


load8, load32, load64 = (_operation(types.int64, 1, _load(of)) for of in (_I8, _I32, _I64))
store8, store32, store64 = (_operation(types.int64, 2, _store(of)) for of in (_I8, _I32, _I64))
prefetch = _operation(types.int64, 1, _prefetch)
shift_right = _operation(types.int64, 2, lambda b, a: b.lshr(a[0], a[1]))
below = _operation(types.boolean, 2, lambda b, a: b.icmp_unsigned("<", a[0], a[1]))
trailing_zeros = _operation(types.int64, 1, lambda b, a: b.cttz(a[0], ir.IntType(1)(1)))  # of a value that is not 0
equal_lanes = _operation(types.int64, 3, _lanes(_I64))  # (line, mask, value): bit i set if word i of 8, and-ed with mask, is value
equal_halves = _operation(types.int64, 3, _lanes(_I32))  # the same of the 16 half words of a line
claim = _operation(types.int64, 1, _claim)  # 1 if the word at the address was 0: it is 1 now, and this thread's, until published as 0
publish = _operation(types.int64, 2, _publish)  # store32 behind all that this thread has written: who sees the value sees that too
call3 = _operation(types.int64, 4, _call)  # call3(function, a, b, c): int64 function(a, b, c)


_PRIVATE = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0x4000 if sys.platform == "linux" else 0)


class Block:
    """Zeroed memory of its own, returned to the system when dropped; pages cost nothing until they are touched.

    With ``spill`` it is a file there, mapped: the system keeps of it in memory what is free, and that counts as no memory taken.
    """

    __slots__ = ("_map", "address", "bytes", "on_disk", "page", "words")

    def __init__(self, size: int, *, huge: bool = False, spill: Spill | None = None) -> None:
        """Reserve at least ``size`` bytes, in ``huge`` pages if there are such.

        Raises MemoryError if there is no room, DiskFull if ``spill`` has none.
        """
        self.on_disk = spill is not None
        huge = huge and not self.on_disk and hasattr(mmap, "MADV_HUGEPAGE")
        self.page = HUGE_PAGE if huge else mmap.PAGESIZE
        self.bytes = -(-max(size, 1) // self.page) * self.page
        try:
            self._map = _mapped(spill, self.bytes) if spill else mmap.mmap(-1, self.bytes, flags=_PRIVATE)
        except OSError as error:
            raise MemoryError(f"{self.bytes} bytes") from error
        if huge:
            self._map.madvise(mmap.MADV_HUGEPAGE)
        self.words: WordArray = np.frombuffer(self._map, dtype=np.int64)
        self.address = int(self.words.ctypes.data)

    def touched(self, used: int) -> int:
        """Bytes of memory taken once the first ``used`` bytes have been written."""
        return 0 if self.on_disk else min(-(-used // self.page) * self.page, self.bytes)

    def release(self, first: int, last: int) -> None:
        """Give bytes first..last-1, whole pages that nobody reads again, back to the system."""
        if last <= first:
            return
        if not self.on_disk:
            self._map.madvise(mmap.MADV_DONTNEED, first, last - first)
            return
        with suppress(OSError, AttributeError):  # a file system without holes keeps the room until the block is dropped
            self._map.madvise(mmap.MADV_REMOVE, first, last - first)


def _mapped(spill: Spill, size: int) -> mmap.mmap:
    descriptor = spill.open(size)
    try:
        return mmap.mmap(descriptor, size)
    finally:
        os.close(descriptor)
