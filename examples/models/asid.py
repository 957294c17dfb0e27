"""ASIDs of arm64, and what happens when they run out: arch/arm64/mm/context.c of Linux v6.12.

The TLB marks translations with the number of their address space, 8 or 16 bits, so that a switch need not flush it. ``mm->context.id``
holds the number and, above it, the generation it was given in; numbers of an older generation mean nothing.

- check_and_switch_context(), in the fast path: if the number is of the current generation, the CPU's ``active_asids`` takes it by cmpxchg,
  without the lock. That fails if a rollover has put 0 there meanwhile.
- new_context() keeps a number that was running during the rollover (``reserved_asids``), or one that is still free, or takes the next.
  If there is none it begins a generation: flush_context() takes every CPU's active number for reserved, and asks every CPU for a flush of
  its TLB before it switches the next time (``tlb_flush_pending``).
- cpu_do_switch_mm() reads the number again, and writes it to TTBR1 together with the tables to TTBR0.

The hardware may walk the tables in TTBR0 whenever it likes, speculatively, and keep what it finds under the number in TTBR1. What goes
wrong is one entry of one TLB. So one CPU, any, is watched from the beginning, and its TLB has one entry, which is kept or replaced.

Not modelled: pinned ASIDs, CNP, address spaces that end (exit_mmap() flushes theirs on all CPUs). Memory is sequentially consistent.
Number 0 is never given out. ``generations`` bounds the search: no rollover goes beyond. Three show what lost_reserved and blind_xchg
break (--size generations=3). That check_update_reserved_asid() must look at every CPU shows in none of three generations.
"""

from __future__ import annotations

from typing import Annotated

from pasidlab.declare import (
    NULL, CpuContext, Range, TaskContext, at, check, each, enter, entry, event, exit_to_user, index, initial, instruction,
    local_irq_disable, model, never, pick, reached, require, rule, singleton, size, struct, this_cpu, user, wait_until,
)  # fmt: skip

model(
    sizes={"cpus": 2, "mms": 4, "asid_bits": 2, "generations": 2},
    mistakes={
        "no_flush": "flush_context() asks for no TLB flush",
        "lost_reserved": "flush_context() forgets the reserved number of a CPU that has not switched since the last rollover",
        "blind_xchg": "the fast path replaces active_asids also where it is 0",
    },
)

CPUS = size("cpus")
MMS = size("mms")
NUM_USER_ASIDS = 1 << size("asid_bits")
GENERATIONS = size("generations")
ContextId = Annotated[int, Range(0, (GENERATIONS + 1) * NUM_USER_ASIDS - 1)]  # 0: none
Generation = Annotated[int, Range(1, GENERATIONS)]  # ASID_FIRST_VERSION is 1 here
Asid = Annotated[int, Range(0, NUM_USER_ASIDS - 1)]


@struct(count=CPUS)
class Cpu(CpuContext):
    """A CPU and the allocator's variables of its own."""

    current: Task = NULL
    active_asids: ContextId = 0
    reserved_asids: ContextId = 0
    tlb_flush_pending: bool = False


@struct(count=CPUS)
class Task(TaskContext):
    """What runs on a CPU: it only switches from one address space to another."""


@struct(count=MMS, symmetric=True)
class Mm:
    """mm_struct."""

    context_id: ContextId = 0


@struct(count=NUM_USER_ASIDS)
class Bit:
    """A bit of asid_map."""

    is_set: bool = False


@struct(count=1)
class Allocator:
    """The variables that all CPUs share."""

    cpu_asid_lock: Cpu = NULL
    asid_generation: Generation = 1


allocator = singleton(Allocator)


@struct(count=1)
class Watched:
    """The registers of the CPU that is watched, and an entry of its TLB."""

    cpu: Cpu = NULL
    ttbr_mm: Mm = NULL
    ttbr_asid: Asid = 0
    tlb_mm: Mm = NULL
    tlb_asid: Asid = 0


watched = singleton(Watched)


@initial
def boot() -> None:
    """Nobody has a number."""
    for cpu in each(Cpu):
        cpu.current = at(Task, index(cpu))
        cpu.current.on_cpu = True
    watched.cpu = pick(Cpu)


def work_is_waiting() -> bool:
    """No CPU is ever idle."""
    return False


# ---- arch/arm64/mm/context.c


def ctxid2asid(asid: ContextId) -> Asid:
    """The number without its generation."""
    return asid % NUM_USER_ASIDS


def asid_gen_match(asid: ContextId) -> bool:
    """Is the number of the current generation?"""
    return asid // NUM_USER_ASIDS == allocator.asid_generation


def flush_context() -> None:
    """A new generation begins: what runs keeps its number."""
    for bit in each(Bit):
        bit.is_set = False
    for cpu in each(Cpu):
        asid = xchg_active_asids(cpu)
        if asid == 0 and not event("lost_reserved"):
            asid = cpu.reserved_asids
        at(Bit, ctxid2asid(asid)).is_set = True
        cpu.reserved_asids = asid
    if not event("no_flush"):
        for cpu in each(Cpu):
            cpu.tlb_flush_pending = True


