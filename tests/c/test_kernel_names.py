"""What names of the kernel mean in C: functions executed alone, on a state of their own."""

from __future__ import annotations

import pytest
from c_machine import Crash, Machine

from pasidlab.errors import PasidlabError

PASID = 1 << 10
USER = 1


def machine(body: str, before: str = "", result: str = "long", **options: object) -> Machine:
    """A function f() with this body."""
    return Machine(f"{before}\nstatic {result} f(void)\n{{\n{body}\n}}\n", **options)  # type: ignore[arg-type]


def value(body: str, **fields: int) -> int:
    """What a body returns in a state; fields by their names with __ for the dot."""
    one = machine(body)
    for name, number in fields.items():
        one.set(name.replace("__", "."), number)
    return one.call("f")


# ---- interrupts


@pytest.mark.parametrize("off", [0, 1])
def test_local_irq_save_and_restore_put_back_what_was(off: int) -> None:
    one = machine("unsigned long flags; local_irq_save(flags); if (!irqs_disabled()) BUG(); local_irq_restore(flags); return flags;")
    one.set("Cpu.irqs_off", off)
    assert one.call("f") == (0x002 if off else 0x202)  # EFLAGS.IF, and the bit that is always set
    assert one.get("Cpu.irqs_off") == off


@pytest.mark.parametrize("off", [0, 1])
@pytest.mark.parametrize("form", ["guard(irqsave)(); return irqs_disabled();", "scoped_guard(irqsave) return irqs_disabled(); return 0;"])
def test_guard_irqsave_puts_back_what_was(form: str, off: int) -> None:
    one = machine(form)
    one.set("Cpu.irqs_off", off)
    assert one.call("f") == 1
    assert one.get("Cpu.irqs_off") == off


def test_scoped_guard_is_left_by_break() -> None:
    one = machine("scoped_guard(preempt) { if (current->mm) break; return 7; } return preempt_count();")
    assert one.call("f") == 0


def test_bottom_halves_are_not_enabled_with_interrupts_off() -> None:
    one = machine("local_bh_disable(); local_irq_disable(); local_bh_enable(); return 0;")
    one.call("f")
    assert one.failed == ["local_bh_enable() with interrupts off"]
    fine = machine("local_bh_disable(); local_bh_enable(); fpregs_lock(); fpregs_unlock(); return 0;")
    fine.call("f")
    assert fine.failed == []


def test_counts_have_the_kernel_s_units() -> None:
    text = "preempt_disable(); local_bh_disable(); return preempt_count() + (softirq_count() == 0x200) * 0x100000;"
    assert value(text) == 0x201 + 0x100000
    assert value("return preempt_count() == 0x10000 && in_hardirq() && !in_task() && in_interrupt();", Cpu__hardirq_pc=3) == 1
    serving = value("return (in_serving_softirq() == 0x100) + 2 * (softirq_count() == 0x100);", Cpu__softirq_pc=2, Cpu__softirq_count=1)
    assert serving == 3
    assert value("return preemptible() + 2 * in_task() + 4 * in_atomic();") == 3


def test_counts_are_taken_apart_by_masks() -> None:
    text = "preempt_disable(); local_bh_disable(); int n = preempt_count(); return "
    assert value(text + "(n & PREEMPT_MASK) == PREEMPT_OFFSET && (n & SOFTIRQ_MASK) == SOFTIRQ_DISABLE_OFFSET;") == 1
    assert value("return (preempt_count() & HARDIRQ_MASK) == HARDIRQ_OFFSET && !(preempt_count() & NMI_MASK);", Cpu__hardirq_pc=2) == 1


@pytest.mark.parametrize(("text", "wanted"), [
    ("clamp_t(u8, 300, 1, 40)", 40), ("min3(3, n++, 2)", 0), ("max3(3, 1, n) + n", 3), ("abs(-3) + abs(n)", 3), ("DIV_ROUND_UP(7, 2)", 4),
    ("round_up(5, 4) * 10 + round_down(7, 4)", 84), ("ALIGN(5, 8)", 8), ("is_power_of_2(8) + 2 * is_power_of_2(n)", 1),
    ("upper_32_bits(0x500000001ULL) * 10 + lower_32_bits(0x500000001ULL)", 51), ("likely(2) + unlikely(0x100000000ULL)", 2),
])  # fmt: skip
def test_the_kernel_s_arithmetic(text: str, wanted: int) -> None:
    assert value(f"int n = 0; return {text};") == wanted


