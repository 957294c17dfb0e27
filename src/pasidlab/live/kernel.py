"""The model's kernel on live objects: the functions that the checker explores, called on real threads.

The sources are read as the checker reads them: one flat namespace in which a design replaces kernel functions by name. The same front ends
compile them; ``objects`` runs the IR. No file of a design is ever executed.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pasidlab.designs import Design
from pasidlab.lang import source
from pasidlab.lang.functions import ARRIVALS, Functions
from pasidlab.lang.interpreter import FUEL
from pasidlab.lang.ir import Function
from pasidlab.lang.names import Names
from pasidlab.lang.replacing import imports_exist, no_strangers, only_the_kernel
from pasidlab.lang.scope import Bounds
from pasidlab.lang.types import BOOL, Domain, Ref
from pasidlab.live.objects import Executor
from pasidlab.model.scope import EVENTS

_PASID_MASK = (1 << 20) - 1


_MASKS = {
    "irqs_off": ("irqs_off", 1), "irqs_on": ("irqs_off", -1), "preempt_off": ("preempt_count", 1),
    "preempt_on": ("preempt_count", -1), "bh_off": ("softirq_count", 1), "bh_on": ("softirq_count", -1),
}  # fmt: skip


class SigSegv(Exception):
    """The #GP handler gave up: the program gets SIGSEGV (gp_user_force_sig_segv)."""


class LiveObject:
    """A task, CPU or mm: the fields its struct declares."""

    def __init__(self, fields: dict[str, Any]) -> None:
        self.__dict__.update(fields)

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

        def __setattr__(self, name: str, value: Any) -> None: ...


def _watched(boundary: Callable[[], None]) -> type[LiveObject]:
    """States of which every access is preceded by a step boundary."""

    class Watched(LiveObject):
        def __getattribute__(self, name: str) -> Any:
            if not name.startswith("_"):
                boundary()
            return object.__getattribute__(self, name)

        def __setattr__(self, name: str, value: Any) -> None:
            boundary()
            object.__setattr__(self, name, value)

    return Watched


