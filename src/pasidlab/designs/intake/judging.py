"""Decides what of an input is judged, built in or unrelated, once it is known what the compiler took."""

from __future__ import annotations

import fnmatch
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pasidlab.designs.intake.added import added_lines, given_lines
from pasidlab.designs.intake.edits import Edit, Edited, EditedHunk, Edits
from pasidlab.designs.intake.judged import Fate, HunkFate, Item, Judged, LeftOut
from pasidlab.designs.intake.large import LinesTaken, sets_local
from pasidlab.designs.intake.same_code import Compile, SameCode
from pasidlab.designs.intake.spans import bare_lines, functions_in
from pasidlab.designs.intake.statements_seen import CompiledLines
from pasidlab.designs.intake.tree import TreeProgram
from pasidlab.lang.c.builtins import OPERATIONS
from pasidlab.lang.c.cuts import Cut
from pasidlab.lang.c.declarators import text_of
from pasidlab.lang.c.parse import CFunction
from pasidlab.lang.c.taken import Callers
from pasidlab.lang.c.territory import territory
from pasidlab.lang.c.vocabulary import vocabulary
from pasidlab.lang.source import read_text

_DECLARES = re.compile(
    r"#\s*include\b|EXPORT_\w+\(|extern\b|MODULE_\w+\(|(?:struct|union|enum)\s+\w+\s*;$"  # what is found elsewhere
    r"|[A-Za-z_][\w\s*]*\([^=]*\)[\w\s()]*;$"  # a prototype
    r"|[\w\s*,()]+[,)]?;?$|[{}]+;?$"  # the middle of one, a member of a struct
)


@dataclass
class Taken:
    """What the compiler took: C functions by name, with the lines that mean something; and functions it had to leave."""

    functions: Mapping[str, CFunction] = field(default_factory=dict)
    seen: Mapping[str, CompiledLines] = field(default_factory=dict)
    kept: Mapping[str, str] = field(default_factory=dict)
    lines: Mapping[str, LinesTaken] = field(default_factory=dict)  # large functions of which lines are taken
    preempt_rt: bool = False  # compiled for a kernel with CONFIG_PREEMPT_RT
    config: frozenset[str] = frozenset()  # options that the user sets
    callers: Mapping[str, Callers] = field(default_factory=dict)  # of functions that only compute
    cuts: Sequence[Cut] = ()  # where bits of numbers are cut off that are small in the model

    def means_nothing(self, name: str) -> bool:
        """True for a call without a meaning in that kernel."""
        words = vocabulary()
        return words.is_ignored(name) and not (self.preempt_rt and name in words.preempt_rt)

    def has(self, function: str, files: Iterable[str]) -> bool:
        """True if the function was taken out of one of the files."""
        return function in self.functions and self.functions[function].position.file in files


def of_patches(edits: Edits, taken: Taken, compiled: Compile | None = None) -> Judged:
    """The account of patches. ``compiled`` tells whether changes reach the code that is checked."""
    lost = _lost(edits)
    fates = {key: _item(one, taken, lost) for key, one in edits.functions.items()}
    if compiled is not None:
        look = SameCode(edits.versions, compiled, _matters_outside)
        fates = {key: _with_options(look.told(item), edits.functions[key], taken) for key, item in fates.items()}
    added = added_lines(edits.versions.values(), taken.callers)
    items = {key: item for key, item in fates.items() if key[1] or item.fate is not Fate.UNRELATED}
    return Judged(tuple(items.values()), tuple(_hunk(one, fates) for one in edits.hunks), added=tuple(added))


def _hunk(one: EditedHunk, items: Mapping[tuple[str, str], Item]) -> HunkFate:
    if one.skipped:
        return HunkFate(one.patch, one.line, one.file, tuple(one.functions), Fate.UNRELATED, one.skipped)
    found = [items[one.file, name] for name in one.functions if (one.file, name) in items]
    for fate in (Fate.BUILT_IN, Fate.SAME, Fate.JUDGED, Fate.EQUIVALENT):
        worst = next((item for item in found if item.fate is fate), None)
        if worst is not None:
            return HunkFate(one.patch, one.line, one.file, tuple(one.functions), fate, worst.why)
    why = found[0].why if found else "only comments and space change"
    return HunkFate(one.patch, one.line, one.file, tuple(one.functions), Fate.UNRELATED, why)