# ---- locks

SPIN = "static DEFINE_SPINLOCK(a);\nstatic DEFINE_RAW_SPINLOCK(b);"
OFF = ("Cpu.irqs_off", "Cpu.preempt_count", "Cpu.softirq_count")


@pytest.mark.parametrize(("form", "off"), [("", (0, 1, 0)), ("_irq", (1, 1, 0)), ("_bh", (0, 1, 1))])
def test_spin_locks_and_what_they_switch_off(form: str, off: tuple[int, int, int]) -> None:
    taken = machine(f"spin_lock{form}(&a); return spin_is_locked(&a) * 2 + spin_trylock(&a);", SPIN)
    assert taken.call("f") == 2
    assert (taken.get("SpinLock.holder", 1), taken.get("SpinLock.holder", 2)) == (1, 0)
    assert tuple(taken.get(path) for path in OFF) == off
    both = machine(f"spin_lock{form}(&a); raw_spin_lock(&b); raw_spin_unlock(&b); spin_unlock{form}(&a); return spin_is_locked(&a);", SPIN)
    assert both.call("f") == 0
    assert tuple(both.get(path) for path in OFF) == (0, 0, 0)
    assert taken.failed == both.failed == []


@pytest.mark.parametrize("off", [0, 1])
@pytest.mark.parametrize("text", [
    "unsigned long flags; spin_lock_irqsave(&a, flags); off = irqs_disabled(); spin_unlock_irqrestore(&a, flags);",
    "{ guard(spinlock_irqsave)(&a); off = irqs_disabled(); }", "off = 0; scoped_guard(raw_spinlock_irqsave, &b) off = irqs_disabled();",
])  # fmt: skip
def test_spin_lock_irqsave_puts_back_what_was(text: str, off: int) -> None:
    one = machine(f"int off; {text} return off;", SPIN)
    one.set("Cpu.irqs_off", off)
    assert one.call("f") == 1
    assert tuple(one.get(path) for path in OFF) == (off, 0, 0)
    assert (one.get("SpinLock.holder", 1), one.get("SpinLock.holder", 2)) == (0, 0)


def test_spin_locks_are_left_by_those_who_hold_them() -> None:
    one = machine("spin_unlock(&a); return 0;", SPIN)
    one.call("f")
    assert one.failed == ["a spin lock is released by a CPU that does not hold it"]
    again = machine("spin_lock(&a); spin_lock(&a); return 0;", SPIN)
    with pytest.raises(Crash, match="waits for ever"):
        again.call("f")
    assert again.failed == ["a spin lock is taken twice on a CPU (self-deadlock)"]
    held = machine("assert_spin_locked(&a); spin_lock(&a); assert_spin_locked(&a); return 0;", SPIN)
    held.call("f")
    assert held.failed == ["a spin lock is not held"]


def test_mmap_lock_may_sleep() -> None:
    body = "%s mmap_read_lock(current->mm); mmap_read_unlock(current->mm); return 0;"
    for before, failed in (("", []), ("spin_lock(&a);", ["sleeps in atomic context: preemption disabled"])):
        one = machine(body % before, SPIN)
        one.call("f")
        assert one.failed == failed


# ---- assertions


