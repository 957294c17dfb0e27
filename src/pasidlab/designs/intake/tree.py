"""Takes the modelled functions from a Linux source tree, and says where each came from or why it stayed built in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from pasidlab.designs.intake.edits import Edits
from pasidlab.designs.intake.files import Files
from pasidlab.designs.intake.large import LinesTaken, function_in, lines_taken, no_proof
from pasidlab.errors import PasidlabError
from pasidlab.lang.c.declarators import text_of
from pasidlab.lang.c.link import CProgram, Linker, configured, parse_source
from pasidlab.lang.c.parse import CFunction, Unit
from pasidlab.lang.c.preprocess import Preprocessor
from pasidlab.lang.c.tokens import Source
from pasidlab.lang.c.unknown import Stub
from pasidlab.lang.c.vocabulary import TreeLines, vocabulary
from pasidlab.lang.names import Names


@dataclass(frozen=True)
class Provenance:
    """One function: the place it was taken from, or why it stayed built in."""

    function: str
    place: str  # file:line in the tree; empty: built in
    why: str = ""


@dataclass
class KernelTree:
    """A Linux source tree, its files read as they are needed. ``changed`` holds files a patch has altered."""

    root: Path
    changed: dict[str, Source] = field(default_factory=dict)
    files: Files = field(default_factory=Files)
    version: str = ""
    units: dict[tuple[str, str], Unit] = field(default_factory=dict)  # texts that were parsed, by their file

    def __post_init__(self) -> None:
        self.version = self._version()

    def _version(self) -> str:
        try:
            text = self.files.text(str(self.root / "Makefile"))
        except PasidlabError:
            text = ""
        found = dict(re.findall(r"^(VERSION|PATCHLEVEL|SUBLEVEL)\s*=\s*(\d+)", text, re.MULTILINE))
        if "VERSION" not in found or "PATCHLEVEL" not in found or not self.files.is_dir(str(self.root / "arch" / "x86")):
            raise PasidlabError(f"{self.root} is no Linux source tree", hint="--kernel takes the folder that holds Makefile and arch/x86")
        return f"{found['VERSION']}.{found['PATCHLEVEL']}" + (f".{found['SUBLEVEL']}" if found.get("SUBLEVEL", "0") != "0" else "")

    def parsed(self, source: Source, config: Mapping[str, str] | None) -> Unit:
        """A text of the tree, parsed once. The configuration is the same for all."""
        key = source.file, source.text
        if key not in self.units:
            self.units[key] = parse_source(source, config)
        return self.units[key]

    def with_text(self, file: str, text: str) -> KernelTree:
        """The tree with another text for a file."""
        return replace(self, changed={**self.changed, file: Source(text, file)})

    def source(self, file: str) -> Source | None:
        """A file of the tree; None if it has none of that name."""
        if file in self.changed:
            return self.changed[file]
        path = str(self.root / file)
        if not self.files.is_file(path):
            return None
        text = self.files.text(path)
        if text.startswith(_LFS_POINTER):
            raise PasidlabError(f"{path} is a pointer of Git LFS, not the file", hint="git lfs pull, in the tree")
        self.files.shown[file] = tuple(text.splitlines())
        return Source(text, file)


_LFS_POINTER = "version https://git-lfs.github.com/spec/"
"""How a file begins that Git LFS has not fetched (git-lfs docs/spec.md)."""


@dataclass
class TreeProgram:
    """The functions of a tree before it is known which of them the model can express."""

    tree: KernelTree
    wanted: dict[str, CFunction]
    helpers: dict[str, CFunction]
    lines: dict[str, LinesTaken]
    sources: CProgram  # the constants and structs of the files
    stubs: Mapping[str, Stub]
    rows: list[Provenance] = field(default_factory=list)
    kept: dict[str, str] = field(default_factory=dict)  # functions that stay built in: why
    disabled: str = ""  # where the tree compiles ENQCMD out
    own_design: bool = True  # no file brings another

    @property
    def base(self) -> str:
        """The design whose kernel surrounds the tree's functions."""
        return next((design for name, design in vocabulary().tree_designs.items() if name in self.wanted), "early")

    @property
    def has_design(self) -> bool:
        """Whether the tree hands PASIDs to tasks at all."""
        return not self.disabled and any(name in self.wanted for name in vocabulary().tree_designs)

    def give_way(self, design: str) -> None:
        """Leave out what would handle the fault: a file brings a design of its own."""
        for name in vocabulary().tree_handlers:
            if self.wanted.pop(name, None):
                self.rows.append(Provenance(name, "", f"the file brings the functions of '{design}'"))
        self.own_design = False

    def program(self, names: Names) -> CProgram:
        """What can be compiled against a kernel; the rest is noted in ``kept``."""
        while True:
            program = self.joined_for(names)
            linker = Linker(program, names)
            try:
                linker.link()
                return program
            except PasidlabError as error:
                if not self._keep(linker, error):
                    raise

    def _keep(self, linker: Linker, error: PasidlabError) -> bool:
        """Leave out the functions that cannot be compiled; False if there are none to blame."""
        found = {
            name: f"it calls {used}(): {self.kept[used]}" if used in self.kept else f"it uses {what} '{used}' ({at})"
            for name, (used, what, at) in linker.unknowns.used_by.items()
        }
        if not found and linker.failed:
            found = {linker.failed: str(error).split("\n")[0]}
        fresh = {name: why for name, why in found.items() if name not in self.kept}
        self.kept |= fresh
        return bool(fresh)

    def with_text(self, file: str, text: str, config: Mapping[str, str] | None) -> TreeProgram:
        """The program with another text for a file. What stays built in here stays so there."""
        found = read_tree(self.tree.with_text(file, text), config, self.stubs)
        found.kept |= self.kept
        return found

    def joined_for(self, names: Names) -> CProgram:
        """The functions and lines that are not known to stay built in."""
        functions = {n: f for n, f in self.wanted.items() if n not in self.kept}
        helpers = {n: f for n, f in self.helpers.items() if n not in self.kept}
        bodies: dict[str, str] = {}
        for name, taken in self.lines.items():
            entry, lines = taken.entry, taken.function
            if f"{name}__lines" in self.kept or entry.model not in names.namespace.functions:
                continue
            text = body_text(names, entry.model)
            if entry.replace not in text:
                self.kept[f"{name}__lines"] = f"the design around has a {entry.model}() of its own"
                continue
            if lines is not None:
                functions[lines.name] = lines
                helpers = {**{n: f for n, f in taken.helpers.items() if n not in self.kept}, **helpers}
                bodies[entry.model] = text.replace(entry.replace, _indented(text, entry.replace, entry.by))
                bodies |= entry.beside
            elif entry.missing:
                bodies[entry.model] = text.replace(entry.replace, _indented(text, entry.replace, entry.missing))
                bodies |= entry.then
        if self.own_design and not self.has_design:
            bodies["try_fixup_enqcmd_gp"] = "False"
        return self.sources.joined(CProgram(functions, stubs=self.stubs, bodies=bodies, helpers=helpers))

    def of_large(self) -> dict[str, LinesTaken]:
        """The large functions of which lines take the place of the model's, or whose lack of them does."""
        taken = {name: one for name, one in self.lines.items() if f"{name}__lines" not in self.kept}
        return {name: one for name, one in taken.items() if one.function or one.entry.missing}

    def compare_large(self, before: KernelTree, edits: Edits, config: Mapping[str, str] | None) -> None:
        """Tell what a patch changes of lines that are taken. Where others take their place that are not, the model's own stay."""
        for (file, name), edited in edits.functions.items():
            now = self.lines.get(name)
            was = of_large_function(before, now.entry, config) if now is not None and now.entry.file == file else None
            if now is not None and was is not None:
                self.lines[name] = replace(now, was=was.texts)
                if why := no_proof(edited, was, now):
                    self.kept[f"{name}__lines"] = why

    def provenance(self) -> list[Provenance]:
        """A row for each function the model could take."""
        rows = []
        words = vocabulary()
        told = {row.function for row in self.rows}
        entries = [one for name, function in self.wanted.items() if (one := words.replacement(name, len(function.params)))]
        taken = {one.model for one in entries} | {also.partition("(")[0] for one in entries for also in one.also}
        for name in words.tree_functions:
            function = self.wanted.get(name)
            if function is None:
                models = {one.model for one in words.replacements[name]}  # they may go by another version's name here
                if not models <= taken and name not in words.tree_designs and name not in told:
                    taken |= models
                    rows.append(Provenance(name, "", f"Linux {self.tree.version} has no function of this name"))
            elif name in self.kept:
                rows.append(Provenance(name, "", self.kept[name]))
            else:
                rows.append(Provenance(name, f"{function.position.file}:{function.position.line}"))
        for name, large in self.lines.items():
            entry, lines = large.entry, large.function
            label = f"{name} ({entry.label} lines)"
            if f"{name}__lines" in self.kept:
                rows.append(Provenance(label, "", self.kept[f"{name}__lines"]))
            elif lines is None:
                rows.append(Provenance(label, "", (entry.missing and "no such line: the model does without it") or "no such line"))
            else:
                rows.append(Provenance(label, f"{lines.position.file}:{lines.position.line}"))
        return rows + self.rows


