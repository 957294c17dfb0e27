"""From a C file, a patch, a mailbox or a source tree to functions, a base design, and their provenance."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pasidlab.designs.intake import judging, mail, patch, tree
from pasidlab.designs.intake.callsite import Call, must_know_the_fixup, sites_left
from pasidlab.designs.intake.code import LinkedCode
from pasidlab.designs.intake.edits import Edits, unnamed_of
from pasidlab.designs.intake.files import Files
from pasidlab.designs.intake.judged import Fate, Judged
from pasidlab.designs.intake.judging import Taken
from pasidlab.designs.intake.statements_seen import CompiledLines
from pasidlab.designs.intake.tree import Provenance
from pasidlab.errors import PasidlabError, Position
from pasidlab.lang.c.cuts import cuts
from pasidlab.lang.c.link import CProgram, Linker, c_program
from pasidlab.lang.c.parse import CFunction
from pasidlab.lang.c.taken import callers, taken
from pasidlab.lang.c.territory import territory
from pasidlab.lang.c.tokens import Source
from pasidlab.lang.c.unknown import Stub, read_stubs
from pasidlab.lang.c.vocabulary import vocabulary
from pasidlab.lang.ir import Function
from pasidlab.lang.names import Names


@dataclass(frozen=True)
class InputOptions:
    """What the command line says beside the input."""

    config: Mapping[str, str] = field(default_factory=dict)
    stubs: Mapping[str, Stub] = field(default_factory=dict)
    kernel: Path | None = None
    reverse: bool = False  # patches are taken out of the tree
    base: str | None = None  # the design around, where the user names it
    files: Files = field(default_factory=Files)


def read_options(
    config: Iterable[str] = (), stubs: Iterable[str] = (), kernel: str | None = None, reverse: bool = False, base: str | None = None,
    files: Files | None = None,
) -> InputOptions:  # fmt: skip
    """``CONFIG_X=n`` words, ``name=noop`` words, the folder of a tree."""
    settings = {}
    for word in config:
        match = re.fullmatch(r"(CONFIG_\w+)=(y|m|n|-?\d+|0x[0-9a-fA-F]+)", word)
        if not match:
            raise PasidlabError(f"cannot read '{word}'", hint="--config CONFIG_IOMMU_SVA=n")
        settings[match.group(1)] = match.group(2)
    return InputOptions(settings, read_stubs(stubs), Path(kernel) if kernel else None, reverse, base, files or Files())


@dataclass
class Gathered:
    """Functions ready for a kernel. ``base`` names the design around them; ``notes`` what the reader should know."""

    name: str
    base: str
    program: CProgram
    tree: tree.TreeProgram | None = None
    notes: list[str] = field(default_factory=list)
    edits: Edits | None = None  # of patches
    taken: Taken = field(default_factory=Taken)  # known once ``functions`` was asked
    options: InputOptions = field(default_factory=InputOptions)
    names: Names | None = None  # those of the last call of ``functions``

    def functions(self, names: Names) -> dict[str, Function]:
        """The IR functions that replace the kernel's."""
        self.names = names
        whole = self.program
        if self.tree is not None:
            whole = self.tree.program(names).joined(self.program)
        linker = Linker(whole, names)
        made = linker.link()
        found = taken(linker)
        self.taken = Taken(
            {name: function for name, (function, _) in found.items()}, {name: CompiledLines(*one) for name, one in found.items()},
            self.tree.kept if self.tree else {}, self.tree.of_large() if self.tree else {}, linker.preempt_rt,
            frozenset(self.options.config), callers(linker), cuts(linker),
        )  # fmt: skip
        return made

    def judged(self) -> Judged:
        """What of the input is judged. Not before ``functions`` was asked."""
        if self.edits is not None:
            found = judging.of_patches(self.edits, self.taken, self._compiled)
        else:
            found = judging.of_file(self.program.functions, self.taken)
        found = replace(found, unused=tuple(self._unused()))
        if self.tree is None:
            return found
        known = {item.function for item in found.items if item.fate is not Fate.UNRELATED}
        rest = (item for item in judging.of_tree(self.tree, self.taken) if item.function.partition(" ")[0] not in known)
        return replace(found, items=(*found.items, *rest))

    def _compiled(self, key: str, text: str) -> LinkedCode | None:
        """What the functions become with another text for a file that the patches change; None if it does not compile."""
        assert self.names is not None and self.edits is not None
        try:
            if self.tree is not None:
                whole = self.tree.with_text(key, text, self.options.config).joined_for(self.names).joined(self.program)
            else:
                texts = {name: version.after for name, version in self.edits.versions.items()}
                texts[key] = replace(texts[key], text=text)
                whole = c_program(list(texts.values()), self.options.config, self.options.stubs, strict=False)
            linker = Linker(whole, self.names)
            functions = linker.link()
            return LinkedCode(functions, frozenset(functions.keys() & linker.in_c.keys() - self.names.namespace.functions.keys()))
        except PasidlabError:
            return None

    def _unused(self) -> Iterator[str]:
        """The options that nothing of the text asks for."""
        every = [*self.program.functions.values(), *(self.tree.wanted.values() if self.tree else ()), *self.taken.functions.values()]
        texts_read = {function.unit.source.text for function in every} | {function.unit.text for function in every}
        words = {word for text in texts_read for word in re.findall(r"\w+", text)}
        yield from (f"--config {name}" for name in self.options.config if name not in {*words, "CONFIG_PREEMPT_RT"})
        yield from (f"--stub {name}" for name in self.options.stubs if name.rpartition(".")[2].strip("*") not in words | {""})

    @property
    def files(self) -> tuple[str, ...]:
        """The names of the files the functions stand in."""
        every = list(self.program.functions.values())
        if self.tree is not None:
            large = self.tree.lines.values()
            every += [*self.tree.wanted.values(), *self.tree.helpers.values(), *(one.function for one in large if one.function is not None)]
        return tuple(sorted({f.position.file for f in every}))

    def provenance(self) -> list[Provenance]:
        """For a tree: where each function came from."""
        rows = self.tree.provenance() if self.tree else []
        given = {name: f.position for name, f in self.program.functions.items()}
        rows = [Provenance(r.function, f"{given[r.function].file}:{given[r.function].line}") if r.function in given else r for r in rows]
        named = {r.function for r in rows}
        return rows + [Provenance(n, f"{p.file}:{p.line}") for n, p in given.items() if n not in named]