@pytest.mark.parametrize(("call", "fields", "fails"), [
    ("lockdep_assert(0)", {}, True), ("lockdep_assert(current->mm)", {}, False), ("lockdep_assert_once(1 > 2)", {}, True),
    ("lockdep_assert_irqs_enabled()", {"Cpu.irqs_off": 1}, True), ("lockdep_assert_irqs_disabled()", {"Cpu.irqs_off": 1}, False),
    ("lockdep_assert_preemption_enabled()", {}, False), ("lockdep_assert_preemption_enabled()", {"Cpu.irqs_off": 1}, True),
    ("lockdep_assert_preemption_disabled()", {}, True), ("lockdep_assert_preemption_disabled()", {"Cpu.softirq_count": 1}, False),
    ("lockdep_assert_in_softirq()", {}, True), ("lockdep_assert_in_softirq()", {"Cpu.softirq_count": 1}, False),
    ("lockdep_assert_in_irq()", {}, True), ("lockdep_assert_no_hardirq()", {"Cpu.hardirq_pc": 2}, True),
    ("lockdep_assert_held(&iommu_sva_lock)", {}, True), ("lockdep_assert_held(&some_lock)", {}, False),
    ("lockdep_assert_not_held(&iommu_sva_lock)", {"Locks.iommu_sva_lock": 1}, True),
    ("might_sleep()", {"Cpu.preempt_count": 1}, True), ("might_sleep()", {}, False),
    ("smp_processor_id()", {}, True), ("raw_smp_processor_id()", {}, False), ("smp_processor_id()", {"Cpu.preempt_count": 1}, False),
    ("smp_processor_id()", {"Cpu.irqs_off": 1}, False), ("smp_processor_id()", {"Cpu.softirq_count": 1}, False),
    ("smp_processor_id()", {"Cpu.hardirq_pc": 1}, False), ("get_cpu()", {}, False),
    ("__this_cpu_read(in_kernel_fpu)", {}, True), ("this_cpu_read(in_kernel_fpu)", {}, False),
    ("__this_cpu_write(in_kernel_fpu, 1)", {}, True), ("raw_cpu_write(in_kernel_fpu, 1)", {}, False),
    ("refcount_inc(&current->mm->pasid_refs)", {}, True), ("refcount_inc(&current->mm->pasid_refs)", {"Mm.pasid_refs": 1}, False),
    ("refcount_inc_not_zero(&current->mm->pasid_refs)", {}, False), ("refcount_dec(&current->mm->pasid_refs)", {"Mm.pasid_refs": 1}, True),
    ("refcount_dec_and_test(&current->mm->pasid_refs)", {"Mm.pasid_refs": 1}, False),
    ("refcount_dec_and_test(&current->mm->pasid_refs)", {}, True),
])  # fmt: skip
def test_promises(call: str, fields: dict[str, int], fails: bool) -> None:
    one = machine(f"{call}; return 0;")
    for path, number in fields.items():
        one.set(path, number)
    one.call("f")
    assert bool(one.failed) == fails


# ---- CPUs and PASIDs have the kernel's numbers


@pytest.mark.parametrize("cpu", [1, 2])
def test_numbers_of_cpus(cpu: int) -> None:
    body = "int cpu = raw_smp_processor_id(), n = cpu * 10; if (cpu) n++; return n + (cpu == 1) * 100 + (cpu < 0) * 1000;"
    one = machine(body)
    one.cpu = cpu
    assert one.call("f") == (0 if cpu == 1 else 111)


def test_last_cpu() -> None:
    body = "struct fpu *fpu = &current->thread.fpu; fpu->last_cpu = %s; return %s;"
    assert value(body % ("-1", "fpu->last_cpu == -1")) == 1
    assert value(body % ("0", "(fpu->last_cpu == 0) + 2 * (fpu->last_cpu == -1) + 4 * (fpu->last_cpu == raw_smp_processor_id())")) == 5
    assert value(body % ("1", "fpu->last_cpu")) == 1
    assert value(body % ("-1", "fpu->last_cpu")) == 0xFFFFFFFF
    assert value(body % ("-1", "(int)fpu->last_cpu + 5")) == 4
    one = machine(body % ("raw_smp_processor_id()", "0"))
    one.call("f")
    assert one.get("Task.last_cpu") == 1


