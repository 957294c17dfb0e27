"""Reads ``model/linux/vocabulary.toml``: what the names of kernel C mean in the model."""

from __future__ import annotations

import fnmatch
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from pasidlab.errors import PasidlabError
from pasidlab.lang.c.ctype import UINT, CType, Pointer, Struct, bit_field, by_words
from pasidlab.lang.c.macros import Macro
from pasidlab.lang.c.preprocess import macros_of

_PLACEHOLDER = re.compile(r"[a-z][a-z0-9_]*")
_TYPED = re.compile(r"(?s)(.*\S)\s+:\s+(\w[\w *]*)")

GOVERNS = re.compile(r"\s*if\s*\(.*\)\s*")
"""An ``if`` whose statement is the next line."""

PASID = "pasid"


@dataclass(frozen=True)
class Meaning:
    """The right-hand side of an entry: model-language text, and the C type of the result, None where its values tell.

    ``view`` is the kernel struct C sees it as. ``pasid``: the number of a PASID, where 0 in the model is what the kernel has for none.
    """

    text: str
    type: CType | None = None
    atomic: bool = False
    pasid: bool = False

    @property
    def nothing(self) -> bool:
        """A name that exists but holds nothing of the model."""
        return self.text == "-"

    @property
    def view(self) -> str:
        """The kernel struct the result is, or points to."""
        struct = self.type.to if isinstance(self.type, Pointer) else self.type
        return struct.name if isinstance(struct, Struct) else ""


def meaning(text: str | int, types: Mapping[str, str]) -> Meaning:
    """Parse ``expression : type``."""
    text = str(text)
    atomic = re.match(r"%atomic\s", text) is not None
    text = text.removeprefix("%atomic").lstrip() if atomic else text
    match = _TYPED.fullmatch(text)
    if match is None:
        return Meaning(text, None, atomic)
    written = match.group(2).strip()
    return Meaning(match.group(1), written_type(written, types), atomic, written == PASID)


def written_type(text: str, types: Mapping[str, str]) -> CType:
    """``u32``, ``unsigned int``, ``bit`` (a bit field), ``pasid``, a kernel struct, or one of them with stars behind."""
    stars = text.count("*")
    name = text.replace("*", "").strip()
    type_: CType | None = {"bit": bit_field(UINT, 1), PASID: UINT}.get(name) or by_words(types.get(name, name))
    type_ = type_ or Struct(name)
    for _ in range(stars):
        type_ = Pointer(type_)
    return type_


@dataclass(frozen=True)
class Pattern:
    """The left-hand side of a call: a name and its arguments."""

    name: str
    args: tuple[Argument, ...]


@dataclass(frozen=True)
class Argument:
    """One argument of a pattern: ``any`` value, a ``place``, a nested ``call``, or ``literal`` text."""

    kind: str
    name: str
    pattern: Pattern | None = None

    @property
    def is_condition(self) -> bool:
        """Only whether the argument is true matters."""
        return self.name == "c"

    @property
    def is_message(self) -> bool:
        """The argument, and all that follow it, are a message and what it shows."""
        return self.name == "text"


@dataclass(frozen=True)
class Replacement:
    """How a C function stands for a function of the model.

    ``params`` are the C parameters, ``model`` the model function's name and ``model_args`` what a C call of it passes on;
    ``given`` holds expressions for parameters the model does not have; ``body`` what the model's function becomes.
    """

    name: str
    params: tuple[str, ...]
    model: str
    model_args: tuple[str, ...]
    given: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    also: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class TreeLines:
    """Lines of a large function of a source tree that take the place of one line of a model function.

    ``word`` is a regular expression, ``after`` and ``before`` calls that only lines behind or above them are taken. ``result``: "int" where
    they return a number, which is 0 at their end. ``unless``: a function of the file that has them where it is there.
    ``missing`` is what stands in the line's place in a tree without such lines. ``then`` has bodies of other model functions for that
    tree. Both count only where the tree has the function ``needs``. ``beside`` has such bodies for a tree that has the lines.
    """

    function: str
    file: str
    word: str
    parameter: str
    model: str
    replace: str
    by: str
    missing: str = ""
    after: str = ""
    before: str = ""
    result: str = "void"
    unless: str = ""
    needs: str = ""
    then: Mapping[str, str] = field(default_factory=dict)
    beside: Mapping[str, str] = field(default_factory=dict)

    def has(self, line: str) -> bool:
        """True for a line to be taken."""
        return re.search(self.word, line) is not None

    @property
    def label(self) -> str:
        """What the lines are about."""
        return self.word.partition("|")[0]


