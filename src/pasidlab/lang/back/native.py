"""Compiles a lowered model to machine code: a function that maps a packed state to its successors."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from pasidlab.errors import PasidlabError
from pasidlab.lang.back.layout import Layout
from pasidlab.lang.back.llvm_canon import canon_text, first_text
from pasidlab.lang.back.llvm_expand import OwnFunctions, expand_text
from pasidlab.lang.back.llvm_text import LABEL_BITS, WHEN_STUCK, ActionText, ForgetText
from pasidlab.lang.back.machine_code import MachineCode, best_at_hand, optimised
from pasidlab.lang.interpreter import Interpreter, param_values
from pasidlab.lang.ir import ASLEEP, TERMINATORS, Action, Model
from pasidlab.lang.local_steps import FOLLOWED, most_successors
from pasidlab.lang.lowering.flow import successors as flow_successors
from pasidlab.lang.lowering.symmetry import Symmetry
from pasidlab.search.observed import COUNTERS, PENDING, STATE_BROKEN

CPU_STRUCT = "Cpu"

MAY_END = ("require", "wait")
"""A step may end there: what stands behind is executed or not."""

PENDING_ELEMENT = -1
"""Bit of the pending mask for the element numbered 1, less one: says for which element the liveness property waits."""
SOMEBODY_WAITS = 63
"""Bit of the pending mask: the property waits, whoever it is."""
MOST_BITS = 64
"""Properties of a model, those of the language's own counted."""


@dataclass
class CompiledModel:
    """A compiled model. Its function is ``int64 expand(const uint64 *state, uint64 *successors, uint64 *observed)``."""

    words: int
    initial: npt.NDArray[np.uint64]
    max_successors: int
    code: MachineCode = field(repr=False)
    observed_words: int
    properties: tuple[str, ...]  # bit i of every mask is property i
    cover_lines: dict[int, frozenset[tuple[str, int]]]  # word of `observed` -> source lines it proves executed
    slices: tuple[tuple[int, ...], ...] = ()  # masks of a packed state: what belongs to each element
    steps: tuple[tuple[int, tuple[int, ...]], ...] = ()  # number of a label -> action and its parameters; empty: no labels

    @property
    def label_bits(self) -> int:
        """Bits of a label that number an action and its parameters."""
        return LABEL_BITS

    @cached_property
    def expand_address(self) -> int:
        """Where the successor function is."""
        return self.code.address("expand")

    def optimised(self) -> CompiledModel:
        """The model in optimised code."""
        return self if self.code.optimised else replace(self, code=optimised(self.code.text))


def compile_model(
    model: Model, *, covered: Collection[str] = (), symmetric: bool = False, labelled: bool = False, local_first: bool = False
) -> CompiledModel:
    """Compile a model for this machine: quickly, unless its optimised code is in the cache (``NativeModel.optimised`` makes that).

    ``covered``: files of which it is noted which lines are executed. ``symmetric``: successors are canonical under the model's symmetry.
    ``labelled``: it can say which step leads to each successor (``observed[LABELS]`` is where to write that; not with ``symmetric``).
    ``local_first``: of a private CPU's states only its own steps are done, where the model says which CPUs are (``independence``).
    """
    layout = Layout(model.fields)
    bits = {p.name: n for n, p in enumerate(model.properties)}
    if model.asleep:
        bits[ASLEEP] = len(bits)
    _all_have_bits(model, len(bits))
    interpreter = Interpreter(model, symmetric=symmetric)
    emitted = model if local_first else replace(model, private=None)
    emitter = _Emitter(emitted, layout, bits, frozenset(covered), interpreter.symmetry, labelled)
    code = best_at_hand(emitter.text())
    packed = sorted({interpreter.canonical(state) for state in interpreter.initial_states()})
    initial = np.array(packed, dtype=np.uint64).reshape(len(packed), layout.words)
    return CompiledModel(
        layout.words, initial, emitter.bound, code=code, observed_words=emitter.next_word, properties=tuple(bits),
        cover_lines=emitter.cover_lines, slices=layout.slices(), steps=tuple(emitter.steps) if labelled else (),
    )  # fmt: skip


def _all_have_bits(model: Model, properties: int) -> None:
    """Raise PasidlabError if a search could not tell all properties apart, or all elements that may wait."""
    if properties > MOST_BITS:
        hint = f"{MOST_BITS} are the most, sound_kernel and those of the search among them"
        raise PasidlabError(f"{model.name}: {properties} properties are too many", hint=hint)
    for name, action in model.pending.items():
        if (count := max(params[0] for params in param_values(action))) > SOMEBODY_WAITS:
            what = f"{model.name}: {name} may wait for {count} elements"
            raise PasidlabError(what, hint=f"{SOMEBODY_WAITS} are the most: a smaller --size")


