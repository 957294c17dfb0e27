"""Writes random programs in the C that the front end accepts, without what C leaves undefined; ``c_programs`` adds more forms.

A side effect stands at most once in a full expression, on a variable nothing else in it reads; shifts, divisors and indices are brought
into range; loops count in variables of their own.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from c_prelude import BINARY, COMPARE, CONSTANTS, ENUMERATORS, TYPES, WIDE


class Writer:
    """One program. ``forms``: more kinds of statements; each gets the writer, and how deep they may nest."""

    def __init__(self, number: int, forms: Sequence[Form] = ()) -> None:
        self.n, self.r, self.forms = number, random.Random(number), forms
        self.before: list[str] = []
        self.vars: list[str] = []  # read by anybody
        self.counters: list[str] = []  # changed in expressions
        self.free: list[str] = []  # of them, those this full expression has not used
        self.fresh = 0
        self.helpers: list[tuple[str, int]] = []
        self.outs: list[str] = []  # helpers with an out parameter
        self.macros: list[tuple[str, int]] = []
        self.enums: list[str] = []
        self.arrays: list[tuple[str, int, bool]] = []
        self.fields: list[str] = []

    def name(self, hint: str) -> str:
        self.fresh += 1
        return f"{hint}{self.n}_{self.fresh}"

    def pick(self, of: list[str]) -> str:
        return self.r.choice(of)

    # ---- expressions

    def full(self, depth: int = 3) -> str:
        """A full expression."""
        self.free = list(self.counters)
        return self.expr(depth)

    def leaf(self) -> str:
        choices = [lambda: self.pick(CONSTANTS)] * 3
        if self.vars:
            choices += [lambda: self.pick(self.vars)] * 6
        if self.enums:
            choices.append(lambda: self.pick(self.enums))
        if self.fields:
            choices += [lambda: _read(self.pick(self.fields))] * 2
        return self.r.choice(choices)()

    def expr(self, d: int) -> str:
        if d <= 0:
            return self.leaf()
        return self.r.choice(KINDS)(self, d - 1)

    def binary(self, d: int) -> str:
        return f"({self.expr(d)} {self.pick(BINARY)} {self.expr(d)})"

    def bare(self, d: int) -> str:
        """Precedence and associativity: no brackets."""
        return f"({self.expr(d - 1)} {self.pick(BINARY)} {self.expr(d - 1)} {self.pick(BINARY)} {self.expr(d - 2)})"

    def mixed(self, d: int) -> str:
        """Every level of precedence, no brackets."""
        text = self.expr(d - 2)
        for _ in range(self.r.randrange(2, 6)):
            operator = self.pick([*BINARY, *COMPARE, "&&", "||", "<< 3 &", ">> 1 ^", "/ 7 -", "% 9u |", "? 5 :", "? -1 :", "<< 1 + 2 <"])
            text += f" {operator} {self.pick(['', '', '! ', '~ ', '- ', '(u8)', '(s16)'])}{self.expr(d - 2)}"
        return f"({text})"

    def shift(self, d: int) -> str:
        type_ = self.pick(TYPES)
        mask = 63 if type_ in WIDE else 31
        return f"(({type_}){self.expr(d)} {self.pick(['<<', '>>'])} ({self.expr(d)} & {mask}))"

    def divide(self, d: int) -> str:
        return f"({self.expr(d)} {self.pick(['/', '%'])} (({self.expr(d)} & {self.pick(['15', '255u', '7ul'])}) + 1))"

    def divide_signed(self, d: int) -> str:
        return f"((s32)({self.expr(d)} & 0xffff) {self.pick(['/', '%'])} ((s32)({self.expr(d)} & 7) - 9))"

    def compare(self, d: int) -> str:
        return f"({self.expr(d)} {self.pick(COMPARE)} {self.expr(d)})"

    def unary(self, d: int) -> str:
        return f"({self.pick(['-', '~', '!', '+', '- -', '!!'])} {self.expr(d)})"

    def logical(self, d: int) -> str:
        return f"({self.expr(d)} {self.pick(['&&', '||'])} {self.expr(d)})"

    def conditional(self, d: int) -> str:
        middle = "" if self.r.random() < 0.2 else self.expr(d)
        return f"({self.expr(d)} ? {middle} : {self.expr(d)})"

    def cast(self, d: int) -> str:
        inner = self.expr(d)
        return f"(({self.pick(TYPES)}){inner if self.r.random() < 0.5 else f'({inner})'})"

    def cast_unary(self, d: int) -> str:
        return f"(({self.pick(TYPES)})- {self.expr(d)} {self.pick(BINARY)} {self.expr(d)})"

    def size(self, d: int) -> str:
        what = self.pick([*TYPES, "int *", "u8 [3]"]) if self.r.random() < 0.5 else self.expr(min(d, 1))
        if self.vars and self.r.random() < 0.2:
            return f"(sizeof {self.pick(self.vars)} {self.pick(['+ 1', '* 2', '> 3'])})"
        return f"sizeof({what})"

    def comma(self, d: int) -> str:
        return f"({self.effect(d)}, {self.expr(d)})"

    def effect(self, d: int) -> str:
        if not self.free:
            return self.leaf()
        name = self.free.pop(self.r.randrange(len(self.free)))
        form = self.r.randrange(6)
        if form < 2:
            plain = [f"{name}++", f"++{name}", f"{name}--", f"--{name}"]
            return self.pick([*plain, f"(-{name}++)", f"(~{name}--)", f"(!{name}++)", f"(- -{name}--)"])
        if form < 4:
            return f"({name} {self.pick(['+=', '-=', '|=', '&=', '^=', '*='])} {self.expr(d)})"
        return f"({name} = {self.expr(d)})"

    def statement_expression(self, d: int) -> str:
        name = self.name("e")
        type_ = self.pick([*TYPES, "__auto_type", "__auto_type"])
        last = self.pick([f"{name} * {self.leaf()};", f"{name};", f"{name} + {self.expr(d - 1)};"])
        if self.vars and self.r.random() < 0.3:
            last = f"{name} * {self.pick(self.vars)};"
        middle = self.pick(["", "", f"if ({self.expr(d - 1)}) {name} += 3; else {name} ^= 5; ", f"while ({name}) {{ {name} = 0; }} ",
                            f"switch ({name}) {{ case 1: {name} = 9; break; default: {name}++; }} "])  # fmt: skip
        return f"({{ {type_} {name} = {self.expr(d)}; {middle}{last} }})"

    def typeof(self, d: int) -> str:
        name = self.name("t")
        return f"({{ typeof({self.expr(min(d, 1))}) {name} = {self.expr(d)}; {name}; }})"

    def call(self, d: int) -> str:
        if not self.helpers:
            return self.leaf()
        name, count = self.r.choice(self.helpers)
        return f"{name}({', '.join(self.expr(d - 1) for _ in range(count))})"

    def macro(self, d: int) -> str:
        if not self.macros:
            return self.leaf()
        name, count = self.r.choice(self.macros)
        kept, self.free = self.free, []
        text = f"{name}({', '.join(self.expr(d - 1) for _ in range(count))})"
        self.free = kept
        return text

    def kernel(self, d: int) -> str:
        return self.pick([
            f"min({self.expr(d)}, {self.expr(d)})", f"max({self.expr(d)}, {self.expr(d)})",
            f"min_t({self.pick(TYPES)}, {self.expr(d)}, {self.expr(d)})", f"max_t({self.pick(TYPES)}, {self.expr(d)}, {self.expr(d)})",
            f"likely({self.expr(d)})", f"unlikely({self.expr(d)})", f"BIT({self.expr(d)} & 63)",
            f"GENMASK({self.r.randrange(8, 63)}, {self.r.randrange(8)})", f"BIT_ULL({self.r.randrange(64)})",
            f"clamp(({(type_ := self.pick(TYPES))}){self.expr(d)}, ({type_})3, ({type_})100)", f"GENMASK_ULL({self.r.randrange(8, 63)}, 2)",
        ]) if d > 0 else self.leaf()  # fmt: skip

    def element(self, d: int) -> str:
        if not self.arrays:
            return self.leaf()
        name, count, _ = self.r.choice(self.arrays)
        index = str(self.r.randrange(count)) if self.r.random() < 0.5 else f"{self.expr(d - 1)} & {count - 1}"
        return f"{name}[{index}]"

    # ---- statements

    def block(self, depth: int, count: int) -> list[str]:
        kept = list(self.vars), list(self.counters), list(self.arrays), list(self.fields)
        lines = [line for _ in range(count) for line in self.statement(depth)]
        self.vars, self.counters, self.arrays, self.fields = kept
        return lines

    def statement(self, depth: int) -> list[str]:
        simple = [self.declare, self.assign, self.assign, self.add, self.add, self.atomic, self.out_call, self.store]
        if depth <= 0:
            return self.r.choice(simple)()
        nested = [self.branch, self.loop, self.while_loop, self.switch, self.goto, self.do_loop, self.struct, self.array]
        if self.forms and self.r.random() < 0.35:
            return self.r.choice(self.forms)(self, depth - 1)
        return self.r.choice(simple)() if self.r.random() < 0.55 else self.r.choice(nested)(depth - 1)

    def declare(self, _: int = 0) -> list[str]:
        name = self.name("v")
        line = f"{self.pick(TYPES)} {name} = {self.full()};"
        (self.vars if self.r.random() < 0.6 else self.counters).append(name)
        return [line]

    def add(self, _: int = 0) -> list[str]:
        read = self.counters and self.r.random() < 0.4
        return [f"acc = acc * 31 + {self.pick(self.counters) if read else self.full()};"]

    def assign(self, _: int = 0) -> list[str]:
        if not self.vars:
            return self.declare()
        name, operator = self.pick(self.vars), self.pick(["=", "=", "+=", "-=", "*=", "|=", "^=", "&=", "<<=", ">>=", "/=", "%="])
        if operator in ("<<=", ">>="):
            return [f"{name} {operator} {self.full(2)} & {self.pick(['7', '31', '15ul'])};"]
        if operator in ("/=", "%="):
            return [f"{name} {operator} ({self.full(2)} & {self.pick(['7', '31u'])}) + 1;"]
        return [f"{name} {operator} {self.full()};"]

    def store(self, _: int = 0) -> list[str]:
        places = [f"{name}[{self.full(2)} & {count - 1}]" for name, count, fixed in self.arrays if not fixed] + self.fields
        if not places:
            return self.add()
        return [f"{self.pick(places)} {self.pick(['=', '+=', '^='])} {self.pick(self.vars) if self.vars else '3'};"]

    def atomic(self, _: int = 0) -> list[str]:
        a, w = self.name("a"), self.name("w")
        forms = [
            f"acc += xchg(&{a}, {self.full(2)});", f"acc ^= cmpxchg(&{a}, {self.full(1)}, {self.expr(2)});",
            f"acc += atomic_inc_return(&{a});", f"acc += atomic_fetch_add({self.full(1)}, &{a});", f"acc += atomic_dec_and_test(&{a});",
            f"acc += test_and_set_bit({self.full(1)} & 63, &{w});", f"clear_bit({self.full(1)} & 63, &{w});",
            f"acc += test_bit({self.full(1)} & 63, &{w});", f"WRITE_ONCE({a}, {self.full(2)});", f"acc += READ_ONCE({a});",
            f"int was{a} = {self.full(1)}; acc += try_cmpxchg(&{a}, &was{a}, {self.full(1)}); acc += was{a};",
            f"acc ^= atomic_sub_return({self.full(1)}, &{a});", f"atomic_set(&{a}, {self.full(1)}); atomic_inc(&{a});",
            f"atomic_or({self.full(1)}, &{a}); acc += atomic_read(&{a});", f"__set_bit({self.full(1)} & 63, &{w});",
            f"acc += test_and_clear_bit({self.full(1)} & 63, &{w});", f"acc += __test_and_change_bit({self.full(1)} & 63, &{w});",
            f"atomic64_t l{a} = {self.full(1)}; acc += atomic64_add_return({self.full(1)}, &l{a}) - atomic64_fetch_sub(3, &l{a}) + l{a};",
            f"change_bit({self.full(1)} & 63, &{w});", f"u8 b{a} = {self.full(1)}; acc += xchg(&b{a}, {self.full(1)}); acc += b{a};",
            f"refcount_t c{a} = {self.full(1)}; acc += refcount_inc_not_zero(&c{a}); acc += c{a};",
        ]  # fmt: skip
        return [f"int {a} = {self.full(1)}; unsigned long {w} = {self.full(1)};", self.pick(forms), f"acc += {a}; acc ^= {w};"]

    def out_call(self, _: int = 0) -> list[str]:
        if not self.outs:
            return self.declare()
        name = self.name("o")
        self.vars.append(name)
        return [f"u32 {name};", f"acc += {self.pick(self.outs)}({self.pick(CONSTANTS)}, &{name});"]

    def branch(self, depth: int) -> list[str]:
        lines = [f"if ({self.full()}) {{", *self.block(depth, 2), "}"]
        if self.r.random() < 0.5:
            lines[-1:] = ["} else {", *self.block(depth, 2), "}"]
        return lines

    def _inside(self, depth: int) -> list[str]:
        lines = self.block(depth, 2)
        if self.r.random() < 0.4:
            at = self.r.randrange(len(lines) + 1) if not depth else 0
            lines.insert(at, f"if ({self.full(1)}) {self.pick(['break;', 'continue;'])}")
        return lines

    def loop(self, depth: int) -> list[str]:
        i = self.name("i")
        type_ = self.pick(["int", "u8", "unsigned", "long", "s16"])
        up, down = f"for ({type_} {i} = 0; {i} < {self.r.randrange(1, 5)}; {i}++)", f"for ({type_} {i} = 5; {i} > 2; {i} -= 1)"
        head = self.pick([up, down])
        self.vars.append(i)
        body = self._inside(depth)
        self.vars.remove(i)
        return [f"{head} {{", *[self._kept(line, i) for line in body], f"acc += {i};", "}"]

    def _kept(self, line: str, name: str) -> str:
        """Nothing in a loop assigns what it counts in."""
        return f"acc ^= 5;{'' if not line.endswith('{') else ' {'}" if line.startswith(f"{name} ") else line

    def while_loop(self, depth: int) -> list[str]:
        k = self.name("k")
        return [f"u32 {k} = 0;", f"while ({k}++ < {self.r.randrange(1, 5)} && ({self.full(2)} || 1)) {{", *self._inside(depth), "}"]

    def do_loop(self, depth: int) -> list[str]:
        k = self.name("k")
        return [f"u8 {k} = 0;", "do {", *self._inside(depth), f"}} while (++{k} < {self.r.randrange(1, 4)});"]

    def goto(self, depth: int) -> list[str]:
        k, label = self.name("k"), self.name("again")
        back = f"if (++{k} < {self.r.randrange(1, 4)}) goto {label};"
        return [f"int {k} = 0;", f"{label}:", "{", *self.block(depth, 1), "}", back, f"acc += {k};"]

    def switch(self, depth: int) -> list[str]:
        lines = [f"switch ({self.full()} & 7) {{"]
        for value in self.r.sample(range(8), self.r.randrange(1, 5)):
            lines += [f"case {value}: {{", *self.block(depth, 1), "}", self.pick(["break;", "", "acc++;"])]
        if self.r.random() < 0.3:
            lines += ["case 8 ... 11:", "acc += 9;", "break;"]
        if self.r.random() < 0.6:
            lines += ["default:", f"acc ^= {self.full(1)};"]
        return [*lines, "}"]

    def struct(self, _: int) -> list[str]:
        tag, name, other = self.name("s"), self.name("x"), self.name("y")
        members = [(f"m{n}", self.pick([t for t in TYPES if t not in ("bool",)])) for n in range(3)]
        width = self.r.randrange(1, 8)
        text = " ".join(f"{t} {m};" for m, t in members) + f" u8 b:{width}; int c:5; unsigned d:{self.r.randrange(1, 32)};"
        first = self.pick([f"{{ {self.full(1)}, .m2 = {self.expr(1)}, {self.expr(1)} }}", "{ }", "{ 1 }"])
        self.fields += [f"{name}.{m}" for m, _ in members] + [f"{name}.b", f"{name}.c", f"{name}.d", f"{other}.m1"]
        return [f"struct {tag} {{ {text} }};", f"struct {tag} {name} = {first}, {other} = {name};", f"{other}.m1 += 5;",
                f"{name} = (struct {tag}){{ .c = {self.full(1)}, .m0 = {other}.m1 }};"]  # fmt: skip

    def array(self, _: int) -> list[str]:
        name, count = self.name("r"), self.r.choice([2, 4])
        values = ", ".join([self.full(1), *(self.expr(1) for _ in range(self.r.randrange(count)))])
        self.arrays.append((name, count, False))
        return [f"{self.pick(TYPES)} {name}[{count}] = {{ {values} }};", f"acc += ARRAY_SIZE({name});"]

    # ---- the whole

    def parts(self) -> None:
        first, second = self.name("E"), self.name("E")
        self.before.append(f"enum {{ {first} = {self.pick(ENUMERATORS)}, {second} }};")
        self.enums = [first, second]
        table = self.name("T")
        values = ", ".join(self.pick(CONSTANTS) for _ in range(4))
        self.before.append(f"static const {self.pick(TYPES)} {table}[] = {{ {values} }};")
        scalar = self.name("K")
        self.before.append(f"static const {self.pick(TYPES)} {scalar} = {self.pick(CONSTANTS)};")
        self.enums.append(scalar)
        alias = self.name("alias")
        self.before.append(f"typedef {self.pick(TYPES)} {alias};")
        self.before.append(f"static {alias} {alias}_f({self.pick(TYPES)} a) {{ return ({alias})-a + a * 3; }}")
        self.helpers.append((f"{alias}_f", 1))
        self.arrays.append((table, 4, True))
        for body in ("((a) * 2 + (b))", "((a) > (b) ? (a) : (b))", "({ __auto_type p_ = (a); __auto_type q_ = (b); p_ * q_; })"):
            name = self.name("M")
            self.before.append(f"#define {name}(a, b) {body}")
            self.macros.append((name, 2))

    def helper(self) -> None:
        name = self.name("h")
        a, b = self.name("p"), self.name("p")
        kept = self.vars, self.counters, self.arrays, self.fields
        self.vars, self.counters, self.arrays, self.fields = [a, b], [], [x for x in self.arrays if x[2]], []
        lines = [f"static {self.pick(TYPES)} {name}({self.pick(TYPES)} {a}, {self.pick(TYPES)} {b})", "{", "u64 acc = 1;", *self.declare(),
                 f"if ({self.full(2)}) return {self.full(2)};", f"return acc + {self.full()};", "}"]  # fmt: skip
        out = self.name("g")
        lines += [f"static int {out}(u16 v, u32 *p)", "{", "*p = v * 3;", "if (v & 1) return 1;", "*p += 7;", "return (*p)++ & 255;", "}"]
        self.vars, self.counters, self.arrays, self.fields = kept
        self.before += lines
        self.helpers.append((name, 2))
        self.outs.append(out)

    def text(self) -> str:
        self.parts()
        self.helper()
        body = [line for _ in range(3) for line in self.declare()]
        for _ in range(self.r.randrange(3, 8)):
            body += self.statement(2)
        for name in self.vars + self.counters + self.fields:
            body.append(f"acc = acc * 31 + {name};")
        return "\n".join([*self.before, f"u64 f{self.n}(void)", "{", "u64 acc = 0;", *body, "return acc;", "}", ""])


KINDS = (
    Writer.mixed, Writer.binary, Writer.binary, Writer.bare, Writer.shift, Writer.divide, Writer.divide_signed, Writer.compare,
    Writer.compare, Writer.unary, Writer.logical, Writer.conditional, Writer.cast, Writer.cast, Writer.cast_unary, Writer.size,
    Writer.comma, Writer.effect, Writer.effect, Writer.statement_expression, Writer.typeof, Writer.call, Writer.macro,
    Writer.kernel, Writer.element,
)  # fmt: skip
"""Those that stand several times come more often."""


def _read(field: str) -> str:
    """Bit fields have no type of their own for typeof, __auto_type and sizeof."""
    return f"({field} + 0)" if field[-1] in "bcd" else field


Form = Callable[[Writer, int], list[str]]