class Kernel:
    """One linked kernel with its CPUs and tasks. ``cpu`` is the one that executes."""

    def __init__(self, design: Design, *, interrupted: Callable[[], None] | None = None) -> None:
        self._design, self._namespace = design, _namespace(design)
        self._interrupted = interrupted or (lambda: None)
        self.atomic = 0  # inside one instruction of the machine: no step boundary
        self.cpus: list[LiveObject] = []
        self.tasks: list[LiveObject] = []
        self.broken: list[str] = []  # promises of the design that did not hold
        self._functions, self._made = self._compiler(1)
        self._counting = self._with_loops()
        self._room, self._wide = 1, self._functions  # the same for more CPUs and tasks
        for function in self._namespace.functions.values():
            if function.file == str(design.path):
                self._functions(function.name)  # what is wrong with it is said before the program starts
        self._executor = Executor(self, {"gp_user_force_sig_segv": _raise_sigsegv})
        self._handlers = [name for name in self._namespace.functions if name.endswith("_ipi")]
        self._singletons: dict[tuple[str, int], LiveObject] = {}
        self._watched = _watched(self.boundary)
        self.watching = interrupted is not None
        self.cpu = self.new_cpu()

    # Building

    def _compiler(self, elements: int) -> tuple[Functions, dict[str, Function]]:
        """For so many CPUs and tasks: loops over all of them have their number in the code."""
        sizes = {"cpus": elements, "tasks": elements, "mms": 1, "pasids": 1, "pasid_mask": _PASID_MASK}
        self._names = Names(self._namespace, Bounds(sizes, frozenset(EVENTS)))
        made = self._design.functions(self._names) if self._design.functions else {}
        return Functions(self._names, made), made

    def _with_loops(self) -> frozenset[str]:
        """The functions whose code depends on how many CPUs and tasks there are."""
        found = {
            name
            for name, function in self._namespace.functions.items()
            if any(isinstance(node, ast.Name) and node.id == "each" for node in ast.walk(function.node))
        }
        if self._made:
            other = self._compiler(2)[1]
            found = {name for name in found if name not in other}
            found |= {name for name, function in other.items() if _shape(function) != _shape(self._made[name])}
        return frozenset(found)

    def has(self, name: str) -> bool:
        """Whether the kernel has this function."""
        return name in self._namespace.functions or name in self._made

    def call(self, name: str, *arguments: LiveObject) -> Any:
        """Call a kernel function on the executing CPU."""
        return self._executor.enter(name, *arguments)

    # The machine that functions work on

    def compiled(self, name: str) -> Function:
        """See ``Machine.compiled``."""
        if name not in self._counting:
            return self._functions(name)
        while self._room < max(len(self.cpus), len(self.tasks)):
            self._room *= 2
            self._wide = self._compiler(self._room)[0]
        return self._wide(name)

    def fuel(self) -> int:
        """See ``Machine.fuel``."""
        return FUEL + 16 * (len(self.cpus) + len(self.tasks))

    def domain(self, path: str) -> Domain:
        """See ``Machine.domain``."""
        return self._names.fields[path].domain

    def element(self, struct: str, number: int) -> LiveObject:
        """See ``Machine.element``. An element that is not there yet is idle, and nobody sees what happens to it."""
        there = {"Cpu": self.cpus, "Task": self.tasks}.get(struct)
        if there is None:
            return self._singletons.setdefault((struct, number), LiveObject(self._fields(struct)))
        return there[number - 1] if number <= len(there) else LiveObject(self._fields(struct))

    def number(self, element: object) -> int:
        """See ``Machine.number``."""
        for there in (self.cpus, self.tasks):
            for at, one in enumerate(there, 1):
                if one is element:
                    return at
        return -id(element)  # of a struct that no loop counts

    def mask(self, what: str) -> None:
        """See ``Machine.mask``."""
        field, step = _MASKS[what]
        before = getattr(self.cpu, field)
        setattr(self.cpu, field, step > 0 if isinstance(before, bool) else before + step)
        self.boundary()

    def check(self, name: str, holds: bool, sentence: str) -> None:
        """See ``Machine.check``."""
        if not holds and sentence not in self.broken:
            self.broken.append(sentence)

    def wait(self, holds: bool) -> None:
        """See ``Machine.wait``. What is waited for is what other CPUs do with their interrupts."""
        if not holds:
            self.run_ipis()

    def boundary(self) -> None:
        """See ``Machine.boundary``."""
        if not self.atomic:
            self._interrupted()

    def _fields(self, struct: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for field in self._names.fields.values():
            if field.struct == struct:
                number = field.default
                if isinstance(field.domain, Ref):
                    found[field.name] = number or None
                else:
                    found[field.name] = bool(number) if field.domain == BOOL else number
        return found

    # Objects

    def new_cpu(self) -> LiveObject:
        """One CPU more, idle."""
        self.cpus.append(LiveObject(self._fields("Cpu")))
        return self.cpus[-1]

    def new_task(self, mm: LiveObject) -> LiveObject:
        """A task that has not run yet (fpu_clone, v6.12): its image is INIT, no CPU holds a copy."""
        task = (self._watched if self.watching else LiveObject)(self._fields("Task"))
        task.__dict__.update(mm=mm, state=1, need_fpu_load=True)
        self.tasks.append(task)
        return task

    def new_mm(self) -> LiveObject:
        """An address space without a PASID."""
        return LiveObject(self._fields("Mm"))

    # What happens to a CPU

    def switch(self, cpu: LiveObject, task: LiveObject | None) -> None:
        """__schedule() on ``cpu``: the task there is switched out, ``task`` in. Afterwards that CPU executes."""
        self.atomic += 1
        before, self.cpu = cpu.current, cpu
        if before is not None and not before.need_fpu_load:
            self.call("switch_fpu_prepare", before)
        cpu.current = task
        if task is not None:
            task.cpu, cpu.loaded_mm = cpu, task.mm
            self.call("switch_fpu_finish", task)
        self.atomic -= 1

    def to_user(self) -> None:
        """exit_to_user_mode_prepare() for the task of the executing CPU; interrupts are then on, as in user mode."""
        self.call("exit_to_user_mode_prepare")
        self.cpu.irqs_off = False

    def run_ipis(self) -> None:
        """Every CPU that was sent an inter-processor interrupt takes it."""
        here = self.cpu
        for cpu in self.cpus:
            if cpu.ipi_pending:
                self.cpu, cpu.ipi_pending = cpu, False
                for name in self._handlers:
                    self.call(name)
                if cpu is not here and cpu.current is not None:
                    self.to_user()
        self.cpu = here


def _raise_sigsegv() -> None:
    raise SigSegv


def _shape(function: Function) -> list[tuple[object, ...]]:
    return [(instr.op, *instr.args) for instr in function.code]


def _namespace(design: Design) -> source.Namespace:
    """The kernel with the design in it. PasidlabError where a file holds what ``check`` would refuse."""
    namespace = source.collect([ARRIVALS, *design.kernel_files])
    before = namespace.copy()
    source.collect([design.file, *design.beside], namespace)
    if design.functions is None:
        no_strangers(design.path, before.functions, namespace)
        only_the_kernel(design.path, before, namespace, design.fixed)
        imports_exist(design.path, namespace)
    return namespace