class _Emitter:
    """Collects the text of all actions, each specialised for its parameters."""

    def __init__(
        self, model: Model, layout: Layout, bits: dict[str, int], covered: frozenset[str], symmetry: Symmetry, labelled: bool
    ) -> None:
        self.symmetry, self.labelled = symmetry, labelled
        self.steps: list[tuple[int, tuple[int, ...]]] = []
        self.model, self.layout, self.bits, self.covered = model, layout, bits, covered
        self.next_word = COUNTERS
        self.bound = most_successors(model)
        self.cover_lines: dict[int, frozenset[tuple[str, int]]] = {}

    def text(self) -> str:
        """The whole LLVM module."""
        parts: list[str] = []
        after: list[str] = []
        if self.model.forget:
            parts.append(ForgetText("forget", self.model.forget, (), self.layout, self.bits, {}).text())
            after.append("call i64 @forget(ptr SLOT, ptr SLOT, ptr %seen)")
        if self.symmetry.structs:
            parts.append(canon_text(self.symmetry))
            after.append("call void @canon(ptr SLOT)")
        one_cpu = CPU_STRUCT in self.symmetry.structs  # then the code for the first serves for the others
        cpus = self.symmetry.counts[CPU_STRUCT] if one_cpu else 1
        parts += [first_text(self.layout, CPU_STRUCT, cpu) for cpu in range(2, cpus + 1)]
        actions: list[tuple[str, int, bool]] = []
        only_asked: list[tuple[str, int]] = []
        for number, action in enumerate(self.model.actions):
            cover = self._cover(action) if self.covered else {}
            for params in param_values(action):
                cpu = params[0] if one_cpu and action.cpu_param else 1
                own = (1, *params[1:]) if cpu > 1 else params
                name = f"a{number}.{'.'.join(map(str, own))}"
                if own == params:
                    label = len(self.steps) if self.labelled else None
                    parts.append(ActionText(name, action, params, self.layout, self.bits, cover, tuple(after), label).text())
                if action.anyway and self.model.private and not cover:
                    only_asked.append((name, cpu))
                else:
                    actions.append((name, cpu, action.obliged))
                self.steps.append((number, params))
        predicates = self._predicates(parts)
        private = self._private(parts, one_cpu) if self.model.private else []
        followed = self.bound * FOLLOWED
        self.bound += followed if private else 0
        return "\n\n".join([*parts, expand_text(self.layout.words, actions, predicates, cpus, private, only_asked, followed)])

    def _predicates(self, parts: list[str]) -> list[tuple[str, int, int]]:
        """What is asked of every state: function, word of the answer, and bit of it; the text of each goes to ``parts``."""
        found = []
        for number, (action, word, bit) in enumerate(self._watched()):
            for params in param_values(action):
                name = f"p{number}.{'.'.join(map(str, params))}"
                parts.append(ActionText(name, action, params, self.layout, self.bits, {}).text())
                found.append((name, word, bit))
                if word == PENDING:
                    found.append((name, word, PENDING_ELEMENT + params[0]))
        return found

    def _watched(self) -> list[tuple[Action, int, int]]:
        """What is asked of every state, or of one without a step: which word of the answer, and which bit of it."""
        watched = [(p.action, STATE_BROKEN, self.bits[p.property]) for p in self.model.predicates if not p.stuck]
        ends = [(p.action, WHEN_STUCK, self.bits[p.property]) for p in self.model.predicates if p.stuck]
        watched += [(action, PENDING, SOMEBODY_WAITS) for action in self.model.pending.values()]
        watched += [(action, STATE_BROKEN, self.bits[ASLEEP]) for action in self.model.asleep.values()]
        return watched + ends

    def _private(self, parts: list[str], one_cpu: bool) -> list[OwnFunctions]:
        """The actions of each CPU, and the text of what says whether it is private."""
        assert self.model.private is not None
        found = []
        for (cpu,) in param_values(self.model.private):
            own = 1 if one_cpu else cpu
            if own == cpu:
                parts.append(ActionText(f"private.{own}", self.model.private, (own,), self.layout, self.bits, {}).text())
            mine = [
                (action, f"a{number}.{'.'.join(map(str, (own, *params[1:])))}")
                for number, action in enumerate(self.model.actions)
                for params in param_values(action)
                if action.cpu_param and params[0] == cpu and not action.anyway
            ]
            programs = tuple(name for action, name in mine if action.resumes)
            others = tuple(name for action, name in mine if not action.resumes)
            found.append(OwnFunctions(cpu if one_cpu else 1, f"private.{own}", programs, others))
        return found

    def _cover(self, action: Action) -> dict[int, int]:
        """One observed word per basic block with lines of interest: instruction index -> word."""
        code = list(action.code)
        after = flow_successors(code)
        leaders = {j for i, instr in enumerate(code) if instr.op in ("branch", "switch", "jump", *MAY_END) for j in after[i]} | {0}
        cover: dict[int, int] = {}
        for start in sorted(leaders):
            lines: set[tuple[str, int]] = set()
            i = start
            while True:
                lines.update((s.position.file, s.position.line) for s in code[i].site.chain())
                if code[i].op in (*TERMINATORS, *MAY_END) or i + 1 in leaders or i + 1 >= len(code):
                    break
                i += 1
            mine = frozenset(line for line in lines if line[0] in self.covered)
            if mine:
                cover[start], self.cover_lines[self.next_word] = self.next_word, mine
                self.next_word += 1
        return cover
