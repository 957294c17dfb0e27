"""Random programs by their numbers: those of ``c_writer``, with pointers, structs in structs, jumps and the forms kernel code takes."""

from __future__ import annotations

from c_prelude import BINARY, CONSTANTS, TYPES
from c_writer import Form, Writer

SCALARS = [type_ for type_ in TYPES if type_ != "bool"]


def pointer(w: Writer, _: int) -> list[str]:
    """A pointer to a variable, changed through it."""
    name, p = w.name("v"), w.name("p")
    type_ = w.pick(TYPES)
    use = w.pick(
        [
            f"*{p} += {w.full(2)};",
            f"acc += (*{p})++ * 3;",
            f"acc ^= --*{p};",
            f"*{p} = {w.full()};",
            f"acc += (*{p} |= {w.full(1)});",
            f"if (*{p} > 3) *{p} ^= 5;",
            f"acc -= -*{p} + {name};",
        ]
    )
    lines = [f"{type_} {name} = {w.full()};", f"{type_} *{w.pick(['', 'const '])}{p} = &{name};", use, f"acc = acc * 31 + *{p};"]
    w.vars.append(name)
    return lines


def exchange(w: Writer, _: int) -> list[str]:
    """swap() of any two places but bit fields and what loops count in."""
    places = [
        *(v for v in w.vars if v[0] != "i"),
        *(f for f in w.fields if f[-1] not in "bcd"),
        *(f"{name}[1]" for name, _, fixed in w.arrays if not fixed),
    ]
    return [f"swap({w.pick(places)}, {w.pick(places)});"] if places else w.declare()


def expression(w: Writer, _: int) -> list[str]:
    """Expressions as statements."""
    if not w.counters:
        return w.declare()
    n, value = w.pick(w.counters), w.full(2)
    m = w.name("v")
    return [
        f"int {m} = {w.full(1)};",
        w.pick(
            [
                f"{m} && {n}++;",
                f"{m} || ({n} ^= 3);",
                f"{m} ? {n}++ : ({n} = 5);",
                f"(void)({m} + {n}++);",
                f"{m}, {n}--;",
                f'pr_debug("%d", {n}++);',
                f"({{ {n} += 7; {m}; }});",
                f"if ({m}) {n}++, {m}--; else ;",
                f"{n} = {m} = 300;",
                f"{n} = ({m} += {w.pick(CONSTANTS)}) + 1;",
            ]
        ),
        f"acc += {m} * 7 + {n};",
        f"acc ^= {value};",
    ]


def ladder(w: Writer, depth: int) -> list[str]:
    """The kernel's error ladder: forward jumps into what undoes things in reverse."""
    first, second, done = w.name("err"), w.name("err"), w.name("done")
    return [
        f"if ({w.full(2)}) goto {first};",
        "{",
        *w.block(depth, 1),
        "}",
        f"if ({w.full(2)}) goto {second};",
        "acc += 11;",
        f"goto {done};",
        f"{second}:",
        f"acc ^= {w.full(1)};",
        f"{first}: acc += 5;",
        f"{done}:",
        "acc++;",
    ]


def out_of_loops(w: Writer, depth: int) -> list[str]:
    """A jump out of two loops, of which one may be a switch."""
    i, k, out = w.name("i"), w.name("k"), w.name("out")
    inner = w.pick([f"for (u8 {k} = 0; {k} < 3; {k}++) {{", f"for (int {k} = 2; {k}--; ) {{", "if (acc & 1) {"])
    body = [f"for (int {i} = 0, e{i} = {w.r.randrange(1, 4)}; {i} != e{i}; {i}++, acc++) {{", inner, *w.block(depth, 1)]
    return ["{", *body, f"if ({w.full(1)}) {w.pick([f'goto {out}', 'break', 'continue'])};", f"acc += {i};", "}", "}", "}", f"{out}: ;"]


