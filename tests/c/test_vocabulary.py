"""The vocabulary: what it names exists, and no function of the protocol is missing in any version from v5.10 on."""

from __future__ import annotations

import ast

import pytest
from c_machine import kernel_names

from pasidlab import declare, designs
from pasidlab.designs.intake.tree import body_text
from pasidlab.lang import source
from pasidlab.lang.c.ctype import Pointer, Struct
from pasidlab.lang.c.templates import parsed
from pasidlab.lang.c.vocabulary import vocabulary
from pasidlab.lang.functions import ARRIVALS
from pasidlab.model.sources import MODEL_FILES, PREEMPT_RT_FILES

WORDS = vocabulary()
EVERYWHERE = {
    name
    for design in designs.BUILT_IN.values()
    for name in source.collect([ARRIVALS, *MODEL_FILES, design.path]).functions
}  # fmt: skip
# arch/x86/kernel/fpu/{core,context}, asm/fpu/{api,sched,internal}.h, traps.c, fork.c, sched/mm.h, by release
PROTOCOL = {
    "v5.10": "fpregs_lock fpregs_unlock fpregs_state_valid fpregs_activate fpregs_deactivate __cpu_invalidate_fpregs_state "
    "__fpu_invalidate_fpregs_state fpregs_mark_activate __fpregs_load_activate switch_fpu_return copy_fpregs_to_fpstate "
    "copy_kernel_to_fpregs __copy_kernel_to_fpregs switch_fpu_prepare switch_fpu_finish irq_fpu_usable kernel_fpu_begin_mask "
    "kernel_fpu_end fpu__save fpu__copy fpu__clear_all fpu__clear_user_states fpu__drop update_pasid exc_general_protection",
    "v5.15": "fpregs_restore_userregs save_fpregs_to_fpstate __restore_fpregs_from_fpstate fpu_sync_fpstate fpu_clone "
    "fpu_flush_thread fpu_reset_fpstate",
    "v5.18": "fpu_reset_fpregs restore_fpregs_from_fpstate try_fixup_enqcmd_gp mm_pasid_drop fpu_idle_fpregs pasid_valid fpstate_reset",
    "v6.6": "fpregs_lock_and_load mm_valid_pasid iommu_free_global_pasid",
    "v6.8": "mm_get_enqcmd_pasid",
    "v6.16": "switch_fpu fpu_reset_fpstate_regs x86_task_fpu wrmsrq rdmsrq",
}


@pytest.mark.parametrize("version", PROTOCOL)
def test_no_function_is_missing(version: str) -> None:
    known = {*WORDS.replacements, *WORDS.calls, *WORDS.macros, *EVERYWHERE}
    assert [name for name in PROTOCOL[version].split() if name not in known] == []


def test_what_c_functions_replace_exists() -> None:
    assert {entry.model for entries in WORDS.replacements.values() for entry in entries} <= EVERYWHERE
    assert {design for _, design in WORDS.bases} | set(WORDS.tree_designs.values()) <= set(designs.BUILT_IN)
    assert set(WORDS.tree_functions) <= set(WORDS.replacements)
    assert {entry.model for entry in WORDS.tree_lines} <= EVERYWHERE


@pytest.mark.parametrize("design", designs.BUILT_IN)
def test_lines_of_a_tree_take_the_place_of_a_line_that_is_there(design: str) -> None:
    """Else the tree's line would be told as judged, and the model would go on with its own."""
    names = kernel_names(design)
    assert {entry.function: body_text(names, entry.model).count(entry.replace) for entry in WORDS.tree_lines} == {
        entry.function: 1 for entry in WORDS.tree_lines
    }
    assert len({entry.model for entry in WORDS.tree_lines}) == sum(not entry.unless for entry in WORDS.tree_lines)


def test_every_meaning_is_valid() -> None:
    meanings = [*WORDS.values.values(), *WORDS.members.values(), *WORDS.percpu.values(), *(m for e in WORDS.calls.values() for _, m in e)]
    for meaning in meanings:
        if not meaning.nothing and not meaning.text.startswith("%"):
            parsed(meaning.text)
        assert not isinstance(meaning.type, Struct | Pointer) or meaning.view in WORDS.structs, meaning
    for text in [*WORDS.stores.values(), *WORDS.percpu_negated.values(), *(t for bits in WORDS.bits.values() for t in bits.values())]:
        parsed(text)
    assert {key.split(".")[0] for key in WORDS.members} <= set(WORDS.structs)


def test_every_function_that_a_meaning_calls_exists() -> None:
    """A call may stand for any function of the C: its pattern names it."""
    calls = [(pattern, meaning) for entries in WORDS.calls.values() for pattern, meaning in entries if not meaning.nothing]
    known = EVERYWHERE | set(source.collect([ARRIVALS, *MODEL_FILES, *PREEMPT_RT_FILES]).functions) | set(declare.__all__)
    called = {
        (node.func.id, str(pattern))
        for pattern, meaning in calls
        if not meaning.text.startswith("%")
        for statement in parsed(meaning.text)
        for node in ast.walk(statement)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert {name for name, pattern in called if name not in known and name not in pattern} == set()