@pytest.mark.parametrize(("text", "wanted"), [
    ("unsigned long w = fpu->last_cpu; return w;", 0xFFFFFFFF), ("long w = (int)fpu->last_cpu; return w;", -1),
    ("return fpu->last_cpu == -1L;", 0), ("return fpu->last_cpu == 0xffffffff;", 1), ("return (u64)fpu->last_cpu;", 0xFFFFFFFF),
    ("u8 v; int w = (v = -1); return w;", 255), ("u8 v = fpu->last_cpu; int w = v; return w;", 255),
    ("u32 v; unsigned long w = (v = -1); return w;", 0xFFFFFFFF), ("int w = fpu->last_cpu; return w == -1L;", 1),
    ("int w = raw_smp_processor_id(), v = 300; swap(w, v); return w;", 300), ("return wide(fpu->last_cpu);", 0xFFFFFFFF),
    ("return given(300);", 300), ("int w; w = raw_smp_processor_id(); w = -1; return w == fpu->last_cpu;", 1),
])  # fmt: skip
def test_no_cpu_is_minus_one_in_the_width_it_has(text: str, wanted: int) -> None:
    before = "static u64 wide(u64 x) { return x; }\n"
    before += "static int given(int n) { if (!current) n = raw_smp_processor_id(); int w = n; return w; }"
    assert machine(f"struct fpu *fpu = &current->thread.fpu; fpu->last_cpu = -1; {text}", before).call("f") == wanted


def test_a_cpu_handed_to_a_function() -> None:
    before = "static bool same(struct fpu *fpu, unsigned int cpu) { return cpu == fpu->last_cpu; }\n"
    before += "static int twice(int cpu) { return cpu * 2 + 1; }"
    one = machine("int n = raw_smp_processor_id(); return same(&current->thread.fpu, n) + 10 * twice(n) + 100 * twice(3);", before)
    assert one.call("f") == 1 + 10 + 700


def test_per_cpu_variables_of_any_cpu() -> None:
    one = machine("per_cpu(in_kernel_fpu, 1) = true; return *per_cpu_ptr(&in_kernel_fpu, 1) + 2 * per_cpu(in_kernel_fpu, 0);")
    assert one.call("f") == 1
    assert one.get("Cpu.in_kernel_fpu", 2) == 1
    with pytest.raises(Crash, match="NULL pointer dereference"):
        machine("return per_cpu(in_kernel_fpu, -1);").call("f")


def test_a_saved_pointer_is_a_place() -> None:
    body = "struct fpu **p = raw_cpu_ptr(&fpu_fpregs_owner_ctx); this_cpu_write(fpu_fpregs_owner_ctx, NULL); return *p == NULL;"
    assert value(body) == 1


@pytest.mark.parametrize(("name", "none"), [("INVALID_IOASID", 0xFFFFFFFF), ("IOMMU_PASID_INVALID", 0xFFFFFFFF), ("PASID_DISABLED", 0)])
def test_no_pasid(name: str, none: int) -> None:
    body = f"u32 pasid = current->mm->pasid; return (pasid == {name}) * 10 + !pasid + 100 * ({name} == -1);"
    assert value(body, Mm__pasid=0) == 10 + (none == 0) + 100 * (none != 0)
    assert value(body, Mm__pasid=1) == 100 * (none != 0)
    one = machine(f"current->mm->pasid = {name}; return current->mm->pasid;")
    assert one.call("f") == none
    assert one.get("Mm.pasid") == 0


# ---- xstate


@pytest.mark.parametrize("call", ["os_xrstor(&init_fpstate, mask)", "restore_fpregs_from_init_fpstate(mask)"])
@pytest.mark.parametrize(("mask", "pasid", "user"), [(PASID, 0, 1), (USER, 5, 0), (PASID | USER, 0, 0)])
def test_init_restores_what_the_mask_names(call: str, mask: int, pasid: int, user: int) -> None:
    one = machine(f"u64 mask = {mask}; {call}; return 0;")
    one.set("Cpu.msr_pasid", 5)
    one.set("Cpu.user_regs", 1)
    one.call("f")
    assert (one.get("Cpu.msr_pasid"), one.get("Cpu.user_regs")) == (pasid, user)


HEADER = "struct xstate_header *h = &current->thread.fpu.fpstate->regs.xsave.header; "


