"""What a file says itself: its own macros, its locks, its assertions; and what the kernel says where it sleeps inside rcu_read_lock()."""

from __future__ import annotations

import pytest
from c_machine import Machine, refusal

from pasidlab.errors import PasidlabError

NUMBERS = [
    ("abs(0xffffffffu)", 1), ("abs(-5)", 5), ("abs((short)-32768)", 32768), ("abs((u8)200)", 56), ("abs((s8)-128)", 128), ("abs(-5L)", 5),
    ("abs(0x8000000000000001ULL)", 0x7FFFFFFFFFFFFFFF), ("sizeof(abs((u8)1))", 4), ("abs((char)200)", 56), ("sizeof(abs((char)1))", 1),
    ("hweight32(0xf0f0f0f1)", 17), ("hweight8(0x1ff)", 8), ("hweight16(0x1ffff)", 16), ("hweight64(0xffff0000ffff0001ULL)", 33),
    ("fls(0)", 0), ("fls(1)", 1), ("fls(0x80000000)", 32), ("fls64(0x100000000ULL)", 33), ("fls64(0)", 0), ("ffs(0)", 0), ("ffs(12)", 3),
    ("ffs(0x80000000)", 32), ("__ffs(8)", 3), ("__fls(0xff)", 7), ("ffz(7)", 3), ("ilog2(1025)", 10), ("ilog2(1ULL << 40)", 40),
    ("ffs(ffs(4))", 1), ("fls(ilog2(70000))", 5), ("S32_MIN", -2147483648), ("S8_MAX", 127), ("S64_MAX > 0", 1), ("LLONG_MIN < 0", 1),
    ("LONG_MIN + 1 < 0", 1), ("sizeof(S8_MAX)", 1), ("S16_MIN", -32768), ("BITS_PER_BYTE", 8),
]  # fmt: skip
"""Values as gcc 12 gives them for the macros of include/linux/math.h and its like, v6.12."""


def machine(body: str, before: str = "", type_: str = "long") -> Machine:
    """A function f() with this body."""
    return Machine(f"{before}\nstatic {type_} f(void)\n{{\n{body}\n}}\n")


@pytest.mark.parametrize(("text", "wanted"), NUMBERS)
def test_the_kernel_s_numbers(text: str, wanted: int) -> None:
    assert machine(f"return {text};").call("f") == wanted


def test_an_argument_is_evaluated_once() -> None:
    assert machine("int n = -3; int a = abs(n++); int b = fls(n++); return a * 1000 + b * 10 + (n == -1);").call("f") == 3000 + 320 + 1


OWN = {
    "#define BIT(n) (n)": ("BIT(5)", 5),
    "#define min(a, b) ((a) < (b) ? (a) : (b))": ("({ int n = 0; min(n++, 9) + n; })", 3),
    "#define ARRAY_SIZE(x) 7": ("ARRAY_SIZE(1)", 7),
    "#define U8_MAX 200": ("U8_MAX", 200),
    "#define READ_ONCE(x) 7": ("READ_ONCE(1)", 1),
}


@pytest.mark.parametrize("before", OWN)
def test_a_macro_of_the_file_counts_where_c_alone_gives_the_name_a_meaning(before: str) -> None:
    text, wanted = OWN[before]
    assert machine(f"return {text};", before).call("f") == wanted


REFUSED = {
    "BUILD_BUG_ON(sizeof(int) == 4); return 0;": "fix.c:4:1: BUILD_BUG_ON() is true: 'sizeof(int)==4'",
    "BUILD_BUG_ON_MSG(BIT(3) > 7, \"large\"); return 0;": "BUILD_BUG_ON_MSG() is true",
    "return abs(current);": "abs() of a struct task_struct *\n  hint: it takes a whole integer",
    "struct { u32 a : 3; } s = { 1 }; return abs(s.a);": "abs() of a unsigned int",
    "struct { u32 a : 3; } s = { 1 }; u32 *p = &s.a; return *p;": "the address of a bit field: 's.a'\n  hint: pass its value",
    "return atomic_read(&current->pasid_activated);": "the address of a bit field",
    "if (current->mm) guard(preempt)(); return 0;": "guard() is a declaration: no branch or loop of its own\n  hint: braces",
    "while (current->mm) guard(preempt)(); return 0;": "guard() is a declaration",
    "current->thread.fpu.fpstate->regs.xsave.header.xfeatures = 0x204; return 0;": "0x204 stored to a set of bits",
}  # fmt: skip


