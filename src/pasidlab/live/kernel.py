"""The model's kernel as ordinary Python on live objects: the functions that the checker explores, called on real
threads.

The sources are collected as the checker collects them, one flat namespace in which a design replaces kernel functions
by name.
Where they say ``current`` and ``this_cpu``, the object of that moment is looked up, as the kernel does.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pasidlab.linux
import pasidlab.machine
from pasidlab.designs import Design
from pasidlab.errors import PasidlabError
from pasidlab.lang import arrivals, declare
from pasidlab.lang.source import collect
from pasidlab.live import cdesign

_AMBIENT = {"current": "_current", "this_cpu": "_this_cpu"}
_STRUCTS = ("Task", "Cpu", "Mm")


class SigSegv(Exception):
    """The #GP handler gave up: the program gets SIGSEGV (gp_user_force_sig_segv)."""


class State:
    """A task, CPU or mm: the fields its struct declares."""

    def __init__(self, fields: dict[str, Any]) -> None:
        self.__dict__.update(fields)

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

        def __setattr__(self, name: str, value: Any) -> None: ...


def _watched(boundary: Callable[[], None]) -> type[State]:
    """States of which every access is preceded by a step boundary."""

    class Watched(State):
        def __getattribute__(self, name: str) -> Any:
            if not name.startswith("_"):
                boundary()
            return object.__getattribute__(self, name)

        def __setattr__(self, name: str, value: Any) -> None:
            boundary()
            object.__setattr__(self, name, value)

    return Watched


class _Ambients(ast.NodeTransformer):
    """``current`` becomes ``_current()``; annotations go, as they may name what does not exist here."""

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id in _AMBIENT and isinstance(node.ctx, ast.Load):
            return ast.copy_location(ast.Call(ast.Name(_AMBIENT[node.id], ast.Load()), [], []), node)
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        self.generic_visit(node)
        node.decorator_list, node.returns = [], None
        for argument in node.args.args:
            argument.annotation = None
        return node


