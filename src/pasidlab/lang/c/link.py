"""Joins the functions of C files with the kernel around them: IR functions that replace the model's by name."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from tree_sitter import Node

from pasidlab.errors import PasidlabError, Position
from pasidlab.lang.c.builtins import OPERATIONS
from pasidlab.lang.c.ctype import INT, ULONG, VOID, CType, Enum, Integer, Pointer, enum_type
from pasidlab.lang.c.declarators import text_of
from pasidlab.lang.c.expanded import Expanded
from pasidlab.lang.c.parse import CConstant, CFunction, CObject, Unit, parse, sized
from pasidlab.lang.c.preprocess import Preprocessor
from pasidlab.lang.c.statements import CFunctionCompiler
from pasidlab.lang.c.templates import Template
from pasidlab.lang.c.territory import territory
from pasidlab.lang.c.tokens import Source
from pasidlab.lang.c.unknown import Stub, Unknowns
from pasidlab.lang.c.values import Value, enumerator, exact
from pasidlab.lang.c.vocabulary import Replacement, Vocabulary, constants, macro_like, vocabulary
from pasidlab.lang.emit import Builder, Fit
from pasidlab.lang.functions import Functions
from pasidlab.lang.ir import SLEEPING, Function
from pasidlab.lang.legality import verify_function
from pasidlab.lang.names import Names, nearest
from pasidlab.lang.python.expressions import TypedOperand
from pasidlab.lang.replacing import is_fixed
from pasidlab.lang.types import Domain, Ref

NO_PASID = 0xFFFF_FFFF  # include/linux/ioasid.h v5.18: INVALID_IOASID ((ioasid_t)-1); include/linux/iommu.h v6.5: IOMMU_PASID_INVALID (-1U)
NO_PASID_NAMES = ("INVALID_IOASID", "IOMMU_PASID_INVALID")
OWN = "__c"  # the C function's name in the IR, where the model's name is taken by what calls it


@dataclass(frozen=True)
class CProgram:
    """C functions ready to be compiled for a kernel: parsed once, compiled for each scope."""

    functions: Mapping[str, CFunction]
    constants: Mapping[str, CConstant] = field(default_factory=dict)
    objects: Mapping[str, CObject] = field(default_factory=dict)  # constant variables
    structs: Mapping[str, Node] = field(default_factory=dict)
    enums: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # tag -> enumerators
    stubs: Mapping[str, Stub] = field(default_factory=dict)
    bodies: Mapping[str, str] = field(default_factory=dict)  # model functions given in the model's language
    helpers: Mapping[str, CFunction] = field(default_factory=dict)  # used where nothing else knows the name
    locks: frozenset[str] = frozenset()  # spin locks

    def joined(self, other: CProgram) -> CProgram:
        """Both; the other's functions win."""
        return CProgram(
            {**self.functions, **other.functions}, {**self.constants, **other.constants}, {**self.objects, **other.objects},
            structs={**self.structs, **other.structs}, enums={**self.enums, **other.enums}, stubs={**self.stubs, **other.stubs},
            bodies={**self.bodies, **other.bodies}, helpers={**self.helpers, **other.helpers}, locks=self.locks | other.locks,
        )  # fmt: skip


def configured(config: Mapping[str, str] | None = None) -> dict[str, str]:
    """The vocabulary's configuration with changes."""
    merged = {**vocabulary().config, **(config or {})}
    return {name: value for name, value in merged.items() if value != "n"}


def parse_source(source: Source, config: Mapping[str, str] | None = None, alone: bool = False) -> Unit:
    """Preprocess and parse one C text. ``alone``: it is no part of a tree."""
    words = vocabulary()
    keep = frozenset([*words.macros, *words.values, *words.calls, *words.percpu, *words.features, *OPERATIONS]) - words.own
    try:
        values = constants() if alone else None
        return parse(Preprocessor(source, words.macros, configured(config), keep, words.types, macro_like(), values).run())
    except RecursionError:
        raise PasidlabError(f"{source.file} is nested too deeply to be read") from None


def c_program(
    sources: Sequence[Source], config: Mapping[str, str] | None = None, stubs: Mapping[str, Stub] | None = None, strict: bool = True
) -> CProgram:
    """The functions of C texts, later ones first. ``strict``: a syntax error anywhere in a text is an error."""
    found = CProgram({}, stubs=stubs or {})
    for source in sources:
        unit = parse_source(source, config, strict and not source.partial)
        if strict and unit.first_error:
            raise unit.first_error
        found = found.joined(CProgram(unit.functions, unit.constants, unit.objects, unit.structs, unit.enums, locks=frozenset(unit.locks)))
    return found


