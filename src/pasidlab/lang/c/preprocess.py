"""The preprocessor: conditionals over a kernel configuration, object- and function-like macros, with every position kept.

Why our own: a checker of single kernel functions has no headers to include. An unknown macro must stay visible as a name the vocabulary
may know. Every token must still know its place in the file. Directives that matter are few; this is all of them.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import replace

from pasidlab.errors import PasidlabError, Position
from pasidlab.lang.c.conditions import ENABLED, Condition, answered, is_set
from pasidlab.lang.c.expanded import Expanded, joined_tokens
from pasidlab.lang.c.macros import PAINTED, Macro, beside_paste, bracketed, define, paste, quoted, same, shielded, stripped, text, unpainted
from pasidlab.lang.c.rewrite import rewritten
from pasidlab.lang.c.tokens import Source, Token, stray, tokens_of

MAX_TOKENS = 1_000_000
MAX_EXPANSION = 20_000  # tokens one macro leaves behind
MAX_DEPTH = 60


class Preprocessor:
    """Works through the tokens of one file."""

    def __init__(
        self, source: Source, macros: Mapping[str, Macro], config: Mapping[str, str], keep: frozenset[str] = frozenset(),
        types: Mapping[str, str] | None = None, words: Container[str] = (), alone: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        """``keep``: names whose #define is left aside, as a header's is. ``words``: names that mean something without one.

        ``alone``: the values of such names, for a file that is no part of a tree. There another #define of one is an error.
        """
        self.words, self.alone = words, alone
        self.source, self.config, self.keep, self.types = source, config, keep, types or {}
        self.macros = dict(macros)
        self.tokens = tokens_of(source)
        self.open: list[tuple[bool, bool, Token]] = []  # of each #if: is this branch taken, was one taken, the directive
        self.active = True  # all those branches are taken: an inner one is taken only where those around it are
        self.out: list[Token] = []

    def run(self) -> Expanded:
        """The whole file."""
        start, line_start = 0, True
        pending: list[Token] = []
        while start < len(self.tokens):
            token = self.tokens[start]
            if line_start and token.text == "#":
                self._flush(pending)
                start = self._directive(start)
                continue
            if token.kind == "newline":
                line_start = True
            elif token.kind != "space":
                line_start = False
            if self.active or token.kind == "newline":
                pending.append(token)
            start += 1
        self._flush(pending)
        if self.open and not self.source.partial:
            raise PasidlabError("this #if has no #endif", position=self._at(self.open[-1][2]))
        return self._joined()

    def _flush(self, pending: list[Token]) -> None:
        # Tokens between two directives are expanded together: a macro's arguments may span lines.
        found = unpainted(self.expand(pending))
        if lost := next((token for token in found if token.kind == "stray"), None):
            raise stray(self.source, lost.offset, lost.text)
        self.out += found
        pending.clear()
        if len(self.out) > MAX_TOKENS:
            raise PasidlabError("the macros of this file expand without end", position=self._at(self.out[-1]))

    def _joined(self) -> Expanded:
        ready = rewritten(self.out, self.types)
        if ready.clash is not None:
            token, meanings = ready.clash
            what = f"'{token.text}' is the name of {meanings} in this file"
            raise PasidlabError(what, position=self._at(token), hint="give each a name of its own")
        return joined_tokens(ready, self.source)

    def _at(self, token: Token) -> Position:
        return self.source.position(token.offset)

    def _directive(self, start: int) -> int:
        end = start
        while end < len(self.tokens) and self.tokens[end].kind != "newline":
            end += 1
        line = [t for t in self.tokens[start + 1 : end] if t.kind != "space" or t is not self.tokens[start + 1]]
        while line and line[0].kind == "space":
            line.pop(0)
        if line:
            name, rest = line[0].text, line[1:]
            handler = getattr(self, f"_do_{name}", None) if name.isalpha() else None
            if handler:
                handler(line[0], rest)
                self.active = not self.open or self.open[-1][0]
            elif self.active and name == "pragma" and any(token.text == "pack" for token in rest):
                raise PasidlabError("#pragma pack is outside the C that can be checked", position=self._at(line[0]))
            elif self.active and name not in ("include", "pragma", "warning", "line", "ident"):
                raise PasidlabError(f"#{name} is no directive", position=self._at(line[0]))
        if end < len(self.tokens):
            self.out.append(self.tokens[end])
        return end + 1

    def _truth(self, at: Token, rest: list[Token]) -> bool:
        expanded = self._expand_condition(rest)
        return Condition(expanded, lambda name: self._is_defined(name, at), self.config, self._at(at), self._valued).value() != 0

    def _is_defined(self, name: str, at: Token) -> bool:
        if name not in self.macros and name in self.words:
            what = f"whether '{name}' is a macro: the model has a meaning for it, and no header"
            raise PasidlabError(what, position=self._at(at), hint="leave the branch that counts")
        return name in self.macros or is_set(name, self.config)

    def _valued(self, name: str) -> bool:
        """Whether a name that no #define gives a value may have one in the kernel, or in the compiler."""
        return name in self.words or name.startswith("__") or name in ("NR_CPUS", "LINUX_VERSION_CODE", "KERNEL_VERSION", "HZ")

    def _expand_condition(self, rest: list[Token]) -> list[Token]:
        expanded = unpainted(self.expand(shielded(rest), condition=True))
        return [self._option(t) for t in expanded]

    def _option(self, token: Token) -> Token:
        if token.kind == "name" and is_set(token.text, self.config):
            value = self.config.get(token.text, "y")
            return replace(token, kind="number", text="1" if value == "y" else value)
        return replace(token, kind="name") if token.kind == "shield" else token

    def _do_if(self, at: Token, rest: list[Token]) -> None:
        taken = self.active and self._truth(at, rest)
        self.open.append((taken, taken or not self.active, at))

    def _known(self, at: Token, rest: list[Token]) -> bool:
        names = [t.text for t in rest if t.kind == "name"]
        if not names:
            raise PasidlabError("a name is missing", position=self._at(at))
        name = names[0]
        return self._is_defined(name, at)

    def _do_ifdef(self, at: Token, rest: list[Token]) -> None:
        taken = self._known(at, rest) and self.active
        self.open.append((taken, taken or not self.active, at))

    def _do_ifndef(self, at: Token, rest: list[Token]) -> None:
        taken = not self._known(at, rest) and self.active
        self.open.append((taken, taken or not self.active, at))

    def _last(self, at: Token) -> tuple[bool, bool, Token]:
        if not self.open and self.source.partial:
            return True, False, at
        if not self.open:
            raise PasidlabError(f"#{at.text} without #if", position=self._at(at))
        last = self.open.pop()
        self.active = not self.open or self.open[-1][0]
        return last

    def _do_elif(self, at: Token, rest: list[Token]) -> None:
        _, done, first = self._last(at)
        taken = not done and self.active and self._truth(at, rest)
        self.open.append((taken, done or taken, first))

    def _do_else(self, at: Token, rest: list[Token]) -> None:
        _, done, first = self._last(at)
        self.open.append((not done and self.active, True, first))

    def _do_endif(self, at: Token, rest: list[Token]) -> None:
        self._last(at)

    def _do_error(self, at: Token, rest: list[Token]) -> None:
        if self.active:
            raise PasidlabError(
                f"#error{''.join(t.text for t in rest)}", position=self._at(at), hint="--config sets the options it depends on"
            )

    def _do_undef(self, at: Token, rest: list[Token]) -> None:
        if self.active:
            for token in rest:
                self.macros.pop(token.text, None)

    def _do_define(self, at: Token, rest: list[Token]) -> None:
        if self.active:
            macro = define(rest, self._at(at))
            if macro.name not in self.keep:
                self.macros[macro.name] = macro
            elif self.alone and macro.params is None and not same(text(macro.body), self.alone.get(macro.name, "")):
                what = f"'{macro.name}' has a meaning here already: this #define would be left aside"
                raise PasidlabError(what, position=self._at(at), hint="leave it out, or give it another name")

    def expand(self, tokens: Sequence[Token], hidden: frozenset[str] = frozenset(), condition: bool = False, depth: int = 0) -> list[Token]:
        """Tokens with macros replaced; those in ``hidden`` are being replaced already."""
        if depth > MAX_DEPTH:
            raise PasidlabError(f"macros are nested more than {MAX_DEPTH} deep", position=self._at(tokens[0]))
        out: list[Token] = []
        i = 0
        while i < len(tokens):
            token = tokens[i]
            i += 1
            if token.kind == "name" and token.text in hidden:
                token = replace(token, kind=PAINTED)
            if token.kind != "name":
                out.append(token)
                continue
            if token.text in ENABLED and not condition:
                i = self._enabled(tokens, i, token, out)
                continue
            macro = self.macros.get(token.text)
            if macro is None:
                out.append(token)
                continue
            if macro.params is None:
                body = [replace(t, offset=token.offset) for t in macro.body]
                body = shielded(body) if condition else body
            else:
                arguments, after = self._arguments(macro, tokens, i, token)
                if arguments is None:
                    out.append(token)
                    continue
                i = after
                body = self._substitute(macro, arguments, token, hidden, depth)
            expanded = self.expand(body, hidden | {macro.name}, condition, depth + 1)
            if expanded and self._takes_more(expanded[-1], tokens, i, hidden | {macro.name}):
                tokens, i = [expanded.pop(), *tokens[i:]], 0  # what a macro leaves may be the name of another, its arguments behind
            out += expanded
            if (depth and len(out) > MAX_EXPANSION) or len(out) > MAX_TOKENS:
                raise PasidlabError(f"macro {macro.name} expands without end", position=self._at(token))
        return out

    def _takes_more(self, token: Token, tokens: Sequence[Token], i: int, hidden: frozenset[str]) -> bool:
        macro = self.macros.get(token.text) if token.kind == "name" else None
        return macro is not None and macro.params is not None and macro.name not in hidden and bracketed(tokens, i)[0]

    def _enabled(self, tokens: Sequence[Token], i: int, token: Token, out: list[Token]) -> int:
        _, after, pieces = bracketed(tokens, i)
        if after < 0 or len(pieces) != 1:
            raise PasidlabError(f"{token.text} takes one option", position=self._at(token))
        option = "".join(t.text for t in pieces[0]).strip()
        out.append(Token("number", str(int(answered(token.text, option, self.config))), token.offset))
        return after

    def _arguments(self, macro: Macro, tokens: Sequence[Token], i: int, at: Token) -> tuple[list[list[Token]] | None, int]:
        """The arguments of an invocation; None where the name stands alone and so means itself."""
        assert macro.params is not None
        found, after, pieces = bracketed(tokens, i)
        if not found:
            return None, i
        if after < 0:
            raise PasidlabError(f"macro {macro.name} does not expand: its arguments have no end", position=self._at(at))
        wanted = len(macro.params)
        if not wanted and len(pieces) == 1 and not any(t.kind not in ("space", "newline") for t in pieces[0]):
            pieces = []
        if macro.variadic and len(pieces) >= wanted - 1:
            rest = [t for n, piece in enumerate(pieces[wanted - 1 :]) for t in ([Token("punct", ",", at.offset)] if n else []) + piece]
            pieces = [*pieces[: wanted - 1], rest]
        if len(pieces) != wanted:
            raise PasidlabError(
                f"macro {macro.name} does not expand: it takes {wanted} arguments, {len(pieces)} given", position=self._at(at)
            )
        return pieces, after

    def _substitute(self, macro: Macro, arguments: list[list[Token]], at: Token, hidden: frozenset[str], depth: int) -> list[Token]:
        assert macro.params is not None
        given = {name: stripped(argument) for name, argument in zip(macro.params, arguments, strict=True)}
        body = [t for n, t in enumerate(macro.body) if not (t.kind == "space" and beside_paste(macro.body, n))]
        out: list[Token] = []
        empty = True  # what stands left of a ## is nothing
        i = 0
        while i < len(body):
            token = body[i]
            i += 1
            if token.text == "##":
                continue
            pasted = i > 1 and body[i - 2].text == "##"
            if token.text == "#" and i < len(body) and body[i].text in given:
                piece = [Token("string", quoted(given[body[i].text]), at.offset)]
                i += 1
            elif token.text in given:
                raw = [replace(t, kind="space", text=" ") if t.kind == "newline" else t for t in given[token.text]]
                beside = pasted or (i < len(body) and body[i].text == "##")
                piece = raw if beside else self.expand(raw, hidden, depth=depth + 1)
            else:
                piece = [replace(token, offset=at.offset)]
            if pasted and out and out[-1].text == "," and macro.variadic and token.text == macro.params[-1]:
                out, piece = (out, piece) if piece else (out[:-1], [])  # gcc: a comma before ##__VA_ARGS__ goes with it
            elif pasted and not empty and out and piece:
                piece = [paste(out.pop(), piece[0], at), *piece[1:]]
            empty = not piece and (empty or not pasted)
            out += piece
        return out


def macros_of(text: str, file: str, config: Mapping[str, str]) -> dict[str, Macro]:
    """The macros a text of nothing but #define lines makes."""
    worker = Preprocessor(Source(text, file), {}, config)
    worker.run()
    return worker.macros