def gather(name: str, options: InputOptions) -> Gathered:
    """Read a file by name; ``-`` is standard input."""
    label, text, found = _read_input(name, options.files)
    if found is None:
        if options.reverse:
            raise PasidlabError(f"{label} is no patch", hint="-R takes a patch out of a tree that has it")
        return from_c(text, label, options)
    return from_patches([patch.reversed_patch(one) for one in reversed(found)] if options.reverse else found, label, options)


def before_and_after(name: str, options: InputOptions) -> tuple[Gathered | None, Gathered]:
    """A tree before a patch and after it; without a tree there is nothing before but the design around the patch.

    With ``options.reverse`` the tree is the one after.
    """
    label, _, found = _read_input(name, options.files)
    if found is None:
        raise PasidlabError(f"{label} is no patch: there is no before and after", hint="--compare takes a patch or a mail")
    if options.kernel is None:
        if options.reverse:
            raise PasidlabError("-R takes a patch out of a tree", hint="name it with --kernel TREE")
        return None, from_patches(found, label, options)
    for one in found:
        _show_bare(one, options.files)
    root = tree.KernelTree(options.kernel, {}, options.files)
    if options.reverse:
        for one in reversed(found):
            turned = patch.reversed_patch(one)
            for change in turned.files:
                _change_tree(root, turned, change, Edits())
    old = tree.KernelTree(options.kernel, dict(root.changed), options.files)
    edits = Edits()
    for one in found:
        for change in one.files:
            before = root.source(change.path)
            _change_tree(root, one, change, edits)
            if before is not None and change.path in root.changed:
                _call_old(old, change.path, before)
    _must_matter(edits, label, found)
    sides = [tree.read_tree(side, options.config, options.stubs) for side in (old, root)]
    _compare_large(sides[1], edits, options)
    short, empty = Path(label).name, CProgram({}, stubs=options.stubs)
    notes = [note for one in found for note in one.notes]
    first = Gathered(f"{short} before", sides[0].base, empty, sides[0], options=options)
    return first, Gathered(short, sides[1].base, empty, sides[1], notes, edits, options=options)


def _call_old(old: tree.KernelTree, path: str, before: Source) -> None:
    """A file before the patch goes by the name diffs give it. So its lines are told apart from those after."""
    if path not in old.changed or not old.changed[path].file.startswith("a/"):
        old.changed[path] = Source(before.text, f"a/{path}")
        old.files.shown[f"a/{path}"] = tuple(before.text.splitlines())