def _indented(text: str, replace: str, by: str) -> str:
    line = next((one for one in text.split("\n") if replace in one), "")
    space = line[: len(line) - len(line.lstrip())]
    return by.replace("\n", "\n" + space)


def body_text(names: Names, name: str) -> str:
    """The body of a model function as text."""
    import ast

    body = names.namespace.functions[name].node.body
    return "\n".join(ast.unparse(s) for s in body if not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant)))


def read_tree(tree: KernelTree, config: Mapping[str, str] | None = None, stubs: Mapping[str, Stub] | None = None) -> TreeProgram:
    """Find and parse the functions of a tree."""
    words = vocabulary()
    everything: dict[str, CFunction] = {}
    twice: set[str] = set()
    sources = CProgram({})
    for file in words.tree_files:
        source = tree.source(file)
        if source is None:
            continue
        unit = tree.parsed(source, config)
        twice |= {name for name, one in unit.functions.items() if name in everything and _both_static(one, everything[name])}
        everything = {**unit.functions, **everything}
        sources = CProgram({}, unit.constants, unit.objects, unit.structs, unit.enums, locks=frozenset(unit.locks)).joined(sources)
    disabled = _disabled(tree, config)
    designs = frozenset(words.tree_designs) if disabled else frozenset()
    wanted = {name: everything[name] for name in words.tree_functions if name in everything and name not in designs}
    others = {m for n, f in wanted.items() if (r := words.replacement(n, len(f.params))) for m in (r.model,)}
    wanted = {n: f for n, f in wanted.items() if words.replacement(n, len(f.params)) or words.replacements[n][0].model not in others}
    if not wanted:
        raise PasidlabError(
            f"{tree.root} (Linux {tree.version}) has none of the functions that are modelled", hint="v5.10 and later are understood"
        )
    entries = [one for one in words.tree_lines if not (one.unless and function_in(tree.source(one.file), one.unless))]
    there = [entry for entry in entries if function_in(tree.source(entry.file), entry.function) is not None]
    there = [replace(entry, missing="") if entry.needs and entry.needs not in wanted else entry for entry in there]
    lines = {entry.function: one for entry in there if (one := of_large_function(tree, entry, config)) is not None}
    helpers = {n: f for n, f in everything.items() if n not in wanted}
    found = TreeProgram(tree, wanted, helpers, lines, sources, stubs or {}, disabled=disabled)
    lacking = [one for one in entries if one not in there and one.function not in {other.unless for other in there}]
    found.kept = dict.fromkeys(sorted(twice - wanted.keys()), "two files have a function of this name")
    found.rows += [Provenance(one.function, "", f"{one.file} has no such function") for one in lacking]
    found.rows += [row for note in words.tree_notes if (row := _note(tree, note)) is not None]
    if not found.has_design:
        why = f"ENQCMD is compiled out ({disabled})" if disabled else f"Linux {tree.version} has nothing that hands a PASID to a task"
        found.rows.append(Provenance("try_fixup_enqcmd_gp", "", f"{why}: every #GP of ENQCMD is fatal"))
    return found


