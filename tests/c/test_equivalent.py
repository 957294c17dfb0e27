"""Changes that mean nothing by the rules of C, and those that only look so."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_judged import CORE_FILE, KVM, OTHERS, account, core, diff, fates, run
from test_trees import CORE, FORK, tree

from pasidlab.designs.intake.equivalent import means_the_same

RETURNS = "if (!n) { preempt_enable(); return n; } g(); preempt_enable(); return 0;"
SAME = [
    ("x->y = 0;", "x->y = false;"), ("p = NULL;", "p = 0;"), ("if (x == 0) f();", "if (!x) f();"), ("if (p != NULL) f();", "if (p) f();"),
    ("while (NULL == p) f();", "while (!p) f();"), ("n = a == false;", "n = !a;"), ("n = x != 0;", "n = !!x;"),
    ("if ((a)) { f(); }", "if (a) f();"), ("if (likely(a)) f();", "if (a != 0) f();"), ("int i; i = n; g(i);", "int k; k = n; g(k);"),
    ("n = 0x10;", "n = 16;"), ("return (n);", "return n;"), ("f();", "f(); ; { }"), ("{ f(); { g(); } }", "f(); g();"),
    ("if (a && !(b == 0)) f();", "if (a && b) f();"), ("preempt_disable(); f(); preempt_enable();", "guard(preempt)(); f();"),
    ("spin_lock(&l); f(); spin_unlock(&l);", "guard(spinlock)(&l); f();"),
    ("preempt_disable(); f(); preempt_enable(); g();", "scoped_guard(preempt) { f(); } g();"),
    ("preempt_disable(); f(); preempt_enable(); g();", "scoped_guard (preempt) f(); g();"),
    (f"preempt_disable(); {RETURNS}", "guard(preempt)(); if (!n) return n; g(); return 0;"),
    ("if (p->q != r) f();", "struct t *k = p->q;\n\n\tif (k != r)\n\t\tf();"),
    ("preempt_disable(); if (a) { preempt_enable(); return -EINVAL; } preempt_enable();", "guard(preempt)(); if (a) return -EINVAL;"),
]  # fmt: skip
OTHER = [
    ("x->y = 0;", "x->y = 1;"), ("if (x == 1) f();", "if (x) f();"), ("n = x != 0;", "n = x;"), ("g(NULL);", "g(0);"),
    ("n = ~0u;", "n = ~0;"), ("if (x == true) f();", "if (x) f();"), ("if (a && b) f();", "if (b && a) f();"),
    ("if (a) f(); g();", "if (a) { f(); g(); }"), ("int i = 1, k = 2; g(i);", "int i = 1, k = 2; g(k);"),
    ("int i = n; g(i);", "int i = n; g(n);"), ("n = (a + b) * 2;", "n = a + b * 2;"), ("n = sizeof(NULL);", "n = sizeof(0);"),
    ("n = 1;", "n = 1UL;"), ("x = READ_ONCE(n);", "x = n;"),
    ("preempt_disable(); f(); preempt_enable(); g();", "guard(preempt)(); f(); g();"),
    ("preempt_disable(); f();", "guard(preempt)(); f();"),
    ("preempt_disable(); n = x->y; preempt_enable(); return n;", "guard(preempt)(); return x->y;"),
    ("preempt_disable(); f(); preempt_enable(); return g();", "guard(preempt)(); f(); return g();"),
    ("preempt_disable(); f(); preempt_enable();", "guard(irq)(); f();"),
    ("local_irq_save(flags); f(); local_irq_restore(flags);", "guard(irqsave)(); f();"),
    ("preempt_disable(); if (a) goto out; f(); preempt_enable(); out: g();", "{ guard(preempt)(); if (a) goto out; f(); } out: g();"),
    ("if (p->q != r) f();", "u8 k = p->q;\n\n\tif (k != r)\n\t\tf();"),
    ("if (p->q != r) f();", "bool k = p->q;\n\n\tif (k != r)\n\t\tf();"),
    ("if (p->q != r) f();", "struct t *k = p->q;\n\n\tif (k != r)\n\t\tf(k);"),
    ("spin_lock(&x->l); x = p; spin_unlock(&x->l);", "guard(spinlock)(&x->l); x = p;"),
    ("if (!a) f(); else g();", "if (a) f(); else g();"), ("n = n ?: 5;", "n = n != 0 ?: 5;"), ("fpregs_lock();", "(fpregs_lock)();"),
    ("CLASS(fd, v)(n); g(v); h();", "{ CLASS(fd, v)(n); g(v); } h();"),
    ("static int c; spin_lock(&l); c++; spin_unlock(&l); return c;", "static int c; guard(spinlock)(&l); c++; return c;"),
    ("{ int a; a = 1; g(a); } a = 2;", "{ int b; b = 1; g(b); } b = 2;"), ("a = 5; int a = 1; g(a);", "b = 5; int b = 1; g(b);"),
    ("int a = 0; if (n) { int a = 5; g(a); } return a;", "int a = 0; if (n) { a = 5; g(a); } return a;"),
    ("preempt_disable(); n = ({ return 1; 2; }); preempt_enable();", "guard(preempt)(); n = ({ return 1; 2; });"),
]
FIRST = ["p->q != r", "p->q == r && f()", "!p->q", "p->q", "p->q->r || f()", "(r == p->q->s)"]
NOT_FIRST = [
    "p && p->q->r", "!p || p->q->r", "f() && p->q == r", "f() == p->q", "(p->q = f())", "f(&p->q)", "xchg(&p->q, NULL)", "p->q++",
    "READ_ONCE(p->q) == r", "sizeof(*p->q) == 4", "({ f(); p->q; })", "p->q == r && p->q == s",
]  # fmt: skip


def function(body: str) -> str:
    return f"static int one(struct s *x, int n)\n{{\n\t{body}\n}}\n"


@pytest.mark.parametrize(("was", "now"), SAME)
def test_two_texts_that_mean_the_same(was: str, now: str) -> None:
    assert means_the_same(function(was), function(now)) and means_the_same(function(now), function(was))


@pytest.mark.parametrize(("was", "now"), OTHER)
def test_two_texts_that_differ(was: str, now: str) -> None:
    assert not means_the_same(function(was), function(now))


@pytest.mark.parametrize(("condition", "same"), [*((one, True) for one in FIRST), *((one, False) for one in NOT_FIRST)])
def test_a_variable_for_a_condition_is_read_first_and_only_read(condition: str, same: bool) -> None:
    was = function(f"if ({condition})\n\t\tg();")
    now = function(f"struct t *k = p->q;\n\n\tif ({condition.replace('p->q', 'k')})\n\t\tg();")
    assert means_the_same(was, now) is means_the_same(now, was) is same


def test_parameters_have_names_as_locals_have() -> None:
    a, b = "static bool one(int a, int b)\n{\n\treturn a != 0;\n}\n", "static bool one(int c, int b)\n{\n\treturn c;\n}\n"
    assert means_the_same(a, b)
    assert not means_the_same(a, b.replace("return c", "return b"))
    assert not means_the_same(a.replace("bool", "int"), b.replace("bool", "int"))


def test_what_is_no_c_has_changed() -> None:
    assert not means_the_same("static int one(void)\n{\n\treturn 0 0;\n}\n", "static int one(void)\n{\n\treturn 0 false;\n}\n")


def test_the_verdict_is_that_of_the_tree(tmp_path: Path) -> None:
    """So for a function that is judged, for one that is built in, and for a comparison."""
    kernel, patch = tree(tmp_path), tmp_path / "same.patch"
    patch.write_text(core("if (!irqs_disabled())", "if (irqs_disabled() == false)"))
    done = run(str(patch), "--kernel", kernel, *OTHERS)
    assert done.return_value == 0
    said = " ".join(done.output.split())
    assert "judged 1 of 1 changed function." in said
    assert f"equivalent: kernel_fpu_begin_mask ({CORE_FILE}:10): by the rules of C the change means nothing." in said
    assert run(str(patch), "--kernel", kernel, "--compare", *OTHERS).return_value == 0
    judged = account(tmp_path, core(KVM, KVM.replace("return 0;", "return false;")))
    assert fates(judged) == {"fpu_update_guest_xfd": "equivalent"}


def test_a_part_that_means_nothing_is_not_told(tmp_path: Path) -> None:
    """Beside it something else changes, which is judged."""
    new = FORK.replace("pasid_activated = 0", "pasid_activated = false")
    assert new != FORK
    judged = account(tmp_path, diff("kernel/fork.c", FORK, new))
    assert fates(judged) == {"dup_task_struct": "equivalent"}
    before = CORE + "\n" + KVM
    after = before.replace("if (!irqs_disabled())", "if (irqs_disabled() == 0)", 1)
    after = after.replace("\t\tfpregs_lock();", "\t\tpreempt_disable();", 1)
    judged = account(tmp_path, diff(CORE_FILE, before, after))
    (item,) = (item for item in judged.items if item.changed)
    assert item.fate.value == "judged" and not item.left_out