def _lost(edits: Edits) -> frozenset[str]:
    """What has one answer in the model, and is asked less often after the patches than before."""
    asked: Counter[str] = Counter()
    for one in edits.functions.values():
        for edit in one.edits:
            for name in _PATH.findall(edit.text):
                asked[name] += 1 if edit.mark == "+" else -1
    fewer = (name for name, more in asked.items() if more < 0)
    return frozenset(name for name in fewer if vocabulary().has_one_answer(name) or name in territory().settled)


_PATH = re.compile(r"\w+(?:(?:->|\.)\w+)*")  # a name, or a member with what it is a member of


def _item(one: Edited, taken: Taken, lost: frozenset[str]) -> Item:
    """The fate of one changed function."""
    if not one.lines:
        return _unrelated(one, "only comments and space change")
    if one.function and taken.has(one.function, (one.file, one.patch)):
        at = taken.functions[one.function].position
        return Item(one.function, one.file, at.line, Fate.JUDGED, left_out=_silent(one, taken, lost))
    relevant = territory().relevant(one.file, one.function, one.lines)
    if not relevant and one.function in vocabulary().replacements and "/" not in one.file:  # a path cut short
        relevant = one.lines
    if not one.function:
        relevant = [line for line in one.lines if _matters_outside(one.file, line)]
    handler = one.function in territory().handlers and one.function not in taken.kept
    if handler and relevant and all(_calls_fixup(line, taken) for line in relevant):
        return Item(one.function, one.file, one.line, Fate.JUDGED, "its call of the fix-up")
    if not relevant:
        return _unrelated(one, "outside the territory of the model")
    large = taken.lines.get(one.function)
    if large is not None and large.entry.file == one.file:
        return _of_lines(one, large, relevant, taken)
    if one.removed:
        return _removed(one, taken)
    return Item(one.function, one.file, one.line, Fate.BUILT_IN, _why(one, taken))


def _of_lines(one: Edited, large: LinesTaken, relevant: list[str], taken: Taken) -> Item:
    """The fate of a large function of which lines are taken. Where such a line stands among the others is the model's own."""
    if moved := _moved(one, large):
        why = f"'{moved[0]}' is moved or under another condition, and its place among lines that are not taken is not judged"
        return Item(one.function, one.file, one.line, Fate.BUILT_IN, why)
    added = {edit.text for edit in one.edits if edit.mark == "+"}
    if all(large.has(line) and (line not in added or line in large.texts) for line in relevant):
        return Item(one.function, one.file, one.line, Fate.JUDGED, left_out=_cut_off(one.function, taken))
    where = f" behind {large.entry.after}()" if large.entry.after else ""
    return Item(one.function, one.file, one.line, Fate.BUILT_IN, f"only its lines with '{large.entry.label}'{where} are taken")


def _moved(one: Edited, large: LinesTaken) -> list[str]:
    """Taken lines that go, where others come that do not stand in their place. A variable may get its value earlier."""
    runs: list[list[Edit]] = []
    for edit in one.edits:
        if not runs or edit.number - runs[-1][-1].number != 1:
            runs.append([])
        runs[-1].append(edit)
    gone = [edit.text for edit in one.edits if edit.mark == "-" and large.entry.has(edit.text)]
    elsewhere = [run for run in runs if {edit.mark for edit in run if _has_a_place(edit.text, large)} == {"+"}]
    return gone if elsewhere else [text for run in runs for text in _reordered(run, large)]


def _has_a_place(line: str, large: LinesTaken) -> bool:
    """True for a taken line for which its place among others counts."""
    return large.has(line) and not sets_local(line) and re.search(r"\w", line) is not None


def _reordered(run: Sequence[Edit], large: LinesTaken) -> list[str]:
    """Taken lines that a run of changed lines has on both sides, where others stay between."""
    added = {edit.text for edit in run if edit.mark == "+"}
    return [edit.text for edit in run if edit.mark == "-" and edit.text in added and large.has(edit.text)]


