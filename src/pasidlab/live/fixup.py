"""How a thread comes to hold its process's PASID: the design under debate, run on the program's threads."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Protocol

from pasidlab import designs
from pasidlab.errors import PasidlabError
from pasidlab.live.kernel import Kernel, LiveObject, SigSegv
from pasidlab.live.state import AddressSpace, Thread

VALID = 1 << 31
"""IA32_PASID bit 31 (SDM volume 4, MSR D93H); bits 19:0 are the PASID."""


class Fixup(Protocol):
    """A design, seen from the tracer. ``fixup`` is called at each #GP that a real CPU would raise."""

    def thread_started(self, thread: Thread, parent: Thread | None, *, same_mm: bool) -> None:
        """A task exists: the first one (no parent), a thread, or the child of a fork."""

    def executed(self, thread: Thread) -> None:
        """exec(2) gave the task a new address space."""

    def bound(self, thread: Thread) -> None:
        """The thread opened the device: its process has a PASID."""

    def msr(self, thread: Thread) -> int:
        """IA32_PASID as the thread's next instruction in user mode finds it."""

    def fixup(self, thread: Thread) -> bool:
        """The #GP handler: true if the instruction is to be tried again, false for SIGSEGV."""

    def thread_ended(self, thread: Thread) -> None:
        """The task is gone."""


class DesignFixup:
    """Runs a design's own functions. Without chaos every thread has a CPU to itself, so that nothing can come
    between.
    """

    def __init__(self, design: str, chaos: int | None = None) -> None:
        self.chaos = Chaos(chaos) if chaos is not None else None
        interrupted = self.chaos.between_steps if self.chaos else None
        opened = designs.Opening(design).design()
        if opened.own:
            raise PasidlabError(f"{design} is a model of its own, and no design: programs cannot run by it")
        self.kernel = Kernel(opened, interrupted=interrupted)
        if self.chaos:
            self.chaos.settle(self.kernel)

    @property
    def broken(self) -> list[str]:
        """Promises that the design did not keep, in words."""
        return self.kernel.broken

    def _mm(self, mm: AddressSpace) -> LiveObject:
        if mm.model is None:
            mm.model = self.kernel.new_mm()
        mm.model.pasid = mm.pasid
        return mm.model  # type: ignore[no-any-return]

    def thread_started(self, thread: Thread, parent: Thread | None, *, same_mm: bool) -> None:
        """A new task (dup_task_struct, fpu_clone); it is made, and runs, when it first matters: most threads never
        submit.
        """
        thread.task = None

    def _switch_in(self, task: LiveObject) -> None:
        cpu = self.chaos.cpu_for(task) if self.chaos else self.kernel.new_cpu()
        self.kernel.switch(cpu, task)
        self.kernel.to_user()

    def _run(self, thread: Thread) -> None:
        """Make the thread's task the one that executes, in user mode."""
        task = thread.task
        if task is None:
            task = thread.task = self.kernel.new_task(self._mm(thread.mm))
            if self.chaos:
                self.chaos.adopt(task, thread.lineage)
        if task.cpu is None or task.cpu.current is not task:
            self._switch_in(task)
        self.kernel.cpu = task.cpu
        if self.chaos:
            self.chaos.in_user_mode(task)

    def executed(self, thread: Thread) -> None:
        """begin_new_exec(): exec_mmap(), then flush_thread()."""
        if thread.task is None:
            return
        self._run(thread)
        thread.task.mm = thread.task.cpu.loaded_mm = self._mm(thread.mm)
        self.kernel.call("flush_thread")
        self.kernel.to_user()

    def bound(self, thread: Thread) -> None:
        """The end of iommu_sva_bind_device(), and the way back from open(2)."""
        self._run(thread)
        push = "load_pasid" if self.kernel.has("load_pasid") else "pasid_bound"  # v5.10's bind calls the former itself
        self._in_kernel(push, self._mm(thread.mm))

    def msr(self, thread: Thread) -> int:
        """The register of the CPU the thread runs on."""
        if self.chaos or thread.task is None or thread.task.cpu.current is not thread.task:
            self._run(thread)
        return int(thread.task.cpu.msr_pasid)

    def fixup(self, thread: Thread) -> bool:
        """exc_general_protection(), through an interrupt gate, and the way back to user mode."""
        self._run(thread)
        self._mm(thread.mm)
        self.kernel.cpu.irqs_off = True
        return self._in_kernel("exc_general_protection")

    def _in_kernel(self, function: str, *arguments: LiveObject) -> bool:
        """Run a kernel function of the executing task, then its way back to user mode; false if it raised SIGSEGV."""
        if self.chaos:
            self.chaos.listening = True
        answered = True
        try:
            self.kernel.call(function, *arguments)
        except SigSegv:
            answered = False
        self.kernel.run_ipis()
        self.kernel.to_user()
        if self.chaos:
            self.chaos.listening = False
        return answered

    def thread_ended(self, thread: Thread) -> None:
        """exit_thread(), and the task is switched out for good."""
        task, kernel = thread.task, self.kernel
        if task is None:
            return
        cpu = task.cpu
        kernel.tasks.remove(task)
        if cpu.current is task:
            cpu.current = cpu.fpregs_owner = None
        kernel.cpu = kernel.cpus[0]  # no task ever runs there
        if self.chaos:
            self.chaos.leave(task)
        else:
            kernel.cpus.remove(cpu)


