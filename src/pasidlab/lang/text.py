"""The IR as text: functions print and parse back to what they were; actions and models print for a reader."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator

from pasidlab.errors import PasidlabError, Position
from pasidlab.lang.ir import OPS, Action, Function, Instr, Model, Operand, Site
from pasidlab.lang.types import Domain, Int, Mask, Ref

_WORD = re.compile(r'\s*("(?:[^"\\]|\\.)*"|[^\s"]+|")')


def function_text(function: Function) -> str:
    """A function with its locals, and the position of each instruction behind it; the sites' callers are not printed."""
    kind = "instruction" if function.instruction else "function"
    head = [kind, _name(function.name), "(" + " ".join(map(_name, function.params)) + ")", "->", domain_text(function.result)]
    lines = [f"{' '.join(head)}  ; {_place(function.position)}"]
    lines += [f"  local {_name(name)} {domain_text(domain)}" for name, domain in function.locals.items()]
    lines += [_instr_text(instr, function.name) for instr in function.code]
    return "\n".join([*lines, "end", ""])


def domain_text(domain: Domain | None) -> str:
    """``int(0 3)``, ``mask(0x5)``, ``ref(Task 2)``; ``unknown`` for None."""
    match domain:
        case Int(low, high):
            return f"int({low} {high})"
        case Mask(mask):
            return f"mask({mask:#x})"
        case Ref(struct, count):
            return f"ref({_name(struct)} {count})"
    return "unknown"


def action_text(action: Action) -> str:
    """An action, each instruction with the chain of its functions, innermost first."""
    params = " ".join(f"{name}:{domain_text(domain)}" for name, domain in action.params)
    lines = [f"action {action.name} ({params})"]
    for instr in action.code:
        chain = " < ".join(f"{site.function}:{site.position.line}" for site in instr.site.chain())
        lines.append(f"{_words(instr)}  ; {chain}")
    return "\n".join([*lines, "end", ""])


def model_text(model: Model) -> str:
    """A model: its fields, then every action, predicate and promise."""
    lines = [f"model {model.name}"]
    lines += [f"field {f.path} {domain_text(f.domain)} x {f.count} = {f.default}" for f in model.fields]
    lines += [f"symmetric {name}" for name in model.symmetric]
    lines += [f"property {p.name} {json.dumps(p.sentence)}" for p in model.properties]
    parts = ["\n".join([*lines, ""]), "initial " + action_text(model.init)]
    parts += [action_text(action) for action in model.actions]
    parts += [f"{'stuck' if p.stuck else 'never'} {p.property} {json.dumps(p.sentence)} {action_text(p.action)}" for p in model.predicates]
    parts += [f"pending {name} {action_text(action)}" for name, action in model.pending.items()]
    parts += ["forget " + action_text(model.forget)] if model.forget else []
    return "\n".join(parts)


def parse_function(text: str, file: str = "<text>") -> Function:
    """The function a text stands for; PasidlabError where it does not stand for one."""
    functions = list(parse_functions(text, file))
    if len(functions) != 1:
        raise PasidlabError(f"{len(functions)} functions where one is wanted", position=Position(file, 1))
    return functions[0]


def parse_functions(text: str, file: str = "<text>") -> Iterator[Function]:
    """The functions of a text, in order."""
    block: list[tuple[int, str]] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        block.append((number, line))
        if line == "end":
            yield _Reader(file).function(block)
            block = []
    if block:
        raise PasidlabError("a function without its 'end'", position=Position(file, block[0][0]))


def _name(name: str) -> str:
    plain = re.fullmatch(r"[^\s\"();]+", name) and not re.fullmatch(r"[-+]?\d.*", name) and name not in ("unknown", "->")
    return name if plain else json.dumps(name)


def _operand(operand: Operand) -> str:
    return str(operand) if isinstance(operand, int) else _name(operand)


def _words(instr: Instr) -> str:
    words = [instr.op, *map(_operand, instr.args)]
    return "  " + " ".join(words) + (f" ; {json.dumps(instr.text)}" if instr.text else "")


def _place(position: Position) -> str:
    return f"{json.dumps(position.file)} {position.line} {position.column}"