def _calls_fixup(line: str, taken: Taken) -> bool:
    """True for a line of the handler that calls a fix-up that is judged, and for what follows such a call."""
    call = re.fullmatch(r"(?:if \()?(?:user_mode\(regs\) && )?(\w+)\([\w\s,]*\)\)?(?: \{)?;?", line)
    if call:
        return call.group(1) in territory().fixups and call.group(1) in taken.functions
    return line in ("return;", "return true;", "goto exit;", "{", "}")


def _unrelated(one: Edited, why: str) -> Item:
    return Item(one.function, one.file, one.line, Fate.UNRELATED, why)


def _removed(one: Edited, taken: Taken) -> Item:
    """A function that is gone: another may have its part now; a mere helper is seen through those that called it."""
    words = vocabulary()
    parts = {entry.model for entry in words.replacements.get(one.function, ())}
    now = {entry.model for name in taken.functions for entry in words.replacements.get(name, ())}
    if parts and not parts <= now:
        return Item(one.function, one.file, 0, Fate.BUILT_IN, "it is taken away, and nothing here has its part: the model's own stays")
    return _unrelated(one, "it is taken away; those that called it count")


def _why(one: Edited, taken: Taken) -> str:
    """Why the model's own stands in for a function."""
    words = vocabulary()
    kept = taken.kept.get(one.function) or taken.kept.get(f"{one.function}__lines")
    if kept:
        return kept
    if not one.function:
        return "what stands outside functions has the meaning of the model's vocabulary"
    if one.function in words.replacements or one.function in words.calls:
        return "the model's own meaning stands in for it"
    if words.is_ignored(one.function):
        return f"calls of it mean nothing in the model: {ignored_why(one.function)}"
    place = territory().place(one.file, one.function)
    return place.why if place is not None else "it touches what the model has, and nothing of the model takes it"


def ignored_why(name: str) -> str:
    """Why calls of a name mean nothing."""
    ignored = vocabulary().ignored
    return ignored.get(name) or next((why for glob, why in ignored.items() if "*" in glob and fnmatch.fnmatchcase(name, glob)), "")


def _gives_another_meaning(line: str, file: str) -> bool:
    """True for a macro, in a file that is read, under a name that has the vocabulary's meaning there."""
    match = re.match(r"#\s*(?:define|undef)\s+(\w+)", line)
    words = vocabulary()
    if match is None or file not in {*words.tree_files, *(entry.file for entry in words.tree_lines)}:
        return False
    name = match.group(1)
    return name not in words.own and (name in words.macros or name in words.values or name in words.calls or name in OPERATIONS)


def _has_a_say(line: str, file: str) -> bool:
    """True for a declaration with a word that matters, or of a member of a struct that the model has."""
    member = re.fullmatch(r"[\w\s*]+\b(\w+);", line)
    words = vocabulary()
    mine = {name.partition(".")[2] for name in (*words.members, *words.bits)}
    return territory().mentions(file, line) or bool(member and member.group(1) in mine and territory().has_file(file))


def _matters_outside(file: str, line: str) -> bool:
    """True for a line outside functions that may not be left aside."""
    if _gives_another_meaning(line, file):
        return True
    if re.match(r"(?:EXPORT|MODULE)_\w+\(", line):
        return False
    return bool(territory().relevant(file, "", [line])) and (not _only_declares(line) or _has_a_say(line, file))


def _only_declares(line: str) -> bool:
    return _DECLARES.match(line) is not None and "=" not in line


def _silent(one: Edited, taken: Taken, lost: frozenset[str]) -> tuple[LeftOut, ...]:
    """Changed lines of a judged function whose meaning is not judged. An option is named where it leaves nothing else out."""
    part = (*_fewer_questions(one, lost), *_acting_messages(one), *_in_part(one, taken.seen[one.function]))
    found = (*part, *_cut_off(one.function, taken), *_left_out(one, taken))
    return found or tuple(_options_asked(one, taken))


def _in_part(one: Edited, seen: CompiledLines) -> Iterator[LeftOut]:
    """Lines with a call of which the model has but a part, and lines that move in a function that has such a call."""
    moved = {edit.text for edit in one.edits if edit.mark == "-"} & {edit.text for edit in one.edits if edit.mark == "+"}
    there = next((name for name in territory().partly if seen.calls(name)), "")
    for edit in one.edits:
        if there and edit.mark == "+" and edit.text in moved and re.search(r"\w", edit.text):
            yield LeftOut(edit.text, edit.number, f"it moves, and of {there}() {territory().partly[there]}", means=True)
        name = next((name for name in territory().partly if re.search(rf"\b{name}\s*\(", edit.text)), "")
        if name:
            yield LeftOut(edit.text, edit.number if edit.mark == "+" else 0, f"of {name}() {territory().partly[name]}", means=True)