@dataclass(frozen=True)
class Number:
    """A number of which a scope has the first few, where a machine has all of ``bits``.

    Fields of the model hold it, pointers to a ``struct`` stand for it, and locals with these ``names`` in functions of the model hold it.
    """

    bits: int
    why: str
    fields: frozenset[str]
    names: frozenset[str]
    struct: str


@dataclass(frozen=True)
class Vocabulary:
    """Everything the file says."""

    config: dict[str, str]
    features: dict[str, bool]
    macros: dict[str, Macro]
    own: frozenset[str]  # names for which a #define of the file counts
    types: dict[str, str]  # names of integer types -> words of C
    values: dict[str, Meaning]
    structs: dict[str, str]
    members: dict[str, Meaning]
    stores: dict[str, str]
    bits: dict[str, dict[str, str]]
    layouts: str  # C text: kernel structs that a function may have for itself
    percpu: dict[str, Meaning]
    percpu_negated: dict[str, str]
    access: dict[str, str]  # this_cpu_read -> read ...
    calls: dict[str, list[tuple[Pattern, Meaning]]]
    guards: dict[str, tuple[str, str]]  # what is called at both ends of its scope
    preempt_rt: dict[str, str]  # a call -> the call that it is with CONFIG_PREEMPT_RT
    preempt_rt_guards: dict[str, str]
    ignored: dict[str, str]
    assembler: tuple[str, ...]
    cpus: frozenset[str]  # calls and members whose value is the number of a CPU
    numbers: tuple[Number, ...]
    sizes: frozenset[str]  # names that stand for the length of a whole image
    part_sizes: frozenset[str]  # of its beginning
    part_structs: frozenset[str]  # structs that are its beginning
    keys: dict[str, bool]  # static keys
    returns: dict[str, CType]  # what functions of the model return
    replacements: dict[str, list[Replacement]]
    bases: tuple[tuple[str, str], ...]
    tree_files: tuple[str, ...]
    tree_functions: tuple[str, ...]
    tree_designs: dict[str, str]
    tree_handlers: tuple[str, ...]
    tree_lines: tuple[TreeLines, ...]
    tree_disabled: dict[str, str]
    tree_notes: tuple[Mapping[str, object], ...]
    behind: dict[str, str]  # a pointer plus the size of what it points to leads to the struct behind it

    def is_ignored(self, name: str) -> bool:
        """Whether a call of this name means nothing."""
        return name in self.ignored or any("*" in glob and fnmatch.fnmatchcase(name, glob) for glob in self.ignored)

    def has_one_answer(self, name: str) -> bool:
        """Whether a feature, a call or a member (``x->y``) says the same whenever it is asked."""
        texts = {meaning.text for _, meaning in self.calls.get(name, ())}
        if "->" in name or "." in name:
            member = re.split(r"->|\.", name)[-1]
            texts = {meaning.text for key, meaning in self.members.items() if key.endswith(f".{member}")}
            return bool(texts) and all(text in ("True", "False") or text.isdigit() for text in texts)
        return name in self.features or (bool(texts) and texts <= {"True", "False", "pass"})

    def can_store(self, member: str) -> bool:
        """Whether a member is a field of the model, or says how storing to it is done."""
        found = self.members.get(member)
        return member in self.stores or (found is not None and re.fullmatch(r"x\.\w+", found.text) is not None)

    def replacement(self, name: str, arity: int) -> Replacement | None:
        """The entry for a C function of that name and number of parameters."""
        return next((r for r in self.replacements.get(name, ()) if len(r.params) == arity), None)

    def names(self) -> set[str]:
        """Every name that means something, for hints."""
        words = {*self.calls, *self.values, *self.percpu, *self.access, *self.replacements, *self.members, *self.bits}
        return words | {name for name in self.ignored if "*" not in name}


def split_arguments(text: str) -> list[str]:
    """The arguments between a pair of brackets, at the commas of the outer level."""
    pieces, depth, start = [], 0, 0
    for i, char in enumerate(text):
        depth += (char in "([{") - (char in ")]}")
        if char == "," and depth == 0:
            pieces.append(text[start:i])
            start = i + 1
    pieces.append(text[start:])
    return [p.strip() for p in pieces if p.strip()]