def _instr_text(instr: Instr, function: str) -> str:
    where = _place(instr.site.position) + ("" if instr.site.function == function else f" {_name(instr.site.function)}")
    return f"{_words(instr)}  ; {where}"


class _Reader:
    """Reads one function."""

    def __init__(self, file: str) -> None:
        self.file, self.line = file, 0

    def wrong(self, what: str) -> PasidlabError:
        return PasidlabError(what, position=Position(self.file, self.line))

    def words(self, text: str) -> list[str]:
        """Words of a line, quoted ones still quoted; brackets and semicolons stand alone."""
        found = []
        for match in _WORD.finditer(text):
            word = match[1]
            found += [word] if word.startswith('"') else [w for w in re.split(r"([();])", word) if w]
        if any(word.startswith('"') == (len(word) < 2 or not word.endswith('"')) for word in found if '"' in word):
            raise self.wrong("a text in quotes does not end")
        return found

    def name(self, word: str) -> str:
        try:
            return str(json.loads(word)) if word.startswith('"') else word
        except ValueError:
            raise self.wrong(f"cannot read {word}") from None

    def number(self, word: str) -> int:
        try:
            return int(word, 0)
        except ValueError:
            raise self.wrong(f"'{word}' is not a number") from None

    def function(self, block: list[tuple[int, str]]) -> Function:
        self.line, head = block[0]
        words = self.words(head)
        try:
            close = words.index(")")
            arrow, semicolon = words[close + 1], words.index(";")
        except (ValueError, IndexError):
            raise self.wrong("a function begins with: function name (parameters) -> domain ; file line column") from None
        if words[0] not in ("function", "instruction") or words[2] != "(" or arrow != "->":
            raise self.wrong("a function begins with: function name (parameters) -> domain ; file line column")
        name, result = self.name(words[1]), self.domain(words[close + 2 : semicolon])
        position, _ = self.place(words[semicolon + 1 :])
        locals_: dict[str, Domain | None] = {}
        code: list[Instr] = []
        for self.line, line in block[1:-1]:
            parts = self.words(line)
            if parts[0] == "local":
                if len(parts) < 3:
                    raise self.wrong("a local has a name and a domain")
                locals_[self.name(parts[1])] = self.domain(parts[2:])
            else:
                code.append(self.instr(parts, name))
        params = tuple(map(self.name, words[3:close]))
        return Function(name, params, locals_, result, tuple(code), position, words[0] == "instruction")

    def domain(self, words: list[str]) -> Domain | None:
        match words:
            case ["unknown"]:
                return None
            case ["int", "(", low, high, ")"]:
                return Int(self.number(low), self.number(high))
            case ["mask", "(", mask, ")"]:
                return Mask(self.number(mask))
            case ["ref", "(", struct, count, ")"]:
                return Ref(self.name(struct), self.number(count))
        raise self.wrong(f"'{' '.join(words)}' is not a domain")

    def place(self, words: list[str]) -> tuple[Position, str | None]:
        if len(words) not in (3, 4):
            raise self.wrong("a place is: file line column")
        position = Position(self.name(words[0]), self.number(words[1]), self.number(words[2]))
        return position, self.name(words[3]) if len(words) == 4 else None

    def instr(self, words: list[str], function: str) -> Instr:
        groups = _split(words, ";")
        if words[0] not in OPS:
            raise self.wrong(f"unknown operation '{words[0]}'")
        if not 2 <= len(groups) <= 3:
            raise self.wrong("an instruction ends with ; file line column")
        args = tuple(self.number(w) if re.fullmatch(r"-?\d+", w) else self.name(w) for w in groups[0][1:])
        position, other = self.place(groups[-1])
        text = self.name(groups[1][0]) if len(groups) == 3 and groups[1] else ""
        instr = Instr(words[0], args, Site(function if other is None else other, position), text)
        try:
            instr.shaped()
        except ValueError:
            raise self.wrong(f"'{words[0]}' takes: {OPS[words[0]] or 'nothing'}") from None
        return instr


def _split(words: Iterable[str], at: str) -> list[list[str]]:
    groups: list[list[str]] = [[]]
    for word in words:
        if word == at:
            groups.append([])
        else:
            groups[-1].append(word)
    return groups