@instruction
def xchg_active_asids(cpu: Cpu) -> ContextId:
    """atomic64_xchg_relaxed(&per_cpu(active_asids, i), 0)."""
    asid = cpu.active_asids
    cpu.active_asids = 0
    return asid


def check_update_reserved_asid(asid: ContextId, newasid: ContextId) -> bool:
    """Was the number running during the rollover? Every CPU that has it reserved gets it in its new generation."""
    hit = False
    for cpu in each(Cpu):
        if cpu.reserved_asids == asid:
            hit = True
            cpu.reserved_asids = newasid
    return hit


def find_next_zero_bit() -> Asid:
    """The first free number; 0 if there is none (NUM_USER_ASIDS in the kernel).

    The kernel begins at cur_idx, the number it found last. Below that all are taken until the next rollover: the answer is the same.
    """
    for number in range(1, NUM_USER_ASIDS):
        if not at(Bit, number).is_set:
            return number
    return 0


def new_context(mm: Mm) -> ContextId:
    """A number of the current generation for an address space; under cpu_asid_lock."""
    asid = mm.context_id
    if asid != 0:
        newasid = allocator.asid_generation * NUM_USER_ASIDS + ctxid2asid(asid)
        if check_update_reserved_asid(asid, newasid):
            return newasid
        if not at(Bit, ctxid2asid(asid)).is_set:
            at(Bit, ctxid2asid(asid)).is_set = True
            return newasid
    free = find_next_zero_bit()
    if free == 0:
        require(allocator.asid_generation < GENERATIONS)
        allocator.asid_generation += 1
        flush_context()
        reached("isolated")
        reached("one_number")
        free = find_next_zero_bit()
        check("enough", free != 0, "every number is in use")
        reached("enough")
    at(Bit, free).is_set = True
    return allocator.asid_generation * NUM_USER_ASIDS + free


@instruction
def cmpxchg_active_asids(old: ContextId, asid: ContextId) -> bool:
    """atomic64_cmpxchg_relaxed(this_cpu_ptr(&active_asids), old, asid): true if the value found there was not 0."""
    found = this_cpu.active_asids
    if found == old or event("blind_xchg"):
        this_cpu.active_asids = asid
    return found != 0


def check_and_switch_context(mm: Mm) -> None:
    """Gives the address space its number, and switches to it."""
    asid = mm.context_id
    old_active_asid = this_cpu.active_asids
    fast = (old_active_asid != 0 or event("blind_xchg")) and asid_gen_match(asid) and cmpxchg_active_asids(old_active_asid, asid)
    if not fast:
        wait_until(raw_spin_trylock(), "spin")
        asid = mm.context_id
        if not asid_gen_match(asid):
            asid = new_context(mm)
            mm.context_id = asid
        if this_cpu.tlb_flush_pending:
            this_cpu.tlb_flush_pending = False
            local_flush_tlb_all()
        this_cpu.active_asids = asid
        allocator.cpu_asid_lock = NULL
    cpu_do_switch_mm(mm)


@instruction
def raw_spin_trylock() -> bool:
    """Take cpu_asid_lock if it is free."""
    if allocator.cpu_asid_lock is not None:
        return False
    allocator.cpu_asid_lock = this_cpu
    return True


@instruction
def local_flush_tlb_all() -> None:
    """TLBI VMALLE1, on this CPU alone."""
    if watched.cpu is this_cpu:
        watched.tlb_mm = NULL
        watched.tlb_asid = 0


def cpu_do_switch_mm(mm: Mm) -> None:
    """Between the two writes TTBR0 is the reserved one, which maps nothing."""
    asid = ctxid2asid(mm.context_id)
    if watched.cpu is this_cpu:
        watched.ttbr_mm = NULL
        watched.ttbr_asid = asid
        watched.ttbr_mm = mm


# ---- the machine, and who switches


@rule()
def table_walk() -> None:
    """The hardware keeps a translation it has found."""
    require(watched.ttbr_mm is not None)
    watched.tlb_mm = watched.ttbr_mm
    watched.tlb_asid = watched.ttbr_asid


@user()
def preempted() -> None:
    """The scheduler switches to another address space, with interrupts off."""
    enter(context_switch)


@entry("exception")
def context_switch() -> None:
    """switch_mm(), to any."""
    check_and_switch_context(pick(Mm))


@exit_to_user
def leave() -> None:
    """Back to user mode, with interrupts off until there."""
    local_irq_disable()


@never("isolated", "a CPU may use a translation of another address space")
def wrong_translation() -> bool:
    """The number in use is that of the entry, but the tables are not."""
    if watched.ttbr_mm is None or watched.tlb_mm is None:
        return False
    return watched.tlb_asid == watched.ttbr_asid and watched.tlb_mm is not watched.ttbr_mm


@never("one_number", "a program runs under another number than its address space has, so that flushes by number miss its CPU")
def other_number() -> bool:
    """flush_tlb_mm() and the like invalidate ASID(mm), on all CPUs. In the middle of a switch the CPU is about to leave it."""
    if watched.ttbr_mm is None or watched.cpu.current.pc != 0:
        return False
    return watched.ttbr_asid != ctxid2asid(watched.ttbr_mm.context_id)