def _read_input(name: str, files: Files) -> tuple[str, str, list[patch.Patch] | None]:
    """What messages call an input, its text, and the patches in it; None: it is C."""
    data = files.data(name).removeprefix(codecs.BOM_UTF8)
    label = "<stdin>" if name == "-" else name
    text = _decoded(data, label)
    if name == "-" or not name.endswith((".c", ".h")):
        files.shown[label] = tuple(text.splitlines())
    if name.endswith((".c", ".h")):
        return label, text, None
    if mail.looks_like_mail(text):
        return label, text, mail.patches(data, label, files.shown)
    if name.endswith((".mbox", ".eml", ".mail")) and not text.strip():
        raise PasidlabError(f"{label} is empty")
    if patch.looks_like_patch(text) or name.endswith((".patch", ".diff", ".mbox", ".eml", ".mail")):
        return label, text, [patch.read_patch(mail.numbered(text), label)]
    return label, text, None


def _decoded(data: bytes, label: str) -> str:
    if b"\x00" in data:
        raise PasidlabError(f"{label} is not a text file (byte {data.index(0)} is zero)")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        if data.startswith(b"From ") or re.match(rb"[A-Za-z-]+:", data):
            return data.decode("latin-1")  # a mail says itself how it is encoded
        raise PasidlabError(f"{label} is not a text file (byte {error.start} is not UTF-8)") from None


def from_c(text: str, label: str, options: InputOptions) -> Gathered:
    """A C file."""
    if not text.strip():
        raise PasidlabError(f"{label} is empty")
    own = c_program([Source(text, label)], options.config, options.stubs)
    found = _tree(options)
    base = base_of(own.functions)
    if found and base is None:
        base = found.base
    elif found and base != found.base:
        found.give_way(str(base))
    return Gathered(Path(label).name, base or DEFAULT_BASE, own, found, options=options)


DEFAULT_BASE = "early"  # the merged design


def base_of(functions: Mapping[str, CFunction]) -> str | None:
    """The design whose kernel the functions belong in; None if they only change the kernel around one."""
    return next((design for name, design in vocabulary().bases if name in functions), None)


def _tree(options: InputOptions, changed: dict[str, Source] | None = None) -> tree.TreeProgram | None:
    if options.kernel is None:
        return None
    return tree.read_tree(tree.KernelTree(options.kernel, changed or {}, options.files), options.config, options.stubs)


def from_tree(options: InputOptions) -> Gathered:
    """A tree by itself."""
    found = _tree(options)
    assert found is not None
    return Gathered(f"linux-{found.tree.version}", found.base, CProgram({}, stubs=options.stubs), found, options=options)


def from_patches(found: list[patch.Patch], label: str, options: InputOptions) -> Gathered:
    """A patch or a series: applied over a tree, or its whole functions over the built-in kernel."""
    notes = [note for one in found for note in one.notes]
    for one in found:
        _show_bare(one, options.files)
    if options.kernel is not None:
        return _over_tree(found, label, options, notes)
    edits = Edits()
    for one in found:
        edits.of_patch(one)
        for change in one.files:
            if change.path.endswith((".c", ".h")):
                edits.of_pieces(change, patch.pieces(change, one))
    own = c_program([version.after for version in edits.versions.values()], options.config, options.stubs, strict=False)
    known = [n for n, f in own.functions.items() if vocabulary().replacement(n, len(f.params))]
    short = next((error for one in found if (error := patch.cut_short(one)) is not None), None)
    if short and not known:
        raise short
    if short:
        notes.append(f"{short}; whole functions before that are taken")
    must_know_the_fixup(found, own.functions)
    if not known:
        raise _nothing_whole(edits, label, found)
    base, said = _base_of_patch(found, own.functions, options)
    return Gathered(Path(label).name, base, own, None, [*notes, *said], edits, options=options)


def _base_of_patch(found: list[patch.Patch], functions: Mapping[str, CFunction], options: InputOptions) -> tuple[str, list[str]]:
    """The design a patch without a tree belongs to, and what the reader should know of that choice."""
    base = base_of(functions) or DEFAULT_BASE
    fixups = [name for name in functions if name in territory().fixups]
    if not fixups or options.base or "exc_general_protection" in functions:
        return base, []
    sites = sites_left(found, fixups)
    if any(site.place is Call.UNKNOWN for site in sites) or len({site.place for site in sites}) > 1:
        names = ", ".join(fixups)
        raise PasidlabError(
            f"cannot tell whether {names}() is called before interrupts are enabled or after",
            position=Position(found[0].name, sites[0].line),
            hint=f"--base {territory().early}: before cond_local_irq_enable(); --base late-either: after it; --kernel TREE has the handler",
        )  # fmt: skip
    if any(site.place is Call.BEFORE for site in sites):
        return territory().early, [f"{fixups[0]}() is called before interrupts are enabled ({found[0].name}:{sites[0].line})"]
    if not sites and base != territory().early:
        return base, [f"no call of {fixups[0]}() is shown: it is taken to come after interrupts are enabled (--base chooses another)"]
    return base, []