def _acting_messages(one: Edited) -> Iterator[LeftOut]:
    """Added messages with an argument that does something: pr_debug() need not evaluate it."""
    words = vocabulary()
    for edit in one.edits:
        called = re.match(r"(\w+)\s*\(", edit.text) if edit.mark == "+" else None
        if called and words.is_ignored(called.group(1)) and ignored_why(called.group(1)) in territory().unseen:
            inner = re.sub(r'"(?:\\.|[^"\\])*"', "", edit.text[called.end() :])
            if re.search(r"(?<![=!<>])=(?!=)|\+\+|--", inner) or any(map(_acts, re.findall(r"\b(\w+)\s*\(", inner))):
                yield LeftOut(edit.text, edit.number, f"whether {called.group(1)}() evaluates what it is given is not judged", means=True)


_ASKS = re.compile(
    r"(?:\w+_)?(?:test|in|irqs|is|has|get|read|can|use|rdmsr\w*|native_read|smp|cpu|user|mm_valid)_\w+|\w+_(?:count|has|valid)|preemptible"
)


def _acts(name: str) -> bool:
    """True for a function that the model knows, and that does more than answer a question."""
    words = vocabulary()
    known = name in words.replacements or name in words.calls
    return known and (name.startswith("test_and_") or _ASKS.fullmatch(name) is None)


def _left_out(one: Edited, taken: Taken) -> Iterator[LeftOut]:
    """Changed lines of a judged function without a meaning."""
    seen = taken.seen[one.function]
    land = territory()
    order = re.compile(rf"\b(?:{'|'.join(land.order)})\b|[()\s]")
    added = [order.sub("", edit.text) for edit in one.edits if edit.mark == "+"]
    for edit in one.edits:
        if edit.text.startswith("#") or not re.search(r"\w", edit.text):
            continue
        names = re.findall(r"\b(\w+)\s*\(", edit.text)
        meaningless = [name for name in names if taken.means_nothing(name) and ignored_why(name) not in land.unseen]
        lines = seen.lines_of(edit.text, edit.number) if edit.mark == "+" else []
        if edit.mark == "+" and lines and re.match(r"(?:asm|__asm__)\b", edit.text):
            yield LeftOut(edit.text, lines[0], "inline assembler")
        elif meaningless and len(meaningless) == len(names):
            yield LeftOut(edit.text, lines[0] if lines else 0, ignored_why(meaningless[0]))
        elif edit.mark == "-" and re.search(rf"\b(?:{'|'.join(land.order)})\b", edit.text) and order.sub("", edit.text) in added:
            yield LeftOut(edit.text, 0, "memory is sequentially consistent")
        elif lines and not (names and all(map(taken.means_nothing, names))) and (why := seen.silent(lines[0])):
            yield LeftOut(edit.text, lines[0], why)


def _fewer_questions(one: Edited, lost: frozenset[str]) -> Iterator[LeftOut]:
    """Lines that go with a question whose answer is always the same in the model."""
    for edit in one.edits:
        gone = next((name for name in _PATH.findall(edit.text) if name in lost), "") if edit.mark == "-" else ""
        if gone:
            yield LeftOut(edit.text, 0, f"{gone} is always the same in the model, and the patch takes it away")


def _cut_off(name: str, taken: Taken) -> tuple[LeftOut, ...]:
    """Lines of a judged function that may cut off bits of a number of which the model has the first few."""
    seen = [taken.seen[one] for one in (name, f"{name}__lines") if one in taken.seen]
    found = []
    for cut in taken.cuts:
        text = next((text for one in seen if (text := one.at(cut.position)) is not None), None)
        if text is not None:
            found.append(LeftOut(text, cut.position.line, f"{cut.why}, and those of the model are small numbers", means=True))
    return tuple(dict.fromkeys(found))


