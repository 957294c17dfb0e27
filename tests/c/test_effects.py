"""Arguments whose values nobody needs are evaluated, guards keep theirs, images are cleared and copied as a whole or not at all."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from c_machine import Machine, refusal, result_of

from harness import some
from pasidlab.checking.api import CheckResult
from pasidlab.model.scope import Scope

SMALL = Scope(cpus=1, tasks=1, mms=1, pasids=1, events=frozenset({"preempt", "migrate"}))
DESIGN = """
static bool %s(void)
{
	if (!mm_valid_pasid(current->mm) || current->pasid_activated)
		return false;
	%s
	fpregs_lock();
	if (test_thread_flag(TIF_NEED_FPU_LOAD))
		fpregs_restore_userregs();
	wrmsrl(MSR_IA32_PASID, current->mm->pasid | MSR_IA32_PASID_VALID);
	fpregs_unlock();
	current->pasid_activated = 1;
	return true;
}
"""
LATE, EARLY = "__fixup_pasid_exception", "try_fixup_enqcmd_gp"
EFFECTS = {
    (LATE, 'pr_info("#GP on CPU %d\\n", smp_processor_id());'): "smp_processor_id() in preemptible code",
    (LATE, "trace_foo(__this_cpu_read(in_kernel_fpu));"): "__this_cpu_read() in preemptible code",
    (EARLY, 'printk("%d", cond_resched());'): "sleeps in atomic context: interrupts disabled",
    (LATE, 'pr_info("%d", ({ BUG(); 1; }));'): "BUG() is reached",
    (EARLY, 'struct mm_struct *m = current->mm->pasid == 1 ? NULL : current->mm; pr_err("%d", m->pasid);'): "NULL pointer",
    (EARLY, 'int z = 0; pr_info("%d", 5 / z);'): "division by zero",
    (LATE, 'atomic_t a = ATOMIC_INIT(0); pr_info("%d", atomic_inc_return(&a)); WARN_ON_ONCE(atomic_read(&a) != 1);'): "",
    (LATE, 'pr_info("%s %d", current->comm, task_pid_nr(current));'): "",  # what means nothing here, and does nothing
}


@pytest.mark.parametrize(("name", "body"), some(list(EFFECTS), 2))
def test_arguments_of_messages_are_evaluated(checked: Callable[..., CheckResult], name: str, body: str) -> None:
    said = EFFECTS[name, body]
    result = checked(DESIGN % (name, body), SMALL)
    found = [c.sentence for c in result.counterexamples if c.property == "sound_kernel"]
    assert len(found) == bool(said) and all(said in sentence for sentence in found)


VALUES = {
    "struct s { u8 v[4]; } a = { { 1, 2, 3, 4 } }, b; struct s *p = memcpy(&b, &a, sizeof(b)); return p == &b && b.v[3] == 4;": 1,
    "int a = 5; return memset(&a, 0, sizeof(a)) == &a && !a;": 1,
    "int i = 0; u32 v = 0xffffffff; return ffz(v) + i;": 32,
    "return BITS_PER_LONG == 64 && INT_MIN < 0 && LLONG_MAX > 0 && UINT_MAX + 1 == 0;": 1,
}


@pytest.mark.parametrize("body", VALUES)
def test_values(body: str) -> None:
    assert result_of(body) == VALUES[body]


MACROS = {
    "static int g(int x) { return x; }\n#define g(x) (g(x) - 1)\nint f(void)\n{\n return likely(g(1));\n}": 0,
    "static int g(int x) { return 10 * x; }\n#define g(x) (g(x) + 1)\n#define ID(x) x\nint f(void)\n{\n return ID(g(1)) + g(g(2));\n}": 222,
    "int f(void)\n{\n#if BITS_PER_LONG == 64\n return 1;\n#else\n return 2;\n#endif\n}": 1,
}


@pytest.mark.parametrize("text", MACROS)
def test_names_painted_once_stay_so(text: str) -> None:
    assert Machine(text).call("f") == MACROS[text]


REFUSED = {
    "struct ia32_pasid_state *p = get_xsave_addr(&current->thread.fpu.fpstate->regs.xsave, XFEATURE_PASID);"
    " memset(p, 0, sizeof(*p)); return 0;": "'p' is a ia32_pasid_state: a part of an image, or no image\n  hint: each member alone",
    "struct xregs_state *x = &current->thread.fpu.fpstate->regs.xsave; memset(x, 0, sizeof(x)); return 0;": "'sizeof(x)' as the length",
    "struct xregs_state *x = &current->thread.fpu.fpstate->regs.xsave; memset(x, 0, sizeof(u32)); return 0;": "'sizeof(unsignedint)' as",
    'int n = 0; WARN_ONCE(n, "%d", xchg(&n, 1)); return n;': "happens only where the warning fires",
    "int a[2] = { 1, 2 }, i = 0; swap(a[0], a[i++]); return a[0];": "swap() would do 'a[i++]' twice",
    "guard()(); return 0;": "guard() of 0 classes\n  hint: guard(NAME)(ARGUMENT)",
    "scoped_guard() return 1; return 0;": "scoped_guard() without a class",
    "\n#define XFEATURE_PASID 11\n return XFEATURE_PASID;": "'XFEATURE_PASID' has a meaning here already",
    "\n#ifdef MSR_IA32_PASID\n return 1;\n#endif\n return 0;": "whether 'MSR_IA32_PASID' is a macro",
    "\n#if NR_CPUS > 4\n return 1;\n#endif\n return 0;": "the value of 'NR_CPUS' in #if is not known here",
    "\n#if __LINE__ == 7\n return 1;\n#endif\n return 0;": "the value of '__LINE__' in #if is not known here",
    "\n#if defined(WARN_ON_ONCE) && 1\n return 1;\n#endif\n return 0;": "whether 'WARN_ON_ONCE' is a macro",
}


@pytest.mark.parametrize("body", REFUSED)
def test_refused(body: str) -> None:
    assert REFUSED[body] in refusal(body)


def test_a_guard_of_nothing_gives_nothing_back() -> None:
    """DEFINE_GUARD(), include/linux/cleanup.h, v6.12: ``if (_T) { unlock; }``."""
    text = "DEFINE_GUARD(my, int, preempt_disable(), preempt_enable())\nint f(void) { { guard(my)(0); } return preempt_count(); }"
    assert Machine(text).call("f") == 1
    assert Machine(text.replace("guard(my)(0)", "guard(my)(2)")).call("f") == 0


GUARD = """
static int held;
static void take(int *p) { *p += 1; }
DEFINE_GUARD(my, int *, take(_T), *_T -= 1)
int f(void)
{
	int x = 1, *p = NULL;
	%s
	return x;
}
"""


@pytest.mark.parametrize(
    "body", ["int *q = &x; { guard(my)(q); q = p; }", "int a[2] = { 0, 0 }, i = 0; { guard(my)(&a[i]); i++; }", "{ guard(my)(&x + x++); }"]
)
def test_the_argument_of_a_guard_must_stay(body: str) -> None:
    with pytest.raises(Exception, match=r"may be another at its end|arithmetic|outside"):
        Machine((GUARD % body).replace("static int held;\n", "")).call("f")