def dead(w: Writer, depth: int) -> list[str]:
    """What cannot be reached, with labels in it."""
    lab = w.name("lab")
    cut = w.pick(
        ["while (1) { acc++; break; acc += 3; }", "do { if (acc == 7) continue; break; } while (0);", "if (0) acc = 1; else acc += 2;"]
    )
    return [
        cut,
        f"for (int {lab}i = 0; {lab}i < 2; {lab}i++) {{",
        "if (1) break;",
        *w.block(depth, 1),
        f"if (acc) goto {lab};",
        "acc = 3;",
        f"{lab}:",
        "acc++;",
        "}",
        f"if (sizeof(int) == 4 || {w.full(1)}) {{",
        *w.block(depth, 1),
        "} else {",
        *w.block(depth, 1),
        "}",
    ]


def ends_early(w: Writer, _: int) -> list[str]:
    """A return in the middle."""
    return [f"if ((acc & 15) == {w.r.randrange(16)} && {w.full(2)}) return acc + {w.full(1)};"]


def late_value(w: Writer, _: int) -> list[str]:
    """Variables that have their value later, on every way."""
    a, b = w.name("v"), w.name("v")
    type_ = w.pick(TYPES)
    form = w.r.randrange(3)
    if form == 0:
        lines = [f"{type_} {a}, {b} = {w.full()};", f"if ({w.full(1)}) {a} = {w.full(1)}; else if ({b}) {a} = 4; else {{ {a} = {b} + 1; }}"]
    elif form == 1:
        lines = [f"{type_} {a}, {b};", f"{a} = {b} = {w.full(2)};"]
    else:
        lines = [f"{type_} {a};", f"s16 {b} = 3;", f"do {a} = {w.full(1)}; while (--{b});"]
    w.vars += [a, b]
    return lines


def shadow(w: Writer, depth: int) -> list[str]:
    """An inner variable of the name of an outer one."""
    if not w.vars:
        return w.declare()
    name = w.vars.pop(w.r.randrange(len(w.vars)))
    lines = ["{", f"{w.pick(TYPES)} {name} = {w.full(2)};"]
    w.vars.append(name)
    return [*lines, *w.block(depth, 1), f"{name} += 3; acc += {name};", "}", f"acc ^= {name};"]


def inside(w: Writer, _: int) -> list[str]:
    """Structs with structs, arrays and anonymous parts inside, reached by pointers and in tables."""
    s, t, x, p = w.name("s"), w.name("s"), w.name("x"), w.name("p")
    a, b, c = (w.pick(SCALARS) for _ in range(3))
    first = w.pick(
        [
            "{ }",
            f"{{ {{ {w.full(1)} }}, {{ 1, 2 }}, .anon = {w.expr(1)} }}",
            f"{{ .list[1] = {w.full(1)}, .in.m = 4 }}",
            f"{{ .in = {{ .m = {w.full(1)} }}, .list = {{ [2] = {w.expr(1)}, [0] = 9 }} }}",
            f"{{ {{ 1, 2 }}, {{ }}, {{ {w.full(1)} }} }}",
        ]
    )
    k = w.r.randrange(3)
    lines = [
        f"struct {s} {{ {a} l; {b} m; }};",
        f"struct {t} {{ struct {s} in; {c} list[3]; struct {{ u16 anon; bool flag:1; s64 wide:40; }}; }};",
        f"struct {t} {x} = {first};",
        f"struct {t} *{p} = &{x};",
        f"struct {s} *in{p} = &{p}->in;",
        f"{p}->in.l += {w.full(1)}; in{p}->m ^= {x}.list[{k}]; {p}->list[({w.full(1)}) & 1] -= 3;",
        f"{x}.flag = {w.full(1)};",
        f"{x}.wide = {w.full(1)}; acc += {x}.wide + {x}.flag; acc ^= ({x}.wide << 3) + ({x}.wide > -1);",
        f"acc += {p}->list[2]++ + ((struct {s}){{ {w.full(1)}, 7 }}).m;",
        f"{p}->in = (struct {s}){{ .m = in{p}->l }};",
        f"struct {s} pair{x}[2] = {{ [1] = {{ 5, {w.full(1)} }} }}; pair{x}[0].l = pair{x}[1].m; pair{x}[1] = {x}.in;",
        f"acc = acc * 31 + pair{x}[0].l + pair{x}[1].l;",
        f"u8 grid{x}[2][2] = {{ {{ 1, 2 }}, {{ {w.full(1)} }} }}; grid{x}[0][1]++;",
        f"acc ^= grid{x}[1][0] + grid{x}[0][1] + sizeof(grid{x});",
    ]
    w.fields += [f"{x}.in.l", f"{x}.in.m", f"{x}.list[1]", f"{x}.anon", f"{p}->in.m", f"{p}->list[2]"]
    return lines