def _options_asked(one: Edited, taken: Taken, others: frozenset[str] | None = None) -> Iterator[LeftOut]:
    """Lines that ask for an option which nobody has set. ``others``: options of other kernels, which need not be set."""
    known = {*vocabulary().config, *taken.config, *(territory().options if others is None else others)}
    for edit in one.edits:
        option = next((name for name in re.findall(r"\bCONFIG_\w+", edit.text) if name not in known), "") if edit.mark == "+" else ""
        if option:
            yield LeftOut(edit.text, edit.number, f"{option} is taken as n (--config {option}=y for the other)")


def _with_options(item: Item, one: Edited, taken: Taken) -> Item:
    """Lines outside functions that are judged, with the options they ask for: another kernel may have another function there."""
    if item.function or item.fate is not Fate.JUDGED:
        return item
    return replace(item, left_out=(*item.left_out, *_options_asked(one, taken, territory().options - {"CONFIG_PREEMPT_RT"})))


def of_file(functions: Mapping[str, CFunction], taken: Taken) -> Judged:
    """The account of a C file."""
    items = tuple(_given(name, function, taken) for name, function in functions.items())
    return Judged(items, added=tuple(given_lines(functions.values(), taken.callers)))


def _given(name: str, function: CFunction, taken: Taken) -> Item:
    at = function.position
    if name in taken.functions:
        return Item(name, at.file, at.line, Fate.JUDGED, left_out=_cut_off(name, taken))
    why = "it takes the place of nothing, and nothing here that is judged calls it"
    land, lines = territory(), text_of(function.node).split("\n")
    matters = land.by_name(name) or name in vocabulary().replacements or any(land.mentions(at.file, line) for line in lines)
    return Item(name, at.file, at.line, Fate.BUILT_IN if matters else Fate.UNRELATED, why)


def of_tree(program: TreeProgram, taken: Taken) -> tuple[Item, ...]:
    """The account of a tree by itself: what is taken, what could not be, and what of the territory stays built in."""
    items = {}
    words = vocabulary()
    for row in program.provenance():
        file, _, line = row.place.rpartition(":")
        if row.place:
            cut = _cut_off(row.function.partition(" ")[0], taken)
            items[row.function] = Item(row.function, file, int(line), Fate.JUDGED, changed=False, left_out=cut)
            continue
        parts = {entry.model for entry in words.replacements.get(row.function, ())} or {row.function}
        missing = row.function not in program.wanted and row.function not in words.tree_designs and parts & set(territory().needed)
        needed = row.function.partition(" ")[0] in {name.removesuffix("__lines") for name in program.kept} or bool(missing)
        items[row.function] = Item(row.function, "", 0, Fate.BUILT_IN, row.why, changed=False, needed=needed)
    for name, function in taken.functions.items():
        at = function.position
        if name not in items and not name.endswith("__lines"):
            items[name] = Item(name, at.file, at.line, Fate.JUDGED, changed=False, left_out=_cut_off(name, taken))
    for item in _built_in(program, frozenset(name.partition(" ")[0] for name in items)):
        items.setdefault(item.function, item)
    return tuple(items.values())


def _built_in(program: TreeProgram, known: frozenset[str]) -> Iterator[Item]:
    """The functions of the territory that a tree has and the model does not take."""
    land = territory()
    root = program.tree.root
    mine = (place for place in land.places if not (place.unrelated or place.words_of_c))
    files = {file for place in mine for glob in place.files for file in _files(root, glob)}
    for file in sorted(files):
        source = program.tree.changed.get(file)
        lines = (source.text if source is not None else read_text(root / file)).split("\n")
        for span in functions_in(lines):
            place = land.place(file, span.name)
            if place is None or place.words_of_c or span.name in known:
                continue
            if land.relevant(file, span.name, bare_lines(lines[span.start : span.end])):
                why = f"calls of it mean nothing in the model: {why}" if (why := ignored_why(span.name)) else place.why
                yield Item(span.name, file, span.start + 1, Fate.BUILT_IN, why, changed=False)


def _files(root: Path, glob: str) -> list[str]:
    if "*" not in glob:
        return [glob] if glob.endswith((".c", ".h")) and (root / glob).is_file() else []
    return [path.relative_to(root).as_posix() for path in sorted(root.glob(glob)) if path.suffix in (".c", ".h")]