@cache
def kernel_layouts() -> dict[str, Node]:
    """The kernel's structs that a function may have for itself, by their names."""
    return parse_source(Source(vocabulary().layouts, "vocabulary.toml")).structs


class Linker:
    """Compiles a program against one kernel namespace; answers result domains while it does."""

    def __init__(self, program: CProgram, names: Names) -> None:
        self.program, self.names = program, names
        self.words: Vocabulary = vocabulary()
        self.kernel = Functions(names)
        self.unknowns = Unknowns()
        self._known: dict[str, Value | None] = {}
        self._quiet = 0
        self.locks: dict[str, int] = {}  # spin locks of the sources
        self.compiled: dict[str, Function] = {}
        self.fits: dict[str, list[Fit]] = {}  # by function
        self.active: list[str] = []
        self.entered: set[str] = set()  # those, and functions that became part of their callers
        self.defined: dict[str, CFunction] = {n: self._typed(f) for n, f in program.functions.items()}  # with the helpers used so far
        self.names_in_c = {n: n for n in self.defined} | {n + OWN: n for n in self.defined}  # in templates
        self.in_c = {self._ir_name(name): (name, (False,) * len(f.params)) for name, f in program.functions.items()}
        self.failed = ""  # the function in which an error was met
        self.no_pasid = self._no_pasid()

    @property
    def stubs(self) -> Mapping[str, Stub]:
        """Names the user has a meaning for."""
        return self.program.stubs

    def _no_pasid(self) -> int:
        """``mm->pasid`` without a PASID: 0 to v5.17, then INVALID_IOASID, since v6.5 IOMMU_PASID_INVALID. The names in the C tell."""
        texts = [text_of(f.body) for f in self.program.functions.values()]
        return NO_PASID if any(name in text for name in NO_PASID_NAMES for text in texts) else 0

    def _ir_name(self, name: str) -> str:
        taken = name in self.names.namespace.functions
        return name + OWN if taken else name

    @property
    def preempt_rt(self) -> bool:
        """Whether the kernel around has CONFIG_PREEMPT_RT: model/linux/preempt_rt.py is part of it."""
        return "rt_local_bh_disable" in self.names.namespace.functions

    def use_helper(self, name: str) -> CFunction | None:
        """A function of the same sources, from now on part of the program."""
        found = self.program.helpers.get(name)
        if found is not None:
            self.defined[name] = self._typed(found)
            self.names_in_c[name] = name
        return found

    def lock(self, name: str, at: Position) -> int:
        """The number of a spin lock of the sources: they are counted as they are met."""
        if name not in self.locks and len(self.locks) == self.names.counts["SpinLock"]:
            known = " and ".join(self.locks)
            raise PasidlabError(f"'{name}' is one spin lock too many: the model has {len(self.locks)}, here {known}", position=at)
        return self.locks.setdefault(name, len(self.locks))

    def has_lock(self, name: str) -> bool:
        """Whether a name is that of a spin lock of the sources."""
        return name in self.program.locks or name in self.locks

    def compiled_for(self, name: str, arguments: Sequence[TypedOperand]) -> str:
        """The name in the IR of a C function compiled for arguments of this kind: numbers, or CPUs where C has their numbers."""
        function = self.defined[name]
        cpus = tuple(
            isinstance(domain, Ref) and domain.struct == "Cpu" and isinstance(p.type, Integer)
            for (_, domain), p in zip(arguments, function.params, strict=False)
        )
        cpus = (*cpus, *(False,) * (len(function.params) - len(cpus)))
        marks = "".join(str(n) for n, is_cpu in enumerate(cpus) if is_cpu)
        ir_name = self._ir_name(name) + (f"__cpu{marks}" if marks else "")
        self.in_c[ir_name] = (name, cpus)
        return ir_name

    def most_passed(self, name: str) -> list[int]:
        """The greatest number that each parameter of a C function can hold."""
        return [one.type.high if isinstance(one.type, Integer) else ULONG.high for one in self.defined[name].params]

    def object(self, name: str) -> CObject | None:
        """A constant variable of the sources that is an array or a struct."""
        return self.program.objects.get(name) if self.constant(name) is None else None

    def struct(self, name: str) -> Node | None:
        """The definition of a struct of the sources; of the kernel's, one that a function may have for itself."""
        own = None if name in self.words.structs else self.program.structs.get(name)
        return own or kernel_layouts().get(name)

    def enum(self, tag: str) -> Integer:
        """The type of an enum of the sources; of any other, what gcc takes for one without a negative value."""
        values = [self.constant(name) for name in self.program.enums.get(tag, ())]
        return enum_type(exact(value) for value in values if value is not None)

    def _typed(self, function: CFunction) -> CFunction:
        """A function whose parameters and result have the types of the enums they name."""
        params = tuple(replace(p, type=self._resolved(p.type)) for p in function.params)
        return replace(function, params=params, result=self._resolved(function.result))

    def _resolved(self, type_: CType) -> CType:
        if isinstance(type_, Pointer):
            return replace(type_, to=self._resolved(type_.to))
        return self.enum(type_.tag) if isinstance(type_, Enum) else type_

    def constant(self, name: str) -> Value | None:
        """The value of an enumerator or of a constant variable of the sources."""
        if name not in self._known:
            self._known[name] = None  # one that needs itself has none
            one, variable = self.program.constants.get(name), self.program.objects.get(name)
            if one is not None:
                self._known[name] = self._enumerator(name, one)
            elif variable is not None:
                compiler = self._for_constants(variable.unit)
                self._known[name] = compiler.constant_variable(variable)
        return self._known[name]

    def _enumerator(self, name: str, one: CConstant) -> Value:
        if one.node is not None:
            value = self._for_constants(one.unit).enumerator_value(one.node, name)
        else:
            before = self.constant(one.after) if one.after else None
            value = exact(before) + 1 if before is not None else 0
        self._known[name] = enumerator(value)  # for those of the same enum
        if INT.low <= value <= INT.high:
            return enumerator(value)
        among = [self.constant(other) for other in one.among]
        return enumerator(value, enum_type(exact(other) for other in among if other is not None))

    def _for_constants(self, unit: Expanded) -> CFunctionCompiler:
        """A compiler for an expression outside functions."""
        empty, _ = sized(unit.piece("int", 0, 0, ""), 0, 3)
        function = CFunction("constants", (), VOID, body=empty, unit=unit, node=empty)
        builder = Builder("constants")
        return CFunctionCompiler(function, builder, self.names, Template(builder, self.names, self, {}), self.words, self)

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Nothing is reported meanwhile."""
        self._quiet += 1
        try:
            yield
        finally:
            self._quiet -= 1

    @contextmanager
    def enter(self, name: str, at: Position) -> Iterator[None]:
        """A function is being compiled; PasidlabError if it is already."""
        if name in self.active:
            cycle = " -> ".join((*self.active[self.active.index(name) :], name))
            raise PasidlabError(f"recursion: {cycle}", position=at, hint="use a loop")
        self.active.append(name)
        self.entered.add(name)
        yield
        self.active.pop()

    def report(self, name: str, kind: str, at: Position, function: str) -> None:
        """Remember a name that means nothing; all of them are reported together."""
        if not self._quiet:
            self.unknowns.add(name, kind, at, function)

    def link(self) -> dict[str, Function]:
        """Every C function that replaces a kernel function, what it calls, and the model functions that lead to it."""
        adapters = self.adapters()
        if not adapters and not self.program.bodies:
            raise self._nothing()
        for entry in adapters.values():
            self.function(self.compiled_for(entry.name, ()))
        if not self.unknowns.found:
            for model, entry in adapters.items():
                self._adapt(model, entry.body or self._call_of(entry), entry.name)
                for prototype, body in entry.also.items():
                    if prototype.partition("(")[0] not in adapters:
                        self._adapt(prototype.partition("(")[0], body, entry.name)
            for model, body in self.program.bodies.items():
                self._adapt(model, body, "")
        self.unknowns.raise_if_any(
            [*self.words.names(), *self.names.namespace.functions, *self.program.functions], self.names.namespace.functions
        )
        everything = frozenset([*self.names.namespace.functions, *self.compiled, SLEEPING])
        for function in self.compiled.values():
            verify_function(function, self.names.fields, everything)
        return self.compiled

    def _nothing(self) -> PasidlabError:
        known = sorted({*self.words.replacements, *(f for f in self.names.namespace.functions if not f.startswith("_"))})
        first = next(iter(self.program.functions.values()), None)
        if first is None:
            return PasidlabError(
                "there is no function definition here", hint=f"functions that can be replaced: {', '.join(sorted(self.words.replacements))}"
            )
        given = ", ".join(sorted(self.program.functions))
        if any(name in self.words.replacements for name in self.program.functions):
            return PasidlabError(
                f"the kernel around has nothing that these functions replace: {given}", position=first.position,
                hint="leave --base out, or name the design they belong to",
            )  # fmt: skip
        return PasidlabError(f"nothing here replaces a kernel function: {given}", position=first.position, hint=nearest(first.name, known))

    def adapters(self) -> dict[str, Replacement]:
        """Model function -> how a C function replaces it."""
        found: dict[str, Replacement] = {}
        for name, function in self.program.functions.items():
            entry = self.words.replacement(name, len(function.params))
            if entry is None and name in self.words.replacements:
                forms = ", ".join(f"{name}({', '.join(r.params)})" for r in self.words.replacements[name])
                self.failed = name
                raise PasidlabError(f"{name} has {_parameters(function)}, but is known as {forms}", position=function.position)
            known = self.names.namespace.functions.get(name)
            if entry is None and known and not is_fixed(known, frozenset()) and name not in territory().model:
                params = tuple(a.arg for a in known.node.args.args)
                if len(params) != len(function.params):
                    if name in self.words.calls:
                        what = f"{name}() cannot be judged: the model's own stands in for it, whatever C gives it"
                        raise PasidlabError(what, position=function.position, hint="leave it out or judge the patch over a tree (--kernel)")
                    raise PasidlabError(f"{name} has {_parameters(function)}, the model's has {len(params)}", position=function.position)
                entry = Replacement(name, params, name, params)
            if entry is not None and name in territory().fixups:
                if any(has_call(other, name) for other in self.program.functions.values() if other.name in territory().fixups):
                    continue  # the one that is called from the handler calls it
                entry = replace(entry, model=self._fixup())
            if entry is not None and entry.model in self.names.namespace.functions:
                found[entry.model] = entry
        return found

    def _fixup(self) -> str:
        """The fix-up that the handler of the kernel around calls: the design's own, or that of the kernel."""
        known = self.names.namespace.functions
        here = [name for name in territory().fixups if name in known]
        own = [name for name in here if Path(known[name].file).parent.name != "linux"]
        return (own or here or list(territory().fixups))[-1 if own else 0]

    def _call_of(self, entry: Replacement) -> str:
        source = self.names.namespace.functions[entry.model]
        params = [a.arg for a in source.node.args.args]
        own = dict(zip(entry.model_args, params, strict=True)) if len(params) == len(entry.model_args) else {}
        return f"{entry.name}({', '.join(own.get(p, entry.given.get(p, '0')) for p in entry.params)})"

    def _adapt(self, model: str, body: str, name: str) -> None:
        """Make the model's function of that name a call of the C one."""
        source = self.names.namespace.functions[model]
        c_function = self.program.functions.get(name)
        position = c_function.position if c_function else source.position
        builder = Builder(name or model)
        template = Template(builder, self.names, self, self.names_in_c)
        replacements: dict[str, ast.expr] = {}
        for argument in source.node.args.args:
            assert argument.annotation is not None
            domain = self.names.annotation(argument.annotation, source.file)
            builder.locals[argument.arg] = domain
            replacements[argument.arg] = template.bind((argument.arg, domain))
        operand, domain = template.run(body, replacements, position)
        builder.emit("return", operand, at=position)
        returns = source.node.returns
        nothing = returns is None or (isinstance(returns, ast.Constant) and returns.value is None)
        params = tuple(a.arg for a in source.node.args.args)
        one_step = not name and any(ast.unparse(d) == "instruction" for d in source.node.decorator_list)
        result = None if nothing else template.result or domain
        self.fits[model] = builder.fits
        self.compiled[model] = Function(model, params, builder.locals, result, tuple(builder.code), position, one_step)

    def get(self, name: str, default: Domain | None = None) -> Domain | None:
        """The result domain of a function by its name in the IR."""
        return self.function(name).result if name in self.in_c else self.kernel.get(name, default)

    def function(self, ir_name: str) -> Function:
        """A C function by its name in the IR, compiled when first needed."""
        if ir_name in self.compiled:
            return self.compiled[ir_name]
        name, cpus = self.in_c[ir_name]
        function = self.defined[name]
        with self.enter(name, function.position):
            builder = Builder(name)
            template = Template(builder, self.names, self, self.names_in_c)
            compiler = CFunctionCompiler(function, builder, self.names, template, self.words, self)
            try:
                self.compiled[ir_name] = compiler.compile(ir_name, cpus)
                self.fits[ir_name] = builder.fits
            except RecursionError:
                raise PasidlabError(f"{name} is nested too deeply", position=function.position) from None
            except PasidlabError:
                self.failed = self.failed or name
                raise
        return self.compiled[ir_name]


def has_call(function: CFunction, name: str) -> bool:
    """True if a function's text has a call of that name."""
    return name != function.name and re.search(rf"\b{name}\s*\(", text_of(function.body)) is not None


def _parameters(function: CFunction) -> str:
    return f"{len(function.params)} parameter{'s' if len(function.params) != 1 else ''}"


def link(program: CProgram, names: Names) -> dict[str, Function]:
    """IR functions for ``lang.lowering.lower.build_model(functions=...)``."""
    return Linker(program, names).link()