def by_pointer(w: Writer, _: int) -> list[str]:
    """Functions that change a struct, an array and a variable of their caller, one handing them on to another."""
    s, f, g, x, v, n = (w.name(hint) for hint in ("s", "f", "g", "x", "r", "v"))
    a, b = w.pick(SCALARS), w.pick(SCALARS)
    kept, w.vars, w.counters, w.arrays, w.fields = (
        (w.vars, w.counters, w.arrays, w.fields),
        ["k"],
        [],
        [x for x in w.arrays if x[2]],
        ["p->m"],
    )
    body = w.full(2)
    w.vars, w.counters, w.arrays, w.fields = kept
    w.before += [
        f"struct {s} {{ {a} m; {b} n:7; }};",
        f"static {a} {f}(struct {s} *p, {b} *r, int k) {{ int i; for (i = 0; i < 3; i++) {{ if (i == (k & 3)) break; r[i] += p->m; }}",
        f"p->n = {body}; p->m++; return i * 16 + p->n; }}",
        f"static void {g}(struct {s} *q, {b} *r, {a} *out, {b} k) {{ *out = {f}(q, r, k); if (*out & 1) return; *out ^= r[1]; }}",
    ]
    lines = [
        f"struct {s} {x} = {{ {w.full(1)}, 3 }};",
        f"{b} {v}[3] = {{ {w.full(1)}, 2 }};",
        f"{a} {n};",
        f"{g}(&{x}, {v}, &{n}, {w.full(2)});",
        f"acc += {f}(&{x}, {v}, {w.full(1)}); acc ^= {x}.n * 3 + {x}.m;",
        f"{g}(&{x}, {v}, &{x}.m, 2); acc = acc * 31 + {v}[0] + {v}[2] * 7 + {x}.m;",
    ]
    w.vars.append(n)
    return lines


def enumerated(w: Writer, depth: int) -> list[str]:
    """Variables of enum types, with and without negative values, and switches upon them."""
    tag, x = w.name("en"), w.name("v")
    low = w.r.choice(["-2", "3", "0x7fffffff - 3", "'a'", "-1 - 1"])
    names = [f"{tag}A", f"{tag}B", f"{tag}C"]
    text = f"enum {tag} {{ {names[0]} = {low}, {names[1]}, {names[2]} = {names[1]} + 2 }};"
    where = w.r.random() < 0.5
    if where:
        w.before.append(text)
    again = [] if where else [text]
    lines = [
        *again,
        f"enum {tag} {x} = {w.full(1)};",
        f"acc += ({x} - 5 < 0) + ((enum {tag}){w.full(1)} > -1) * 2 + sizeof(enum {tag});",
        f"{x} = {w.pick(names)};",
        f"switch ({x}) {{",
        f"default: acc ^= {w.full(1)}; {w.pick(['break;', ''])}",
        f"case {names[0]}: {{",
        *w.block(depth, 1),
        "}",
        w.pick(["break;", "fallthrough;", ""]),
        f"case {names[2]}: acc += 4; }}",
    ]
    w.vars.append(x)
    return lines


