"""``const``: what no C compiler lets a function store to, by any way that leads there, is refused; everything else is not."""

from __future__ import annotations

import pytest
from c_machine import refusal

BEFORE = """
struct pair { int a, b; }; struct half { const int a; int b; };
struct deep { struct pair in; const struct pair fixed; int v[2]; struct pair *q; const struct pair *cq; };
typedef const int cint; typedef int xint; typedef const struct pair cpair;
union un { u32 a; const u8 b; };
static const int table[3] = { 1, 2, 3 };
static void set(const int *p) { *p = 1; }
static void setp(struct pair *p) { p->a = 9; }
static int get(const struct pair *p) { return p->a; }
static int loc(const int n) { n++; return n; }
static int arr(const int v[2]) { v[0] = 1; return 0; }
static int arr2(int v[2]) { v[0] = 1; return v[0]; }
"""

CONSTANT = [
    "int n = 1; const int *p = &n; *p = 2; return n;",
    "int n = 1; const int *p = &n; (*p)++; return n;",
    "int n=1; int const *p = &n; *p += 2; return 0;",
    "struct pair s = { 1, 2 }; const struct pair *p = &s; p->a = 3; return 0;",
    "struct pair s = { 1, 2 }; const struct pair *p = &s; (*p).a = 3; return 0;",
    "struct half h = { 1, 2 }; h.a = 3; return 0;",
    "struct half h = { 1, 2 }, g = { 3, 4 }; h = g; return 0;",
    "struct half h = {1,2}; struct half *p = &h; p->a++; return 0;",
    "struct deep d = { 0 }; d.fixed.a = 1; return 0;",
    "struct deep d = { 0 }; const struct deep *p = &d; p->in.a = 1; return 0;",
    "struct deep d = { 0 }; const struct deep *p = &d; p->v[1] = 1; return 0;",
    "const struct deep d = { 0 }; d.v[0] = 1; return 0;",
    "const int v[2] = { 1, 2 }; v[1] = 2; return 0;",
    "int v[2] = {1,2}; const int *p = v; p[1] = 2; return 0;",
    "int v[2] = {1,2}; const int *p = v; *p = 2; return 0;",
    "int i = current->mm ? 1 : 0; const int v[2] = {1,2}; v[i] = 3; return 0;",
    "int i = current->mm ? 1 : 0; int v[2] = {1,2}; const int *p = v; p[i] = 3; return 0;",
    "cint c = 1; c = 2; return c;",
    "int n; cint *p = &n; *p = 3; return n;",
    "cpair s = { 1, 2 }; s.a = 2; return 0;",
    "struct pair s = {1,2}; cpair *p = &s; p->b = 1; return 0;",
    "const xint c = 1; c = 2; return c;",
    "union un u = { 1 }; u.b = 2; return 0;",
    "const union un u = { 1 }; u.a = 2; return 0;",
    "set(&(int){ 0 }); return 0;",
    "int n = 0; set(&n); return n;",
    "return loc(3);",
    "int v[2]; return arr(v);",
    "const struct fpu *fpu = &current->thread.fpu; fpu->last_cpu = -1; return 0;",
    "const struct task_struct *t = current; t->pasid_activated = 1; return 0;",
    "const struct task_struct *t = current; t->thread.fpu.last_cpu = 1; return 0;",
    "const struct xstate_header *h = &current->thread.fpu.fpstate->regs.xsave.header; h->xfeatures |= 1024; return 0;",
    "const struct task_struct *t = current; t->pasid_activated++; return 0;",
    "const struct fpu *f = &current->thread.fpu; WRITE_ONCE(f->last_cpu, 0); return 0;",
    "int n = 0; const int *p = &n; xchg(p, 1); return 0;",
    "int n = 0, m = 1; const int *p = &n; swap(*p, m); return 0;",
    "const int c = 1; int x = ++c; return x;",
    "for (const int i = 0; i < 3; i++) ; return 0;",
    "*table = 2; return 0;",
    "int *const p = 0; p = 0; return 0;",
    "((const struct fpu *)&current->thread.fpu)->last_cpu = 0; return 0;",
    "const u64 m; m = 1; return m;",
    "rdmsrl(MSR_IA32_PASID, (*(const u64 *)&(u64){ 1 })); return 0;",
    "struct pair s = {1,2}; ((const struct pair *)&s)->a = 2; return 0;",
    "const struct pair v[2] = { { 1 } }; v[1].b = 2; return 0;",
    "const struct pair v[2] = { { 1 } }; int i = current->mm ? 1 : 0; v[i].b = 2; return 0;",
    "(*this_cpu_ptr(&in_kernel_fpu))++; const bool *p = this_cpu_ptr(&in_kernel_fpu); *p = 1; return 0;",
    "static const int n = 1; n = 2; return n;",
]

FREE = [
    "int n = 1; int *const p = &n; *p = 2; return n;",
    "struct half h = { 1, 2 }; h.b = 3; return h.a + h.b;",
    "struct half h = { 1, 2 }, g = h; return g.a;",
    "const int n = 3; int m = n; m++; return m + n;",
    "struct pair s = { 1, 2 }; const struct pair *p = &s; s.a = 4; return p->a;",
    "struct pair s = {1,2}; const struct pair *p = &s; ((struct pair *)p)->a = 7; return s.a;",
    "struct pair s = {1,2}; setp(&s); return get(&s);",
    "struct deep d = { { 1, 2 }, { 3, 4 } }; d.in.a = 5; d.v[1] = 2; return d.in.a + d.fixed.b;",
    "int v[2]; return arr2(v);",
    "const struct fpu *f = &current->thread.fpu; return f->last_cpu;",
    "const struct task_struct *t = current; t->thread.fpu.fpstate->regs.xsave.header.xfeatures |= 1; return 0;",
    "const struct task_struct *t = current; t->mm->pasid = 1; return 0;",
    "const int c = table[1]; return c;",
    "const cint c = 2; return c * 2;",
    "const int *p = NULL; int n = 2; if (!p) n = 3; return n;",
    "static const struct pair s = { 1, 2 }; return s.b;",
    "struct pair a = {1,2}; const struct pair b = a; a.a = 3; return a.a + b.a;",
    "const volatile int c = 1; return c;",
    "struct deep d = { .q = 0 }; return !d.q;",
    "xint n = 1; n = 2; return n;",
    "const struct deep d = { { 1, 2 } }; struct deep e = d; return e.in.a;",
    "struct { const struct pair p; int n; } x = { { 1, 2 }, 3 }; x.n = 4; return x.p.a + x.n;",
]


@pytest.mark.parametrize("body", CONSTANT)
def test_a_store_to_what_is_constant(body: str) -> None:
    assert "is constant" in refusal(body, BEFORE)


@pytest.mark.parametrize("body", FREE)
def test_what_is_not_constant(body: str) -> None:
    assert refusal(body, BEFORE) == "accepted"


def test_the_place_is_told() -> None:
    assert refusal("const struct fpu *fpu = &current->thread.fpu;\n\tfpu->last_cpu = -1; return 0;").startswith(
        "fix.c:5:2: 'fpu->last_cpu=-1' is constant"
    )


def test_a_static_table_has_constants() -> None:
    assert "'n' must have a constant for its value" in refusal("static const int n = raw_smp_processor_id(); return n;")
