"""What expressions are worth in C on x86-64 Linux. The numbers are those of gcc -fwrapv -funsigned-char, as the kernel is compiled."""

from __future__ import annotations

import pytest
from c_machine import Crash, Machine, result_of

ONES = 2**64 - 1

VALUES = {
    # integer types
    "u8 is promoted": ("u8 a = 250; return a + 10;", 260),
    "~ of a promoted zero": ("u16 a = 0; return ~a == -1;", 1),
    "shift of a promoted u8": ("u8 a = 3; return a << 9;", 1536),
    "int truncates u32": ("u32 a = 0xfffffff0; int b = a; return b < 0 ? -b : 0;", 16),
    "s8 of 200": ("return (u32)(s8)200;", 0xFFFFFFC8),
    "-1 against unsigned": ("return (-1 < 1u) * 10 + (-1 < 1);", 1),
    "all ones is the greatest u64": ("u64 a = ~0ULL; return (a > 5) + 2 * (a >> 60 == 15) + 4 * (a / 2 > 1ULL << 62);", 7),
    "unsigned remainder": ("u64 a = ~0ULL; return a % 10;", 5),
    "signed division rounds to zero": ("int a = -7; return (a / 2 == -3) + 2 * (a % 2 == -1);", 3),
    "widths do not join": ("u8 n = 10; return 1 << n;", 1024),
    "long unsigned and long": ("long a = -1; long unsigned b = 1; return a > b;", 1),
    "u32 and long": ("u32 a = 0xffffffff; long b = -1; return a == b;", 0),
    "arguments are converted": ("return wide(513);", 1),
    "results are converted": ("return narrow();", 200),
    "bool counts to one": ("bool b = 1; ++b; b++; return b;", 1),
    "bool of 256": ("bool b = 256; return b;", 1),
    "value of an assignment": ("u8 b; int a = (b = 0x1ff); return a;", 255),
    "compound assignment in the wider type": ("u8 b = 200; b += 100; return b;", 44),
    "compound shift": ("s8 b = -100; b >>= 1; return b == -50;", 1),
    "post-increment of a u8": ("u8 b = 255; int a = b++; return a * 10 + b;", 2550),
    "char has no sign in the kernel": ("char c = 200; return c > 0;", 1),
    "the sign of a character": ("return '\\xff' + 'a';", 352),
    "types of decimal constants": ("return sizeof(2147483647) * 1000 + sizeof(2147483648) * 100 + sizeof(1u) * 10 + sizeof(1l);", 4848),
    "types of hex constants": ("return (0xffffffff > -1) * 10 + sizeof(0x100000000);", 8),
    "octal and binary": ("return 0777 + 0b101;", 516),
    "sizeof": ("u16 a; return sizeof(a) + sizeof(u64) * 10 + sizeof(a + a) * 100 + sizeof(int *) * 1000;", 8482),
    "sizeof evaluates nothing": ("int n = 1; int a = sizeof(n++); return n + a;", 5),
    "sizeof a string": ('return sizeof("four\\n");', 6),
    "typeof": ("u8 a = 255; typeof(a) b = a + 1; typeof(a + 1) c = a + 1; return b * 1000 + c;", 256),
    "__auto_type": ("u8 a = 255; __auto_type b = a; __auto_type c = a + 1; b++; return b * 1000 + c;", 256),
    "typedef of the file": ("small_t a = 300; return a;", 44),
    "typedef of a typedef": ("return (tiny_t)-1;", 255),
    "cast of brackets": ("u32 a = 7, b = 9; return (u8)(a - b);", 254),
    "cast binds before multiplication": ("int a = 3; return (u8)-a * 2;", 506),
    "?: has the common type": ("u32 x = 0; int c = 1; return (c ? x : -1) - 1 > 0;", 1),
    "unsigned long halves": ("unsigned long a = 1UL << 63; return a >> 63;", 1),
    "arithmetic shift": ("s64 a = -8; return a >> 1 == -4;", 1),
    "long long is wider than int": ("s64 a = 0x7fffffff; return (a + 1) >> 31;", 1),
    "int overflows as gcc -fwrapv says": ("int a = 0x7fffffff; a++; return a < 0;", 1),
    "u32 times u32": ("u32 a = 0x10001; return a * a;", 0x20001),
    "-x of unsigned": ("u32 a = 1; return -a;", 0xFFFFFFFF),
    "mixed comparison of u8": ("u8 a = 255; s8 b = -1; return a == b;", 0),
    # side effects
    "&& stops": ("int n = 0, a = 0; if (a && n++) a = 5; return n * 10 + a;", 0),
    "|| stops": ("int n = 0, a = 3; return (a || n++) * 10 + n;", 10),
    "&& with statements": ("int n = 0, a = 0; a && ({ n = 4; n; }); return n;", 0),
    "loop conditions": ("int n = 0, k = 3; while (k-- && n < 9) n += 2; return n * 10 + (k == -1);", 61),
    "?: without a middle": ("int n = 5, m = n++ ?: 7; return m * 10 + n;", 56),
    "?: without a middle, false": ("int n = 0, m = n ?: 7; return m;", 7),
    "min once": ("int a = 4, m = min(a++, 9); return m * 10 + a;", 45),
    "max once": ("int a = 4; int m = max(1, --a); return m * 10 + a;", 33),
    "min of mixed signs": ("return min_t(u8, 300, 50) + max_t(int, -1, -2);", 43),
    "swap": ("u8 a = 3; int b = 300; swap(a, b); return a * 1000 + b;", 44003),
    "messages have effects": ('int n = 1; pr_info("%d", n++); trace_it(n++); return n;', 3),
    "pre-increment": ("int n = 1; int a = ++n + 1; return a * 10 + n;", 32),
    "-x++": ("int n = 3; int a = -n++; return (a == -3) * 10 + n;", 14),
    "comma": ("int n = 1; return (n++, n + 1);", 3),
    "left before right": ("int n = 2; return n * 10 + ({ n = 5; n; });", 25),
    # ranges
    "loop by goto": ("u8 n = 0; int k = 0;\nagain: n += 100; if (++k < 3) goto again; return n;", 44),
    "loop by a macro": ("u8 n = 250; REPEAT(10) n++; return n;", 4),
    "a variable after its loop": ("u8 i; for (i = 0; i < 2; i++) ; i = 250; i += 7; return i;", 1),
    "a masked variable in a loop": ("int n = 5 & 3, k = 0, m = 0; bool b; while (k++ < 3) { b = n; m += b == true; n++; } return m;", 3),
    # structs, arrays, tables, enumerators
    "enumerators by expressions": ("return A * 1000 + B * 100 + C;", 16 * 1000 + 17 * 100 + 17),
    "enumerators inside a function": ("enum { X = 3, Y, Z = Y * 2 }; return X + Y + Z;", 15),
    "an enumerator equals another": ("return E == D;", 1),
    "a table": ("int n = 2; return table[n] * 10 + table[1];", 63),
    "size of a table": ("return ARRAY_SIZE(table);", 4),
    "a constant": ("return limit + 1;", 256),
    "an array": ("u32 v[3] = { 1, 300 }; int i = 1; v[i]++; v[2] = v[i] + v[0]; return v[2];", 302),
    "an array with designators": ("u8 v[] = { [3] = 7, 9, [0] = 1 }; return sizeof(v) * 100 + v[0] + v[3] + v[4] + v[1];", 517),
    "a struct": ("struct pair p = { 1, .b = 2 }, q = p; p.a = 9; return q.a * 100 + p.a * 10 + q.b;", 192),
    "bit fields": ("struct bits b = { 0 }; b.three = 15; b.sign = 3; return b.three * 10 + (b.sign == -1);", 71),
    "an enum with negative values": ("enum low x = LOW; return (x < 0) + 2 * (below(-1) < 0) + 4 * ((enum low)-1 > 0u);", 7),
    "an enum without": ("enum numbers x = A; return (x - 17 > 0) + 2 * ((enum numbers)-1 > 0) + sizeof(x) * 10;", 43),
    "an enum of 64 bits": ("return sizeof(HIGH) * 100 + sizeof(NOT_HIGH) * 10 + (HIGH > 0) + 2 * (HIGH == 1ULL << 63);", 843),
    "an enum inside a function": ("enum e { X = -1, Y }; enum e x = X; return x < Y;", 1),
    "structs and enums named by typedef": ("named_t s = { 3, 4 }; kind_t k = MINUS; return s.x * 10 + s.y + (k < 0);", 35),
    "a struct named twice": ("pair_t p = { 1, 2 }; struct pair *q = &p; return q->b;", 2),
    "designators of what is inside": (
        "struct nest n = { .in.b = 5, .v[1] = 7, .hidden = 3 }; return n.in.b * 100 + n.v[1] * 10 + n.hidden + n.v[0] + n.in.a;", 573,
    ),
    "designators on top of a whole": ("struct nest n = { .in = { 1, 2 }, .in.a = 8 }; return n.in.a * 10 + n.in.b;", 82),
    "designators of several elements": (
        "u8 v[5] = { [0 ... 2] = 4, 5, [2] = 1 }; return v[0] * 1000 + v[1] * 100 + v[2] * 10 + v[3] + v[4];", 4415,
    ),
    "a union": ("union word w = { 0x01020304 }; w.v[1] = 9; return w.all * 100ULL + w.v[0];", 0x01020904 * 100 + 4),
    "a union of bit fields": (
        "union word w = { .all = 0 }; w.low = 9; w.sign = -3; return w.all * 100 + w.low + (w.sign == -3) * 10;", 0x3E9 * 100 + 11,
    ),
    "a union in a struct": (
        "struct { int k; union { u16 a; u8 b; }; } x = { 1, { 300 } }, y = x; y.b = 1; return x.a * 1000 + y.a;", 300257,
    ),
    "an element of a union": ("union word w = { 0 }; int i = current->mm ? 2 : 1; w.v[i] = 3; return w.all >> 16;", 3),
    "a pointer into a union": ("union word w = { 7 }; get(&w.v[3]); return w.all >> 24;", 45),
    "a whole union through one member": ("union word w; w.all = 5; return w.v[0];", 5),
    "sizes of structs": (
        "return sizeof(struct nest) * 1000 + sizeof(union word) * 100 + sizeof(struct bits) * 10 + offsetof(struct nest, hidden);", 16452,
    ),
    "a cast before a bracket, or not": (
        "int a = 6, b = 7, c = 3; return ((a * (b)) & c) + (a)+(b)*(c) + ((a) * (b) - c) + (u8)- (b);", 2 + 27 + 39 + 249,
    ),
    "a switch nothing leads to": ("while (1) { break; switch (({ int k = 4; k; })) { case 1: return 5; } } return 6;", 6),
    "a label nothing leads to but goto": ("goto in; while (1) { struct pair p; p.a = 1; in: p.a = 3; return p.a; } return 4;", 3),
    "a compound literal": ("struct pair p = { 1, 2 }; p = (struct pair){ .b = 5 }; return p.a * 10 + p.b;", 5),
    "a pointer to a struct": ("struct pair p = { 1, 2 }; add(&p, 5); return p.a * 10 + p.b;", 67),
    "out parameters": ("u8 x; int r = get(&x); return x * 10 + r;", 451),
    "a pointer to a variable": ("int n = 3, *p = &n; *p += 4; (*p)++; return n;", 8),
    "an array passed on": ("u8 v[2] = { 3, 4 }; return sum(v);", 7),
    # control
    "case ranges": ("int n = 4; switch (n) { case 1 ... 3: return 1; case 4 ... 6: return 2; default: return 3; }", 2),
    "case constants are converted": ("u8 n = 255; switch (n) { case -1: return 1; case 255: return 2; } return 3;", 2),
    "switch on u32": ("u32 n = 0xffffffff; switch (n) { case -1: return 1; } return 3;", 1),
    "break, continue": ("int i, n = 0; for (i = 0; i < 9; i++) { if (i == 1) continue; if (i == 4) break; n += i; } return n * 9 + i;", 49),
    "a product is no declaration": ("int a = 6; return ({ int b = 7; a * b; });", 42),
    "a product as a statement": ("int a = 6, b = 7; a * b; return a * b;", 42),
    # macros
    "macros": ("return ADD(CAT(fo, ur), 2) + EMPTY() LAST(1, 2, 3);", 10),
    "a macro renamed": ("return ALIAS(20);", 41),
    "##__VA_ARGS__": ("return COUNTED() * 10 + COUNTED(1, 2);", 2),
    "nothing pasted": ("return CAT(, 5) + CAT(6, );", 11),
    "likely() is a truth": ("return likely(8) * 10 + unlikely(4);", 11),
    "GENMASK and BIT": ("return GENMASK(7, 4) + BIT(10) + BIT_ULL(40);", 0xF0 + 1024 + (1 << 40)),
}  # fmt: skip
BEFORE = """
static u64 wide(u8 x) { return x; }
static u8 narrow(void) { return 456; }
typedef unsigned char small_t;
typedef small_t tiny_t;
enum low { LOW = -2, NEXT };
static enum low below(enum low x) { return x; }
enum high { HIGH = BIT(63), NOT_HIGH = 1 };
typedef struct { int x; u8 y; } named_t;
typedef enum { MINUS = -1, ZERO } kind_t;
enum numbers { A = BIT(4), B, C = B, D = 1 << 2, E = 4 };
static const int table[] = { 1, 3, 6, A };
static const u8 limit = 0xfff;
struct pair { int a; u8 b; };
struct bits { u8 three:3; int sign:2; };
typedef struct pair pair_t;
struct nest { struct pair in; u8 v[2]; struct { u16 spare, hidden; }; };
union word { u32 all; u8 v[4]; struct { u8 low:3; s16 sign:7; }; };
static void add(struct pair *p, int n) { p->a += n; p->b = p->a + 1; }
static int get(u8 *out) { *out = 300 + 1; return 1; }
static int sum(u8 *v) { return v[0] + v[1]; }
enum { four = 4 };
#define REPEAT(n) for (int i_ = 0; i_ < (n); i_++)
#define ADD(a, b) ((a) + (b))
#define CAT(a, b) a ## b
#define EMPTY() 0
#define LAST(a, ...) + COUNT(__VA_ARGS__) + (a)
#define COUNT(a, b) (b)
#define TWICE(x) ((x) * 2 + 1)
#define ALIAS TWICE
#define PICK(a, b, c, ...) c
#define COUNTED(...) PICK(0, ##__VA_ARGS__, 2, 0, 0)
"""