def wide_switch(w: Writer, depth: int) -> list[str]:
    """Cases of other types than what is switched upon, ranges below 0, no braces, a loop around."""
    i = w.name("i")
    x = w.pick(
        [
            f"({w.pick(TYPES)})({w.full(2)} & 3)",
            f"(s8)(({w.full(2)} & 3) - 2)",
            f"(u64)-({i} + 0)",
            f"(s64){w.full(2)}",
            f"(bool){w.full(2)}",
        ]
    )
    return [
        f"for (int {i} = 0; {i} < 3; {i}++) {{",
        f"switch ({x}) {{",
        "case -2 ... -1: acc += 3; continue;",
        "case 0: acc++;",
        "case 1 ... 2: {",
        *w.block(depth, 1),
        "}",
        w.pick(["break;", "continue;", "return acc;", ""]),
        "case 'a': case 300: acc ^= 77; break;",
        "default: ;",
        "}",
        f"acc = acc * 3 + {i};",
        "}",
    ]


def macros(w: Writer, _: int) -> list[str]:
    """Statements by macros, names pasted together, variable arguments, a macro renamed, another defined while it is used."""
    m, v = w.name("MAC"), w.name("v")
    w.before += [
        f"#define {m}_ADD(x, by) do {{ \\",
        "\ttypeof(x) n_ = (by); \\",
        "\t(x) += n_; \\",
        "} while (0)",
        f"#define {m}_CAT(a, b) a ## b",
        f"#define {m}_REST(first, ...) ((first) + {m}_TWO(__VA_ARGS__))",
        f"#define {m}_TWO(a, b) ((a) - (b))",
        f"#define {m}_OLD(x) ((x) * 3)",
        f"#define {m}_NEW {m}_OLD",
        f"#define {m}_EACH(i, n) for (int i = 0; i < (n); i++)",
        f"#define {m}_LEN(x) sizeof(#x)",
        f"#define {m}_OPT(x, ...) {m}_TWO(x, ##__VA_ARGS__)",
    ]
    lines = [
        f"{w.pick(TYPES)} {v} = {w.full(1)};",
        f"if ({w.full(1)}) {m}_ADD({v}, {w.full(1)}); else {m}_ADD({v}, 3);",
        f'acc += {m}_REST({w.full(1)}, {v}, 4) + {m}_NEW({v}) + {m}_CAT(0x, 1f) + {m}_CAT({v[:-1]}, {v[-1]}) + {m}_LEN(a + "b");',
        f"{m}_EACH({v}i, 3) acc += {v} ^ {v}i;",
        f"acc ^= {m}_OPT({v}, 9);",
    ]
    w.vars.append(v)
    return lines


def kernel_function(w: Writer, _: int) -> list[str]:
    """A function with ways out of loops and switches, whose parameters change."""
    f, a, b = w.name("f"), w.pick(TYPES), w.pick(TYPES)
    kept, w.vars, w.counters, w.arrays, w.fields = (
        (w.vars, w.counters, w.arrays, w.fields),
        ["p", "n"],
        ["e"],
        [x for x in w.arrays if x[2]],
        [],
    )
    tests = [w.full(2) for _ in range(3)]
    w.vars, w.counters, w.arrays, w.fields = kept
    w.before += [
        f"static {w.pick(TYPES)} {f}({a} p, {b} n) {{ u8 c = 3; int e = 1; p = p + 1;",
        f"while (c-- > 0) {{ if ({tests[0]}) return p {w.pick(BINARY)} c;",
        f"switch (n & 3) {{ case 0: continue; case 1: n++; break; default: return {tests[1]}; }} p ^= n; }}",
        f"return {tests[2]}; }}",
    ]
    w.helpers.append((f, 2))
    return [f"acc += {f}({w.full(2)}, {w.expr(1)});"]