class Chaos:
    """Preemptions, migrations and softirqs, drawn from a seed, wherever the model lets them happen.

    Every task has two CPUs and a noisy neighbour of its own. Its generator is seeded by its place in its program image: what befalls it
    depends on what it does, never on how the host schedules the others.
    """

    RATE = 0.25  # chance of an event at each step boundary where one is possible

    def __init__(self, seed: int) -> None:
        self.seed, self.listening = seed, False
        self._machines: dict[int, _Machine] = {}

    def settle(self, kernel: Kernel) -> None:
        """The machine is built."""
        self.kernel = kernel

    def adopt(self, task: LiveObject, lineage: str) -> None:
        """A new task gets its machine; the scheduler has put it on one of the two CPUs."""
        kernel = self.kernel
        machine = _Machine(Random(f"{self.seed} {lineage}"), [kernel.new_cpu(), kernel.new_cpu()])
        machine.neighbour = kernel.new_task(kernel.new_mm())
        self._machines[id(task)] = machine

    def leave(self, task: LiveObject) -> None:
        """The task is gone, and its machine with it."""
        machine = self._machines.pop(id(task))
        self.kernel.tasks.remove(machine.neighbour)
        for cpu in machine.cpus:
            self.kernel.cpus.remove(cpu)

    def cpu_for(self, task: LiveObject) -> LiveObject:
        """Where the scheduler puts a task."""
        machine = self._machines[id(task)]
        return machine.random.choice(machine.cpus)

    def in_user_mode(self, task: LiveObject) -> None:
        """Between two instructions of the program an interrupt may come."""
        if self._machines[id(task)].random.random() < self.RATE:
            self._preempt()
            self.kernel.to_user()

    def between_steps(self) -> None:
        """A step boundary in kernel code."""
        if not self.listening:
            return
        self.listening = False
        cpu = self.kernel.cpu
        if cpu.current is not None and not cpu.irqs_off and not cpu.softirq_count:
            random = self._machines[id(cpu.current)].random
            if random.random() < self.RATE:
                if cpu.preempt_count or random.random() < 0.3:
                    self._softirq(cpu)
                else:
                    self._preempt()
        self.listening = True

    def _softirq(self, cpu: LiveObject) -> None:
        cpu.softirq_count += 1
        self.kernel.call("softirq_uses_fpu")
        cpu.softirq_count -= 1

    def _preempt(self) -> None:
        """The task loses its CPU, to the neighbour or to idle, and goes on where the scheduler likes."""
        kernel = self.kernel
        cpu, task = kernel.cpu, kernel.cpu.current
        machine = self._machines[id(task)]
        if machine.random.random() < 0.5 and machine.neighbour.cpu in (None, cpu):
            kernel.switch(cpu, machine.neighbour)
            kernel.to_user()
        kernel.switch(cpu, None)
        kernel.switch(machine.random.choice(machine.cpus), task)


@dataclass
class _Machine:
    """What one task's chaos needs."""

    random: Random
    cpus: list[LiveObject]
    neighbour: LiveObject = field(init=False)