def _both_static(one: CFunction, other: CFunction) -> bool:
    """True for two functions of different files that are not the same, where each is its own file's alone."""
    texts = {text_of(f.node) for f in (one, other)}
    return len(texts) == 2 and all(text.startswith("static ") for text in texts)


def _disabled(tree: KernelTree, config: Mapping[str, str] | None) -> str:
    """Where the tree compiles the feature out, whatever the CPU has; empty if it does not."""
    words = vocabulary().tree_disabled
    source = tree.source(words["file"])
    if source is None:
        return ""
    found = Preprocessor(source, {}, configured(config))
    found.run()
    macro = found.macros.get(words["macro"])
    if macro is None or not any(token.text == words["feature"] for token in macro.body):
        return ""
    return str(source.position(macro.body[0].offset)).rpartition(":")[0]


def of_large_function(tree: KernelTree, entry: TreeLines, config: Mapping[str, str] | None) -> LinesTaken | None:
    """What is taken of a large function of a tree; None if the tree does not have it."""
    large = function_in(tree.source(entry.file), entry.function)
    others = (source for file, source in tree.changed.items() if file != entry.file and file.endswith((".c", ".h")))
    return lines_taken(entry, large, others, config) if large is not None else None


def _note(tree: KernelTree, note: Mapping[str, object]) -> Provenance | None:
    """A note about a function if its body has the words."""
    files = note["files"]
    assert isinstance(files, list)
    for file in files:
        found = function_in(tree.source(str(file)), str(note["function"]))
        if found is None:
            continue
        number = next((n for n, line in enumerate(found.lines) if str(note["word"]) in line), None)
        if number is not None and str(note["also"]) in "".join(found.lines[max(0, number - 2) : number + 1]):
            return Provenance(str(note["function"]), "", f"{note['text']} ({file}:{found.start + number + 1})")
    return None
