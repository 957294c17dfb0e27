"""Compiles a lowered model to machine code: a function that maps a packed state to its successors."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from pasidlab.lang.flow import successors as flow_successors
from pasidlab.lang.interpreter import MOST_OUTCOMES, Interpreter, param_values
from pasidlab.lang.ir import TERMINATORS, Action, Model
from pasidlab.lang.layout import Layout
from pasidlab.lang.llvm_expand import expand_text
from pasidlab.lang.llvm_text import COUNTERS, PENDING, STATE_BROKEN, WHEN_STUCK, ActionText
from pasidlab.lang.object_cache import cache_directory, cached_object, keep_object
from pasidlab.lang.symmetry import Symmetry, canon_text, first_text

PASSES = (
    "always_inliner", "sroa", "sccp", "simplify_cfg", "instruction_combine", "jump_threading", "sccp", "instruction_combine",
    "dead_store_elimination", "simplify_cfg",
)  # fmt: skip
"""LLVM passes in order. The standard pipelines take twice as long, and by inlining large actions make code half as fast.

NewGVN is not among them: in LLVM 20 it aborts the process on some models (an assertion of its own, verifyIterationSettled).
"""

CPU_STRUCT = "Cpu"

ASLEEP = "asleep"
"""Not a promise: the bit that says that somebody waits for what is promised, and sleeps for something else."""

PENDING_ELEMENT = 16
"""Bit of the pending mask for the element numbered 1, less one: says for which element the liveness property waits."""


@dataclass
class NativeModel:
    """A compiled model. ``expand_address`` is ``int64 expand(const uint64 *state, uint64 *successors, uint64 *observed)``."""

    words: int
    initial: npt.NDArray[np.uint64]
    max_successors: int
    expand_address: int
    observed_words: int
    properties: tuple[str, ...]  # bit i of every mask is property i
    cover_lines: dict[int, frozenset[tuple[str, int]]]  # word of `observed` -> source lines it proves executed
    cached: bool
    steps: tuple[tuple[int, tuple[int, ...]], ...] = ()  # number of a label -> action and its parameters; empty: no labels
    keep_alive: list[object] = field(default_factory=list, repr=False)


def compile_model(
    model: Model, *, covered: Collection[str] = (), symmetric: bool = False, labelled: bool = False
) -> NativeModel:
    """Compile a model for this machine, or take it from the cache.

    ``covered``: files of which it is noted which lines are executed. ``symmetric``: successors are canonical under the model's symmetry.
    ``labelled``: it can say which step leads to each successor (``observed[LABELS]`` is where to write that; not with ``symmetric``).
    """
    layout = Layout(model.fields)
    bits = {p.name: n for n, p in enumerate(model.properties)}
    if model.asleep:
        bits[ASLEEP] = len(bits)
    interpreter = Interpreter(model, symmetric=symmetric)
    emitter = _Emitter(model, layout, bits, frozenset(covered), interpreter.symmetry, labelled)
    text = emitter.text()
    engine, cached = _compile(text)
    packed = sorted({interpreter.canonical(state) for state in interpreter.initial_states()})
    initial = np.array(packed, dtype=np.uint64).reshape(len(packed), layout.words)
    address = engine.get_function_address("expand")  # type: ignore[attr-defined]
    return NativeModel(
        layout.words,
        initial,
        emitter.bound,
        address,
        emitter.next_word,
        tuple(bits),
        emitter.cover_lines,
        cached,
        tuple(emitter.steps) if labelled else (),
        [engine],
    )


class _Emitter:
    """Collects the text of all actions, each specialised for its parameters."""

    def __init__(
        self, model: Model, layout: Layout, bits: dict[str, int], covered: frozenset[str], symmetry: Symmetry, labelled: bool
    ) -> None:
        self.symmetry, self.labelled = symmetry, labelled
        self.steps: list[tuple[int, tuple[int, ...]]] = []
        self.model, self.layout, self.bits, self.covered = model, layout, bits, covered
        self.next_word = COUNTERS
        self.bound = 0
        self.cover_lines: dict[int, frozenset[tuple[str, int]]] = {}

    def text(self) -> str:
        """The whole LLVM module."""
        parts: list[str] = []
        after: list[str] = []
        if self.model.forget:
            parts.append(ActionText("forget", self.model.forget, (), self.layout, self.bits, {}).text())
            after.append("call i64 @forget(ptr SLOT, ptr SLOT, ptr %seen)")
        if self.symmetry.structs:
            parts.append(canon_text(self.symmetry))
            after.append("call void @canon(ptr SLOT)")
        one_cpu = CPU_STRUCT in self.symmetry.structs  # then the code for the first serves for the others
        cpus = self.symmetry.counts[CPU_STRUCT] if one_cpu else 1
        parts += [first_text(self.layout, CPU_STRUCT, cpu) for cpu in range(2, cpus + 1)]
        actions: list[tuple[str, int]] = []
        predicates: list[tuple[str, int, int]] = []
        for number, action in enumerate(self.model.actions):
            cover = self._cover(action) if self.covered else {}
            for params in param_values(action):
                cpu = params[0] if one_cpu and action.cpu_param else 1
                own = (1, *params[1:]) if cpu > 1 else params
                name = f"a{number}.{'.'.join(map(str, own))}"
                if own == params:
                    label = len(self.steps) if self.labelled else None
                    parts.append(ActionText(name, action, params, self.layout, self.bits, cover, tuple(after), label).text())
                actions.append((name, cpu))
                self.steps.append((number, params))
                self.bound += MOST_OUTCOMES if any(i.op == "choose" for i in action.code) else 1
        watched = [(p.action, STATE_BROKEN, self.bits[p.property]) for p in self.model.predicates if not p.stuck]
        ends = [(p.action, WHEN_STUCK, self.bits[p.property]) for p in self.model.predicates if p.stuck]
        watched += [(action, PENDING, self.bits[name]) for name, action in self.model.pending.items()]
        watched += [(action, STATE_BROKEN, self.bits[ASLEEP]) for action in self.model.asleep.values()]
        for number, (action, word, bit) in enumerate(watched + ends):
            for params in param_values(action):
                name = f"p{number}.{'.'.join(map(str, params))}"
                parts.append(ActionText(name, action, params, self.layout, self.bits, {}).text())
                predicates.append((name, word, bit))
                if word == PENDING:
                    predicates.append((name, word, PENDING_ELEMENT + params[0]))
        return "\n\n".join([*parts, expand_text(self.layout.words, actions, predicates, cpus)])

    def _cover(self, action: Action) -> dict[int, int]:
        """One observed word per basic block with lines of interest: instruction index -> word."""
        code = list(action.code)
        after = flow_successors(code)
        leaders = {j for i, instr in enumerate(code) if instr.op in ("branch", "switch", "jump", "require") for j in after[i]} | {0}
        cover: dict[int, int] = {}
        for start in sorted(leaders):
            lines: set[tuple[str, int]] = set()
            i = start
            while True:
                lines.update((s.position.file, s.position.line) for s in code[i].site.chain())
                if code[i].op in TERMINATORS or code[i].op == "require" or i + 1 in leaders or i + 1 >= len(code):
                    break
                i += 1
            mine = frozenset(line for line in lines if line[0] in self.covered)
            if mine:
                cover[start], self.cover_lines[self.next_word] = self.next_word, mine
                self.next_word += 1
        return cover


def _compile(text: str) -> tuple[object, bool]:
    import llvmlite
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    target = llvm.Target.from_default_triple()
    cpu, features = llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()
    machine = target.create_target_machine(cpu=cpu, features=features, opt=2)
    key = hashlib.sha256("\0".join([llvmlite.__version__, cpu, features, *PASSES, text]).encode())
    folder = cache_directory()
    path = folder / f"{key.hexdigest()[:32]}.o" if folder else None
    stored = cached_object(path, key.digest()) if path else None
    module = llvm.parse_assembly(text if stored is None else "define i64 @expand(ptr %s, ptr %o, ptr %n) { ret i64 0 }")
    if stored is None:
        builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=1))
        passes = llvm.create_new_module_pass_manager()
        for name in PASSES:
            getattr(passes, f"add_{name}_pass")()
        passes.run(module, builder)
    engine = llvm.create_mcjit_compiler(module, machine)

    def keep(_module: object, code: bytes) -> None:
        if path:
            keep_object(path, key.digest(), code)

    engine.set_object_cache(keep if stored is None else None, lambda _module: stored)
    engine.finalize_object()
    return engine, stored is not None