def _nothing_whole(edits: Edits, label: str, found: Sequence[patch.Patch]) -> PasidlabError:
    """Why a patch without a tree cannot be judged at all."""
    _must_matter(edits, label, found)
    names = ", ".join(sorted({name for _, name in edits.functions if name}))
    what = f"it changes lines of {names}" if names else "what it changes stands outside functions, or in one whose name it does not show"
    return PasidlabError(
        f"{label} holds no whole function that is modelled; {what}",
        hint="--kernel TREE applies the patch to a source tree",
    )


def _must_matter(edits: Edits, label: str, found: Sequence[patch.Patch] = ()) -> None:
    """PasidlabError for patches that touch nothing modelled."""
    items = judging.of_patches(edits, Taken()).items
    if all(item.fate is Fate.UNRELATED for item in items):
        short = next((error for one in found if (error := patch.cut_short(one)) is not None), None)
        if short is not None:
            raise short
        files = ", ".join(dict.fromkeys(hunk.file for hunk in edits.hunks))
        if not any(one.lines for one in edits.functions.values()):
            raise PasidlabError(f"{label} changes no code, only comments and white space ({files})", hint="there is nothing to check")
        hunks = ((one.name, change, hunk) for one in found for change in one.files for hunk in change.hunks)
        for name, change, hunk in (every for every in hunks if unnamed_of(*every[1:])):
            what, at = f"this hunk of {change.path} does not show which function it changes", Position(name, hunk.number)
            raise PasidlabError(what, position=at, hint="--kernel TREE applies the patch to a source tree, diff -p names functions")
        raise PasidlabError(
            f"{label} changes nothing that is modelled ({files})", hint="model/linux/territory.toml says which files and functions are",
        )  # fmt: skip


def _show_bare(one: patch.Patch, files: Files) -> None:
    """Reports show the lines of a patch without its marks and the marks of a reply."""
    lines = list(files.shown.get(one.name, ()))
    for line in (line for change in one.files for hunk in change.hunks for line in hunk.lines):
        if line.number <= len(lines):
            lines[line.number - 1] = line.text
    files.shown[one.name] = tuple(lines)


def _over_tree(found: list[patch.Patch], label: str, options: InputOptions, notes: list[str]) -> Gathered:
    assert options.kernel is not None
    root = tree.KernelTree(options.kernel, {}, options.files)
    edits = Edits()
    for one in found:
        for change in one.files:
            _change_tree(root, one, change, edits)
    _must_matter(edits, label, found)
    patched = tree.read_tree(root, options.config, options.stubs)
    _compare_large(patched, edits, options)
    return Gathered(Path(label).name, patched.base, CProgram({}, stubs=options.stubs), patched, notes, edits, options=options)


def _compare_large(patched: tree.TreeProgram, edits: Edits, options: InputOptions) -> None:
    """Hold the large functions of a tree against those before the patches."""
    assert options.kernel is not None
    old = {version.file: Source(version.before, version.file) for version in edits.versions.values()}
    patched.compare_large(tree.KernelTree(options.kernel, old, options.files), edits, options.config)


def _change_tree(root: tree.KernelTree, one: patch.Patch, change: patch.FileChange, edits: Edits) -> None:
    """Apply the changes of one file. Hunks outside the territory need not fit, and a file of nothing else need not be there."""
    alone = {hunk.number: _matters(one, change, hunk) for hunk in change.hunks}
    before = Source("", change.path) if change.new_file else root.source(change.path)
    if before is None:
        if any(alone.values()):
            raise PasidlabError(f"the patch changes {change.path}, which {root.root} does not have")
        edits.skip(one, change, change.hunks, "the tree has no such file, and it is outside the territory")
        return
    applied = patch.apply(change, before, one, lambda hunk: alone[hunk.number])
    edits.of_change(one, change, before, applied)
    root.changed[change.path] = applied.source
    root.files.shown[change.path] = tuple(applied.source.text.splitlines())


def _matters(one: patch.Patch, change: patch.FileChange, hunk: patch.Hunk) -> bool:
    """True if a hunk, seen by itself, may change something of the territory."""
    found = Edits()
    found.of_patch(patch.Patch(one.name, [patch.FileChange(change.path, change.new_file, [hunk])]))
    land = territory()
    every = found.functions.items()
    if unnamed_of(change, hunk):
        return True
    return any(land.place(change.path, name) or land.relevant(change.path, name, edited.lines) for (_, name), edited in every)