@pytest.mark.parametrize("body", REFUSED)
def test_refused(body: str) -> None:
    assert REFUSED[body] in refusal(body)


def test_what_is_accepted_beside_them() -> None:
    assert refusal("BUILD_BUG_ON(sizeof(int) != 4); return 0;") == "accepted"
    assert refusal("BUILD_BUG_ON(sizeof(struct task_struct) > 1); return 0;") == "accepted"  # left to the kernel's compiler
    assert refusal("{ guard(preempt)(); } return 0;") == "accepted"
    assert refusal("current->thread.fpu.fpstate->regs.xsave.header.xfeatures = XFEATURE_MASK_FPSTATE; return 0;") == "accepted"


@pytest.mark.parametrize(("more", "fits"), [(0x401, True), (0x205, False), (1 << 63, False)])
def test_a_set_of_bits_takes_only_what_the_model_has(more: int, fits: bool) -> None:
    one = machine(f"u64 n = current->mm ? {more:#x}ULL : 1; current->thread.fpu.fpstate->regs.xsave.header.xfeatures |= n; return 0;")
    if fits:
        one.call("f")
        assert one.get("Task.bv_pasid") == one.get("Task.bv_user") == 1
        return
    with pytest.raises(AssertionError, match=r"Task\.bv_"):
        one.call("f")


# ---- locks and assertions

LOCK = "static DEFINE_SPINLOCK(mine);"


@pytest.mark.parametrize(("body", "failed"), [
    ("lockdep_assert_held(&mine);", ["lockdep_assert_held() fails"]), ("spin_lock(&mine); lockdep_assert_held(&mine);", []),
    ("lockdep_assert_not_held(&mine);", []), ("spin_lock(&mine); lockdep_assert_not_held(&mine);", ["lockdep_assert_not_held() fails"]),
    ("lockdep_assert_held(&other_lock);", []), ("lockdep_assert_held(&iommu_sva_lock);", ["iommu_sva_lock is not held"]),
])  # fmt: skip
def test_a_lock_of_the_file_is_held_or_not(body: str, failed: list[str]) -> None:
    one = machine(f"{body} return 0;", LOCK)
    one.call("f")
    assert one.failed == failed


INSIDE = "sleeps in atomic context: inside rcu_read_lock()"


@pytest.mark.parametrize(("body", "failed"), [
    ("rcu_read_lock(); might_sleep(); rcu_read_unlock();", [INSIDE]), ("rcu_read_lock(); rcu_read_unlock(); might_sleep();", []),
    ("{ guard(rcu)(); mutex_lock(&iommu_sva_lock); } mutex_unlock(&iommu_sva_lock);", [INSIDE]),
    ("scoped_guard(rcu) cond_resched(); cond_resched();", [INSIDE]),
    ("rcu_read_lock(); rcu_read_lock(); rcu_read_unlock(); might_sleep(); rcu_read_unlock();", [INSIDE]),
    ("rcu_read_unlock();", ["rcu_read_unlock() without rcu_read_lock()"]),
    ("rcu_read_lock_bh(); might_sleep(); rcu_read_unlock_bh(); might_sleep();", ["sleeps in atomic context: BH disabled"]),
    ("rcu_read_lock_sched(); might_sleep(); rcu_read_unlock_sched();", ["sleeps in atomic context: preemption disabled"]),
    ("local_irq_disable(); cond_resched(); local_irq_enable();", ["sleeps in atomic context: interrupts disabled"]),
    ("lockdep_assert_in_rcu_read_lock();", ["lockdep_assert_in_rcu_read_lock() fails"]),
    ("rcu_read_lock(); lockdep_assert_in_rcu_read_lock(); WARN_ON(!rcu_read_lock_held()); rcu_read_unlock();", []),
])  # fmt: skip
def test_nothing_sleeps_inside_rcu_read_lock(body: str, failed: list[str]) -> None:
    one = machine(f"{body} return 0;")
    one.call("f")
    assert one.failed == failed
    assert failed or one.get("Task.rcu_read_lock_nesting") == 0


def test_a_call_without_meaning_is_still_told() -> None:
    with pytest.raises(PasidlabError, match=r"unknown function 'call_rcu'"):
        machine("call_rcu(0, 0); return 0;").call("f")
