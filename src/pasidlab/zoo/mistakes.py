"""Mistakes of the kernel, to be caught around any design. A check that catches none proves little.

A mistake is a statement left out, or a condition that never holds. It is named by its text, so it follows the kernel model.
"""

from __future__ import annotations

import ast
import copy
from dataclasses import dataclass, replace
from typing import Literal

from pasidlab.designs import Design
from pasidlab.lang.functions import Functions
from pasidlab.lang.ir import Function
from pasidlab.lang.names import Names
from pasidlab.lang.python.statements import FunctionCompiler
from pasidlab.lang.source import SourceFunction


class NotThere(Exception):
    """The design has replaced the function, or has no such text in it."""


@dataclass(frozen=True)
class Mistake:
    """One mistake: ``text`` of ``function``, a statement left out, or a condition that never holds, breaks a property."""

    breaks: str
    function: str
    text: str
    how: Literal["without", "never"] = "without"

    @property
    def sentence(self) -> str:
        """What is wrong with the kernel, in words."""
        return f"{self.function}() {'without' if self.how == 'without' else 'as if never'} `{self.text}`"

    def around(self, design: Design) -> Design:
        """The design in the kernel with the mistake; compiling it raises NotThere if the mistake cannot be made."""

        def make(names: Names) -> dict[str, Function]:
            made = design.functions(names) if design.functions else {}
            known = names.namespace.functions.get(self.function)
            if known is None or self.function in made:
                raise NotThere(self.function)
            compiler = FunctionCompiler(self.mistaken(known), names, Functions(names, made))
            return {**made, self.function: compiler.compile()}

        return replace(design, functions=make, files=design.sources)

    def mistaken(self, known: SourceFunction) -> SourceFunction:
        """The function with the mistake. Raises NotThere."""
        change, node = _Change(self), copy.deepcopy(known.node)
        change.generic_visit(node)
        if not change.made:
            raise NotThere(self.function)
        return SourceFunction(known.name, ast.fix_missing_locations(node), known.file)


class _Change(ast.NodeTransformer):
    """Makes the mistake wherever its text stands."""

    def __init__(self, mistake: Mistake) -> None:
        self.mistake, self.made = mistake, False

    def visit(self, node: ast.AST) -> ast.AST:
        kind = ast.stmt if self.mistake.how == "without" else ast.expr
        if isinstance(node, kind) and ast.unparse(node) == self.mistake.text:
            self.made = True
            return ast.copy_location(ast.Pass() if self.mistake.how == "without" else ast.Constant(False), node)
        changed: ast.AST = super().visit(node)
        return changed


MISTAKES = (
    Mistake("coherent", "switch_fpu_prepare", "save_fpregs_to_fpstate(prev)"),
    Mistake("coherent", "kernel_fpu_begin", "__cpu_invalidate_fpregs_state()"),
    Mistake("coherent", "fpu_clone", "child.last_cpu = NULL"),
    Mistake("owned", "fpregs_restore_userregs", "current.need_fpu_load = False"),
    Mistake("owned", "fpregs_restore_userregs", "fpregs_activate(current)"),
    Mistake("isolated", "fpregs_restore_userregs", "restore_fpregs_from_fpstate(current, XFEATURE_MASK_FPSTATE)"),
    Mistake("isolated", "attach_device_pasid", "intel_pasid_setup_first_level(pasid, mm)"),
    Mistake("isolated", "bind_from_the_start", "entry.present = True"),
    Mistake("isolated", "write_descriptor", "current.mm is not current.file.mm", "never"),
    Mistake("served", "exc_general_protection", "try_fixup_enqcmd_gp()", "never"),
    Mistake("served", "gp_user_force_sig_segv", "force_sig_segv()"),
    Mistake("served", "xsaves", "this_cpu.msr_pasid != 0", "never"),
    Mistake("refused", "enqcmd", "this_cpu.msr_pasid & MSR_IA32_PASID_VALID == 0", "never"),
    Mistake("refused", "fpu_clone", "child.bv_pasid = False"),
    Mistake("preserved", "kernel_fpu_begin", "save_fpregs_to_fpstate(current)"),
    Mistake("preserved", "switch_fpu_prepare", "save_fpregs_to_fpstate(prev)"),
    Mistake("no_leak", "mm_pasid_drop", "iommu_free_global_pasid(mm.pasid)"),
    Mistake("no_leak", "mm_pasid_drop", "mm.pasid = 0"),
    Mistake("no_stale", "intel_pasid_tear_down_entry", "entry.present = False"),
    Mistake("no_stale", "detach_device_pasid", "intel_pasid_tear_down_entry(pasid, False)"),
    Mistake("no_stale", "iommu_alloc_global_pasid", "pasid_entry(pasid).allocated = True"),
    Mistake("sound_kernel", "kernel_fpu_end", "preempt_enable()"),
    Mistake("sound_kernel", "fpregs_restore_userregs", "current.last_cpu = this_cpu"),
)
"""For each property the mistakes that are tried, the first first, until one is caught."""