@pytest.mark.parametrize("name", VALUES)
def test_value(name: str) -> None:
    body, wanted = VALUES[name]
    assert result_of(body, BEFORE) == wanted % (1 << 64)


CONDITIONS = {
    "-7 / 2 == -3": True, "-7 % 3 == -1": True, "-1 > 0u": True, "-1 > 0": False, "(1 ? -1 : 0u) > 0": True,
    "defined(CONFIG_SMP) && !defined(CONFIG_M)": True, "defined CONFIG_M_MODULE": True, "CONFIG_M": False, "HAS_SMP": True,
    "IS_ENABLED(CONFIG_M)": True, "IS_BUILTIN(CONFIG_M)": False, "IS_MODULE(CONFIG_M)": True, "IS_REACHABLE(CONFIG_M)": False,
    "IS_BUILTIN(CONFIG_SMP)": True, "IS_REACHABLE(CONFIG_SMP)": True, "0xffffffffffffffff == -1": True, "'a' == 97": True,
    "1 << 3 == 8": True, "~0u > 1": True, "2 || 1 / 1": True, "CONFIG_N_NR == 5": True, "NOT_THERE": False,
}  # fmt: skip


@pytest.mark.parametrize("condition", CONDITIONS)
def test_preprocessor_condition(condition: str) -> None:
    text = f"#define HAS_SMP defined(CONFIG_SMP)\n#if {condition}\n#define R 1\n#else\n#define R 0\n#endif\n"
    text += "static int f(void) { return R; }"
    assert Machine(text, config={"CONFIG_M": "m", "CONFIG_N_NR": "5"}).call("f") == CONDITIONS[condition]


