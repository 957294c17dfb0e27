"""Machine code of LLVM text: made quickly and slow, or made slowly and two to four times as fast.

Optimised code is kept in the cache. Quick code takes a tenth of a second. A search of a hundred thousand states gains more by better code:
so a search begins with it, and changes over if it grows large.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from pasidlab.interrupts import ctrl_c_waits
from pasidlab.lang.cache import keep, kept

if TYPE_CHECKING:
    import llvmlite.binding as llvm

PASSES = (
    "always_inliner", "sroa", "sccp", "simplify_cfg", "instruction_combine", "jump_threading", "sccp", "instruction_combine",
    "dead_store_elimination", "simplify_cfg",
)  # fmt: skip
"""LLVM passes in order. The standard pipelines take twice as long, and by inlining large actions make code half as fast.

NewGVN is not among them: in LLVM 20 it aborts the process on some models (an assertion of its own, verifyIterationSettled).
"""

OBJECT = ".o"
NOTHING = "define void @nothing() { ret void }"
"""The text whose place a cached object takes."""


@dataclass(frozen=True, eq=False)
class MachineCode:
    """Code in memory, as long as this object is there. ``cached``: it was made in an earlier run."""

    text: str
    optimised: bool
    cached: bool
    engine: llvm.ExecutionEngine

    def address(self, function: str) -> int:
        """Where a function begins."""
        return int(self.engine.get_function_address(function))


def best_at_hand(text: str) -> MachineCode:
    """Optimised code if it is in the cache, else quick code."""
    return _Target().cached(text) or _Target(level=0).compiled(text)


def optimised(text: str) -> MachineCode:
    """Optimised code, from the cache or made now."""
    target = _Target()
    return target.cached(text) or target.compiled(text)


class _Target:
    """This machine's processor, at a level of optimisation of LLVM's code generator (0 to 3)."""

    def __init__(self, level: int = 2) -> None:
        import llvmlite
        import llvmlite.binding as llvm

        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        self.level, self._llvm = level, llvm
        cpu, features = llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()
        self._machine = llvm.Target.from_default_triple().create_target_machine(cpu=cpu, features=features, opt=level)
        self._named = (llvmlite.__version__, cpu, features, *PASSES)

    def cached(self, text: str) -> MachineCode | None:
        """What is in the cache."""
        stored = kept(self._key(text), OBJECT)
        if stored is None:
            return None
        engine = self._llvm.create_mcjit_compiler(self._llvm.parse_assembly(NOTHING), self._machine)
        engine.set_object_cache(None, lambda _module: stored)
        _finish(engine)
        return MachineCode(text, True, True, engine)

    def compiled(self, text: str) -> MachineCode:
        """The text compiled; kept in the cache if it is optimised."""
        module = self._llvm.parse_assembly(text)
        engine = self._llvm.create_mcjit_compiler(module, self._machine)
        if self.level:
            self._improve(module)
            engine.set_object_cache(partial(self._keep, self._key(text)), None)
        _finish(engine)
        return MachineCode(text, bool(self.level), False, engine)

    def _improve(self, module: llvm.ModuleRef) -> None:
        builder = self._llvm.create_pass_builder(self._machine, self._llvm.create_pipeline_tuning_options(speed_level=1))
        passes = self._llvm.create_new_module_pass_manager()
        for name in PASSES:
            getattr(passes, f"add_{name}_pass")()
        passes.run(module, builder)

    def _key(self, text: str) -> bytes:
        return hashlib.sha256("\0".join([*self._named, text]).encode()).digest()

    def _keep(self, key: bytes, _module: llvm.ModuleRef, code: bytes) -> None:
        keep(key, OBJECT, code)


def _finish(engine: llvm.ExecutionEngine) -> None:
    """Code is made, or taken from the cache: LLVM calls Python for that, and must get its answer."""
    with ctrl_c_waits():
        engine.finalize_object()