def test_or_into_the_header_is_a_load_and_a_store() -> None:
    one = machine(HEADER + "return (h->xfeatures |= XFEATURE_MASK_PASID);")
    one.set("Task.bv_user", 1)
    assert one.call("f") == PASID | USER
    touched = [(kind, path) for kind, path in one.touched if "bv_" in path]
    assert sorted(touched[:2]) == [("load atomic", "Task.bv_pasid"), ("load atomic", "Task.bv_user")]
    assert sorted(touched[2:]) == [("store atomic", "Task.bv_pasid"), ("store atomic", "Task.bv_user")]


def test_and_into_the_header() -> None:
    one = machine(HEADER + "h->xfeatures &= ~XFEATURE_MASK_PASID; return h->xfeatures == 1;")
    one.set("Task.bv_user", 1)
    one.set("Task.bv_pasid", 1)
    assert one.call("f") == 1
    assert one.get("Task.bv_pasid") == 0


def test_a_mask_in_a_variable() -> None:
    one = machine(HEADER + "u64 mask = current->mm ? XFEATURE_MASK_PASID : 1; h->xfeatures |= mask; return (h->xfeatures & mask) != 0;")
    assert one.call("f") == 1
    assert (one.get("Task.bv_pasid"), one.get("Task.bv_user")) == (1, 0)


def test_read_once_of_the_header_is_one_access() -> None:
    one = machine(HEADER + "return READ_ONCE(h->xfeatures) != 0;")
    one.call("f")
    assert [kind for kind, path in one.touched if "bv_" in path] == ["load atomic", "load atomic"]


def test_memcpy_of_an_image_takes_its_time() -> None:
    body = "memcpy(&current->thread.fpu.fpstate->regs, &current->thread.fpu.fpstate->regs, %s); return 0;"
    one = machine(body % "fpu_kernel_cfg.default_size")
    one.call("f")
    stores = [(kind, path) for kind, path in one.touched if kind.startswith("store")]
    assert stores == [
        ("store", "Task.image_user"), ("store atomic", "Task.bv_user"), ("store atomic", "Task.bv_pasid"), ("store", "Task.image_pasid"),
    ]  # fmt: skip
    for length in ("16", "n * 2"):
        with pytest.raises(PasidlabError, match="as the length of an image"):
            machine("int n = 8; " + body % length).call("f")
    for length in ("init_fpstate_copy_size()", "fpu_user_cfg.default_size", "sizeof(struct xregs_state)"):
        with pytest.raises(PasidlabError, match="which is that of its beginning"):
            machine(body % length).call("f")


def test_thread_flags_change_at_once() -> None:
    one = machine("return test_and_set_thread_flag(TIF_NEED_FPU_LOAD) + 2 * test_and_clear_thread_flag(TIF_NEED_FPU_LOAD);")
    assert one.call("f") == 2
    assert {kind for kind, path in one.touched if path == "Task.need_fpu_load"} == {"load atomic", "store atomic"}


def test_msr_into_a_variable_of_its_own_type() -> None:
    assert value("u8 v; rdmsrl(MSR_IA32_PASID, v); return v;", Cpu__msr_pasid=0x80000001) == 1
    assert value("u64 v; int err = rdmsrl_safe(MSR_IA32_PASID, &v); return v + err;", Cpu__msr_pasid=0x80000001) == 0x80000001


# ---- keys, signals, what is out of the model


def test_static_keys_have_a_state() -> None:
    body = "return static_branch_unlikely(&mine) + 2 * static_branch_likely(&mine);"
    assert machine(body, stubs=["mine=noop"]).call("f") == 0
    assert machine(body, stubs=["mine=unconstrained:1..1"]).call("f") == 3
    with pytest.raises(PasidlabError, match="unknown static key 'mine'"):
        machine(body).call("f")


def test_pointers_out_of_the_model_are_there() -> None:
    assert value("const char *text = \"abc\"; return text ? 1 : 2;") == 1
    assert value("return &some_lock != NULL;") == 1


def test_idle_has_no_task() -> None:
    with pytest.raises(Crash, match="NULL pointer dereference"):
        value("return current->pasid_activated;", Cpu__current=0)