@pytest.mark.parametrize(("option", "wanted"), [("y", 1), ("m", 0), ("n", 0)])
def test_ifdef(option: str, wanted: int) -> None:
    text = "static int f(void)\n{\n#ifdef CONFIG_Q\n\treturn 1;\n#endif\n\treturn 0;\n}\n"
    assert Machine(text, config={"CONFIG_Q": option}).call("f") == wanted


@pytest.mark.parametrize(("body", "what"), [
    ("int z = zero(); return 1 / z;", "divide error: division by zero"),
    ("int z = zero(); return 7 % z;", "divide error: division by zero"),
    ("int z = zero() - 1, m = -2147483647 - 1 + zero(); return m / z;", "divide error: the least number divided by -1"),
    ("u8 v[2] = { 1, 2 }; int n = zero() + 2; return v[n];", "array index out of bounds: v[n]"),
    ("u8 v[2] = { 1, 2 }; int n = zero() - 1; v[n] = 3; return 0;", "array index out of bounds: v[n]"),
    ("BUG(); return 0;", "BUG() is reached"), ("BUG_ON(!zero()); return 0;", "BUG_ON() fires"),
    ("VM_BUG_ON(zero() == 0); return 0;", "VM_BUG_ON() fires"),
])  # fmt: skip
def test_the_end_of_the_kernel(body: str, what: str) -> None:
    with pytest.raises(Crash) as caught:
        result_of(body, "static int zero(void) { return current->mm == NULL; }")
    assert str(caught.value) == what


def test_a_shift_too_far_is_reported() -> None:
    machine = Machine("static int f(void) { int n = 40; u8 k = n; return 1 << k; }")
    machine.call("f")
    assert machine.failed == ["shift of int by its width or more, or by less than 0"]