def pattern(text: str) -> Pattern:
    """Parse ``name(args)``."""
    name, _, rest = text.partition("(")
    return Pattern(name.strip(), tuple(_argument(a) for a in split_arguments(rest.rstrip()[:-1])))


def _argument(text: str) -> Argument:
    if text.startswith("'"):
        return Argument("literal", text.strip("'"))
    if re.fullmatch("&[a-z]", text):
        return Argument("place", text[1:])
    if _PLACEHOLDER.fullmatch(text):
        return Argument("any", text)
    if re.fullmatch(r"\w+\(.*\)", text):
        return Argument("call", text, pattern(text))
    return Argument("literal", "".join(text.split()))


def _replacement(left: str, right: str | dict[str, Any]) -> Replacement:
    entry: dict[str, Any] = {"is": right} if isinstance(right, str) else right
    c, model = pattern(left), pattern(entry["is"])
    return Replacement(
        c.name, tuple(a.name for a in c.args), model.name, model_args=tuple(a.name for a in model.args), given=entry.get("with", {}),
        body=entry.get("body", ""), also=entry.get("also", {}),
    )  # fmt: skip


def _number(entry: Mapping[str, Any]) -> Number:
    fields, names = (frozenset(entry.get(key, ())) for key in ("fields", "names"))
    return Number(entry["bits"], entry["why"], fields, names, entry.get("struct", ""))


@cache
def vocabulary() -> Vocabulary:
    """The vocabulary of the kernel around a design."""
    path = Path(__file__).parents[2] / "model" / "linux" / "vocabulary.toml"
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise PasidlabError(f"cannot read the vocabulary {path}: {error}") from None
    types: dict[str, str] = data["types"]
    calls: dict[str, list[tuple[Pattern, Meaning]]] = {}
    for left, right in data["calls"].items():
        parsed = pattern(left)
        calls.setdefault(parsed.name, []).append((parsed, meaning(right, types)))
    for entries in calls.values():
        entries.sort(key=lambda entry: -sum(a.kind in ("literal", "call") for a in entry[0].args))
    replacements: dict[str, list[Replacement]] = {}
    for left, right in data["functions"].items():
        entry = _replacement(left, right)
        replacements.setdefault(entry.name, []).append(entry)
    return Vocabulary(
        data["config"], data["features"], macros_of(data["macros"]["text"], str(path), data["config"]),
        own=frozenset(data["macros"]["own"]), types=types, values={name: meaning(right, types) for name, right in data["values"].items()},
        structs=data["structs"], members={name: meaning(right, types) for name, right in data["members"].items()}, stores=data["stores"],
        bits=data["bits"], layouts=data["layouts"]["text"], percpu={name: meaning(right, types) for name, right in data["percpu"].items()},
        percpu_negated=data["percpu_negated"], access={name: kind for kind, names in data["percpu_access"].items() for name in names},
        calls=calls, guards={name: (take, give) for name, (take, give) in data["guards"].items()}, preempt_rt=data["preempt_rt"]["calls"],
        preempt_rt_guards=data["preempt_rt"]["guards"], ignored=data["ignored"], assembler=tuple(data["assembler"]["words"]),
        cpus=frozenset(data["cpus"]["names"]), numbers=tuple(_number(entry) for entry in data["number"]),
        sizes=frozenset(data["sizes"]["names"]), part_sizes=frozenset(data["sizes"]["parts"]),
        part_structs=frozenset(data["sizes"]["part_structs"]), keys=data["keys"],
        returns={name: written_type(text, types) for name, text in data["results"].items()}, replacements=replacements,
        bases=tuple((b["defines"], b["design"]) for b in data["base"]), tree_files=tuple(data["tree"]["files"]),
        tree_functions=tuple(data["tree"]["functions"]), tree_designs=data["tree"]["designs"],
        tree_handlers=tuple(data["tree"]["handlers"]), tree_lines=tuple(TreeLines(**entry) for entry in data["tree"]["lines"]),
        tree_disabled=data["tree"]["disabled"], tree_notes=tuple(data["tree"]["note"]), behind=data["behind"],
    )  # fmt: skip


@cache
def constants() -> dict[str, str]:
    """What constants of the vocabulary are, as text without a type."""
    return {name: meaning.text for name, meaning in vocabulary().values.items()}


@cache
def macro_like() -> frozenset[str]:
    """Names of the vocabulary that a header may have as macros."""
    words = vocabulary()
    return frozenset([*words.values, *words.calls, *words.percpu, *words.features])
