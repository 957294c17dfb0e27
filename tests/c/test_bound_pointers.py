"""Pointers that lead to variables are bound where they are declared; and values that kernel names give at their ends."""

from __future__ import annotations

import pytest
from c_machine import Machine, refusal, result_of

BEFORE = (
    "struct pair { int a; u8 b; }; struct in { int *p; }; struct n { int v; struct n *next; }; "
    "static void set(int *p, int *q, int c) { if (c) p = q; *p = 5; } "
    "static int len(const char *s, int c) { if (c) s = \"b\"; return !s; } "
    "static int total(struct n *p) { int t = 0; for (; p; p = p->next) t += p->v; return t; } "
    "static int deref(struct in *x) { return *x->p; } static void lead(struct in *x, int *p) { x->p = p; } "
    "static void lead_unless(struct in *x, int *p, int c) { if (c) return; x->p = p; }"
)
MORE, AFTER = "set more than once", "set after its declaration"
REFUSED = {
    "int a = 1, b = 2; set(&a, &b, 0); return a;": f"'p' is a pointer to something outside the model, or to a variable, and {AFTER}",
    "return len(0, 0);": f"'s' is a pointer to something outside the model, or to a variable, and {AFTER}",
    "struct n a = { 1, NULL }, b = { 2, &a }; return total(&b);": AFTER,
    "int a = 1; struct in x = { NULL }; if (irqs_disabled()) x.p = &a; return !x.p;": f"a variable, and {AFTER}",
    "int a = 1; struct in x = { &a }, y = { NULL }; swap(x, y); return !x.p;": AFTER,
    "int a = 1; struct in x = { &a }, y = { NULL }; if (irqs_disabled()) y = x; return !y.p;": AFTER,
    "int a = 1; struct in x = { NULL }; int c = 0; c && (x.p = &a); return !x.p;": AFTER,
    "int a = 1; struct in x = { NULL }; for (int i = 0; i < 0; i++) x.p = &a; return !x.p;": AFTER,
    "int a = 1; struct in x = { NULL }; if (a) lead(&x, &a); return !x.p;": AFTER,
    "int a = 1; struct in x = { NULL }; lead_unless(&x, &a, 1); return !x.p;": AFTER,
    "int a = 1, i = 0; struct in x = { NULL }; again: if (!x.p) i++; x.p = &a; if (i < 2) goto again; return i;": AFTER,
    "int a = 1, *p = NULL; if (irqs_disabled()) p = &a; return !p;": MORE,
    "int x; int c = irqs_disabled() || (x = 5); if (c) return 1; return x;": "'x' may be used before it has a value",
    "struct task_struct *t = NULL; t->pasid_activated = 1; return 0;": "'t->pasid_activated': nothing but NULL is given",
    "int a = 1, *p = &a; return (void *)p == (void *)&a;": "compares a pointer to a variable with another pointer",
    "union { int a, b; } u = { 1 }; return &u.a == &u.b;": "compares a pointer to a variable with another pointer",
}  # fmt: skip


@pytest.mark.parametrize("body", REFUSED)
def test_a_pointer_to_a_variable_is_bound_once(body: str) -> None:
    assert REFUSED[body] in refusal(body, BEFORE)