class Kernel:
    """One linked kernel with its CPUs and tasks. ``cpu`` is the one that executes."""

    def __init__(self, design: Design, *, interrupted: Callable[[], None] | None = None) -> None:
        folders = [Path(next(iter(package.__path__))) for package in (pasidlab.machine, pasidlab.linux)]
        sources = [Path(arrivals.__file__), *(path for folder in folders for path in sorted(folder.glob("*.py")))]
        sources = [path for path in sources if path.name not in ("__init__.py", "ambient.py")]
        self._namespace = collect([*sources, design.path])
        self._interrupted = interrupted or (lambda: None)
        self.atomic = 0  # inside one instruction of the machine: no step boundary
        self.cpus: list[State] = []
        self.tasks: list[State] = []
        self.broken: list[str] = []  # promises of the design that did not hold
        self.functions: dict[str, Any] = self._primitives()
        self._link()
        cdesign.link(self, design)
        self._fields = {name: self._defaults(name) for name in _STRUCTS}
        self._watched = _watched(self.boundary)
        self.watching = interrupted is not None
        self.cpu = self.new_cpu()

    # Building

    def _link(self) -> None:
        for name, (value, file) in self._namespace.values.items():
            if "." not in name:
                try:
                    self.functions[name] = eval(compile(ast.Expression(value), file, "eval"), self.functions)
                except Exception:  # a declaration for the checker only
                    self.functions.pop(name, None)
        for name, function in self._namespace.functions.items():
            roles = {getattr(d, "id", "") for d in function.node.decorator_list}
            module = ast.Module([_Ambients().visit(copy.deepcopy(function.node))], [])
            exec(compile(ast.fix_missing_locations(module), function.file, "exec"), self.functions)
            if "instruction" in roles:
                self.functions[name] = self.as_one_step(self.functions[name])
        self.functions["gp_user_force_sig_segv"] = _raise_sigsegv

    def as_one_step(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """``function`` as one instruction of the machine."""

        def step(*arguments: Any) -> Any:
            self.boundary()
            self.atomic += 1
            try:
                return function(*arguments)
            finally:
                self.atomic -= 1

        return step

    def _primitives(self) -> dict[str, Any]:
        """The vocabulary of pasidlab.lang.declare, for one real CPU after the other."""
        return {
            **vars(declare),
            "_current": lambda: self.cpu.current,
            "_this_cpu": lambda: self.cpu,
            "local_irq_disable": lambda: self._set("irqs_off", True),
            "local_irq_enable": lambda: self._set("irqs_off", False),
            "preempt_disable": lambda: self._add("preempt_count", 1),
            "preempt_enable": lambda: self._add("preempt_count", -1),
            "local_bh_disable": lambda: self._add("softirq_count", 1),
            "local_bh_enable": lambda: self._add("softirq_count", -1),
            "check": self._check,
            "crash": _crash,
            "reached": lambda name: None,
            "repeated": lambda name: None,
            "wait_until": self._wait_until,
            "require": lambda condition: None,
            "event": lambda name: True,
            "maybe": lambda: False,
            "choose": lambda low, high: low,
            "each": self._each,
            "enter": lambda function: function(),
            "size": lambda name: (1 << 20) - 1 if name == "pasid_mask" else 1 << 20,
            "singleton": lambda struct: State({"iommu_sva_lock": None}),
            "Locks": "Locks",
            **{name: name for name in _STRUCTS},
        }

    def _defaults(self, struct: str) -> dict[str, Any]:
        source = self._namespace.structs[struct]
        fields: dict[str, Any] = {}
        for base in [*(getattr(b, "id", "") for b in source.node.bases), ""]:
            node = self._namespace.bases[base].node if base else source.node
            for item in node.body:
                if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
                    value = ast.Expression(item.value or ast.Constant(0))
                    fields[item.target.id] = eval(
                        compile(ast.fix_missing_locations(value), source.file, "eval"), self.functions
                    )
        return fields

    # Objects

    def new_cpu(self) -> State:
        """One CPU more, idle."""
        self.cpus.append(State(dict(self._fields["Cpu"])))
        return self.cpus[-1]

    def new_task(self, mm: State) -> State:
        """A task that has not run yet (fpu_clone, v6.12): its image is INIT, no CPU holds a copy."""
        task = (self._watched if self.watching else State)(dict(self._fields["Task"]))
        task.__dict__.update(mm=mm, state=1, need_fpu_load=True)
        self.tasks.append(task)
        return task

    def new_mm(self) -> State:
        """An address space without a PASID."""
        return State(dict(self._fields["Mm"]))

    # Primitives

    def _set(self, field: str, value: bool) -> None:
        setattr(self.cpu, field, value)
        self.boundary()

    def _add(self, field: str, number: int) -> None:
        setattr(self.cpu, field, getattr(self.cpu, field) + number)
        self.boundary()

    def _check(self, name: str, condition: bool, sentence: str = "") -> None:
        if not condition and sentence not in self.broken:
            self.broken.append(sentence)

    def _wait_until(self, condition: bool, how: str = "sleep") -> None:
        if not condition:
            self.run_ipis()

    def _each(self, struct: str) -> Iterator[State]:
        return iter({"Cpu": self.cpus, "Task": self.tasks, "Mm": []}[struct])

    def boundary(self) -> None:
        """Between two accesses to state that others can see."""
        if not self.atomic:
            self._interrupted()

    # What happens to a CPU

    def switch(self, cpu: State, task: State | None) -> None:
        """__schedule() on ``cpu``: the task there is switched out, ``task`` in. Afterwards that CPU executes."""
        self.atomic += 1
        before, self.cpu = cpu.current, cpu
        if before is not None and not before.need_fpu_load:
            self.functions["switch_fpu_prepare"](before)
        cpu.current = task
        if task is not None:
            task.cpu, cpu.loaded_mm = cpu, task.mm
            self.functions["switch_fpu_finish"](task)
        self.atomic -= 1

    def to_user(self) -> None:
        """exit_to_user_mode_prepare() for the task of the executing CPU; interrupts are then on, as in user mode."""
        self.functions["exit_to_user_mode_prepare"]()
        self.cpu.irqs_off = False

    def run_ipis(self) -> None:
        """Every CPU that was sent an inter-processor interrupt takes it."""
        here = self.cpu
        handlers = [name for name, f in self._namespace.functions.items() if name.endswith("_ipi")]
        for cpu in self.cpus:
            if cpu.ipi_pending:
                self.cpu, cpu.ipi_pending = cpu, False
                for name in handlers:
                    self.functions[name]()
                if cpu is not here and cpu.current is not None:
                    self.to_user()
        self.cpu = here


def _raise_sigsegv() -> None:
    raise SigSegv


def _crash(sentence: str) -> NoReturn:
    raise PasidlabError(sentence)