def tables(w: Writer, _: int) -> list[str]:
    """Constant structs and tables of the file, and types with names."""
    t, s = w.name("tab"), w.name("s")
    w.before += [
        f"struct {s} {{ {w.pick(SCALARS)} a; {w.pick(SCALARS)} b[2]; }};",
        f"static const struct {s} {t} = {{ {w.pick(CONSTANTS)}, {{ [1] = {w.pick(CONSTANTS)} }} }};",
        f"static const struct {s} {t}s[] = {{ {{ 1, {{ 2 }} }}, [2] = {{ .a = {w.pick(CONSTANTS)} }} }};",
        f"typedef struct {s} {s}_t;",
    ]
    index = w.full(1)
    return [
        f"acc += {t}.a + {t}.b[1] * 3 + {t}.b[({index}) & 1];",
        f"acc ^= {t}s[2].a + {t}s[0].b[0] + ARRAY_SIZE({t}s);",
        f"{s}_t own{t} = {{ .a = {t}.a }}; own{t}.b[0] = {w.full(1)}; acc += own{t}.b[0] - own{t}.a;",
        f"typedef {w.pick(TYPES)} {t}_t; {t}_t v{t} = {w.full(1)}; acc += v{t};",
    ]


def unions(w: Writer, _: int) -> list[str]:
    """Unions, alone and in structs, and how structs lie in memory."""
    u, s, x, y = w.name("u"), w.name("s"), w.name("x"), w.name("y")
    a, b, c = w.pick(SCALARS), w.pick(["u8", "s8", "u16", "short"]), w.pick(SCALARS)
    width = w.r.randrange(1, 32)
    w.before += [
        f"union {u} {{ {a} a; u8 bytes[4]; struct {{ u16 lo; s16 hi:5; unsigned top:9; }}; {b} part; u64 all; }};",
        f"struct {s} {{ {b} first; union {{ u32 word; {b} half; u8 low:3; }}; {c} m; s16 n:7; unsigned o:{width}; {a} p[3]; }};",
    ]
    uses = [f"{x}.bytes[2] += 7;", f"{x}.lo ^= {w.full(1)};", f"{x}.part--;", f"{x}.hi = {w.full(1)};", f"swap({x}.bytes[0], {x}.lo);"]
    use = w.pick(uses)
    return [
        f"union {u} {x} = {{ {w.pick(['.all =', '.part =', '', '.bytes = { 1, 2, 3, 4 }, .top =', '.lo ='])} {w.full(1)} }}, {y} = {x};",
        use,
        f"{x}.bytes[({w.full(1)}) & 3] ^= {w.expr(1)}; acc += {x}.bytes[({w.full(1)}) & 3];",
        f"{y}.top = {w.full(1)}; u8 *{x}p = &{y}.bytes[1]; (*{x}p)++; acc ^= {y}.all + {y}.hi * 3 + {y}.part;",
        f"struct {s} {x}s = {{ 1, {{ {w.full(1)} }}, .n = {w.expr(1)} }}; {x}s.low = {w.full(1)}; {x}s.half += 5; struct {s} {y}s = {x}s;",
        f"acc = acc * 31 + {y}s.word + {y}s.n + {x}.all + {x}.a; {x} = {y};",
        f"acc += sizeof(struct {s}) + sizeof({x}) * 100 + offsetof(struct {s}, m) * 1000 + offsetof(struct {s}, p) + {x}.lo;",
    ]


FORMS: tuple[Form, ...] = (
    pointer,
    exchange,
    expression,
    ladder,
    out_of_loops,
    dead,
    ends_early,
    late_value,
    shadow,
    inside,
    by_pointer,
    enumerated,
    wide_switch,
    macros,
    kernel_function,
    tables,
    unions,
)


def program(number: int) -> str:
    """The program of that number, always the same."""
    return Writer(number, FORMS).text()