VALUES = {
    "int a = 1; struct in x = { &a }, y = x; return *y.p + deref(&y);": 2,
    "int a = 3; struct in *q = &(struct in){ &a }; return *q->p;": 3,
    "int a = 1, *v[2] = { &a, NULL }; return *v[0] + !v[1];": 2,
    "int a = 1; struct in x = { &a }, y = { NULL }; int n = !y.p; y = x; return *y.p + n;": 2,
    "int a = 1; struct in x = { &a }, y = { NULL }; memcpy(&y, &x, sizeof(x)); return !y.p;": 0,
    "int a = 1; struct in x = { NULL }; lead(&x, &a); return *x.p;": 1,
    "int a = 1; int *v[2] = { &a, NULL }; v[1] = v[0]; return *v[1];": 1,
    "int a = 1, b = 1, *p = &a; return (p == &a) + 2 * (p == &b) + 4 * (p != NULL) + 8 * (NULL == p);": 5,
    "int x; if (irqs_disabled() || (x = 5) == 0) return 1; return x;": 5,
    "int x, y; if (irqs_disabled() || (x = 5) == 0 || !(y = 2)) return 1; return x * 10 + y;": 52,
    "int x; if (current->mm && (x = 5)) return x; return 2;": 5,
    "int t; if ((t = irqs_disabled() || !current->mm)) return 9 + t; return t;": 0,
    "int n = 0, y = 0; if ((n++ || y++) && (n++ && !y++)) return n * 10 + y; return n * 100 + y;": 101,
    "int v[2] = { 1, 2 }; return (v == &v[0]) + 2 * (&v[0] == &v[1]) + 4 * (v != &v[1]);": 5,
    "int v[2][2] = { { 1, 2 }, { 3, 4 } }; return (v[0] == &v[0][0]) + 2 * (v[1] == &v[0][0]);": 1,
    "struct file *f = NULL; return !f;": 1,
    "struct pair x = { 1, 2 }, y = { 3, 4 }; swap(x, y); return x.a * 1000 + x.b * 100 + y.a * 10 + y.b;": 3412,
    "struct pair v[2] = { { 1, 2 }, { 3, 4 } }; swap(v[0], v[1]); return v[0].a * 10 + v[1].b;": 32,
    "unsigned long w[2] = { 0, 0 }; set_bit(70, w); __set_bit(1, w); return w[1] * 1000 + w[0] + test_bit(70, w);": 64003,
    "int v = 3, l = 10, h = 5; return clamp(v, l, h);": 10,
    "return clamp_t(u8, 300, 1, 40) * 100 + clamp(7, 1, 5) * 10 + clamp(-7, 1, 5);": 4051,
    "typeof(USHRT_MAX) x = 65537; return x * 10 + sizeof(SHRT_MIN);": 12,
    "struct outer { struct inner { int x; } i; }; struct inner q = { 3 }; struct outer o = { q }; return o.i.x;": 3,
    "switch (3) { case 3: __attribute__((__fallthrough__)); case 4: return 5; } return 1;": 5,
    "refcount_t r; refcount_set(&r, 1); return refcount_dec_and_test(&r) + 10 * refcount_read(&r);": 1,
}  # fmt: skip


@pytest.mark.parametrize("body", VALUES)
def test_values(body: str) -> None:
    assert result_of(body, BEFORE) == VALUES[body]


@pytest.mark.parametrize(("body", "failed", "left"), [
    ("refcount_inc(&r);", "addition on 0; use-after-free", 0), ("refcount_inc(&r);", "addition on 0; use-after-free", 0x7FFFFFFF),
    ("refcount_inc_not_zero(&r);", "saturated; leaking memory", 0x80000000), ("refcount_dec(&r);", "decrement hit 0; leaking memory", 1),
    ("refcount_dec(&r);", "decrement hit 0; leaking memory", 0xC0000000),
    ("refcount_dec_and_test(&r);", "underflow; use-after-free", 0), ("refcount_dec_and_test(&r);", "underflow; use-after-free", 0xC0000000),
])  # fmt: skip
def test_a_refcount_saturates(body: str, failed: str, left: int) -> None:
    one = Machine(f"static long f(void)\n{{\nrefcount_t r; refcount_set(&r, {left}); {body} return refcount_read(&r);\n}}\n")
    assert one.call("f") == 0xC0000000
    assert one.failed == [f"refcount_t: {failed}"]


def test_local_irq_restore_never_disables() -> None:
    body = "unsigned long s; local_irq_disable(); local_irq_save(s); local_irq_enable(); local_irq_restore(s); return irqs_disabled();"
    assert result_of(body) == 0


def test_a_number_of_a_pasid_is_stored_as_it_is() -> None:
    one = Machine("static long f(void)\n{\ncurrent->mm->pasid = 5; return 0;\n}\n")
    with pytest.raises(AssertionError, match="5"):
        one.call("f")


@pytest.mark.parametrize(("before", "said"), [
    ("#if 0\ndon't \"\n#error can't\n#endif\n", "accepted"), ("don't", "this character has no end on its line"),
    ("#define WORDS don't\n", "accepted"), ("#define WORDS don't\nint x = WORDS;\n", "this character has no end on its line"),
])  # fmt: skip
def test_a_quote_without_end_may_stand_in_what_is_skipped(before: str, said: str) -> None:
    assert said in refusal("return 1;", before)


@pytest.mark.parametrize(("body", "said"), [
    ("unsigned long w = 0; set_bit(64, &w); return 0;", "bit 64 of 1 unsigned long\n  hint: 0 to 63"),
    ("unsigned long w[2] = { 0 }; int n = current->mm ? 1 : 2; set_bit(n, w); return 0;", "a bit whose number is not known here"),
])  # fmt: skip
def test_a_bit_lies_in_its_word(body: str, said: str) -> None:
    assert said in refusal(body)
