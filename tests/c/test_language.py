"""What C statements and expressions mean: WARN_ON_ONCE() of the contrary must never fire."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness import some
from pasidlab.checking.api import CheckResult

Checked = Callable[..., CheckResult]

HANDLER = """
%s
static bool try_fixup_enqcmd_gp(void)
{
%s
	wrmsrl(MSR_IA32_PASID, current->mm->pasid | MSR_IA32_PASID_VALID);
	current->pasid_activated = 1;
	return true;
}
"""

TRUE = {
    "arithmetic": ("", "int a = 7, b = 2; WARN_ON_ONCE(a / b != 3 || a % b != 1 || -a / b != -3 || a - b * 3 != 1);"),
    "unsigned wraps": ("", "u32 a = 0; a -= 1; WARN_ON_ONCE(a != 0xffffffff); WARN_ON_ONCE((u8)300 != 44);"),
    "shifts and masks": ("", "u64 m = BIT_ULL(31); WARN_ON_ONCE((m >> 31) != 1 || (m & ~BIT_ULL(31)) || (5 ^ 1) != 4);"),
    "compound assignment": ("", "int a = 1; a += 4; a <<= 2; a |= 3; a &= ~1; a ^= 8; WARN_ON_ONCE(a != 30);"),
    "increments": ("", "int a = 1, b; b = a++; WARN_ON_ONCE(b != 1 || a != 2); b = --a; WARN_ON_ONCE(b != 1 || a != 1);"),
    "ternary and comma": ("", "int a = (1, 2) == 2 ? 5 : 6; WARN_ON_ONCE(a != 5);"),
    "short circuit": ("static bool never(void) { BUG(); return true; }", "WARN_ON_ONCE(0 && never()); WARN_ON_ONCE(!(1 || never()));"),
    "for": (
        "",
        "int i, n = 0; for (i = 0; i < 4; i++) { if (i == 1) continue; if (i == 3) break; n |= 1 << i; }\n"
        "\tWARN_ON_ONCE(n != 5 || i != 3);",
    ),
    "while and do": ("", "int n = 0; while (n < 3) n++; do n++; while (n < 3); WARN_ON_ONCE(n != 4);"),
    "switch falls through": (
        "enum kind { ONE = 1, TWO, THREE };",
        "int n = 0; switch (TWO) { case ONE: n = 9; break; case TWO: n += 1; case THREE: n += 2; break; default: n = 7; }\n"
        "\tWARN_ON_ONCE(n != 3);",
    ),
    "goto": ("", "int n = 0;\nagain:\n\tn++; if (n < 3) goto again; WARN_ON_ONCE(n != 3);"),
    "static inline helpers": ("static inline int twice(int x) { return 2 * x; }", "WARN_ON_ONCE(twice(twice(2)) != 8);"),
    "macros": (
        "#define ADD(a, b) ((a) + (b))\n#define CAT(a, b) a##b\n#define TWICE(x) ({ int y = (x); y + y; })",
        "int forty = 40; WARN_ON_ONCE(ADD(CAT(for, ty), 2) != 42 || TWICE(3) != 6);",
    ),
    "conditionals": (
        "#if defined(CONFIG_SMP) && !defined(CONFIG_NOT_THERE)\n#define N 1\n#elif 1\n#define N 2\n#else\n#define N 3\n#endif",
        "WARN_ON_ONCE(N != 1 || IS_ENABLED(CONFIG_PREEMPT_RT) || !IS_ENABLED(CONFIG_SMP));",
    ),
    "pointers": (
        "",
        "struct fpu *fpu = &current->thread.fpu; struct xregs_state *x = &fpu->fpstate->regs.xsave; struct task_struct *t = NULL;\n"
        "\tWARN_ON_ONCE(t); t = current; WARN_ON_ONCE(!t || t != current || fpu->last_cpu == -1 || fpu->last_cpu != smp_processor_id());\n"
        "\tWARN_ON_ONCE(&t->thread.fpu != fpu || !x);",
    ),
    "flags": (
        "",
        "WARN_ON_ONCE(test_thread_flag(TIF_NEED_FPU_LOAD) || !irqs_disabled());\n"
        "\tWARN_ON_ONCE(in_hardirq() || (current->flags & PF_KTHREAD));",
    ),
    "per-cpu": ("", "WARN_ON_ONCE(this_cpu_read(fpu_fpregs_owner_ctx) != &current->thread.fpu || this_cpu_read(in_kernel_fpu));"),
    "features": ("", "WARN_ON_ONCE(!cpu_feature_enabled(X86_FEATURE_ENQCMD) || boot_cpu_has(X86_FEATURE_SHSTK));"),
    "dead code is not read": ("", "if (0) { unheard_of(1); } else if (user_mode(0)) { } else { another(); }"),
    "scopes": ("", "int a = 1; { int a = 2; WARN_ON_ONCE(a != 2); } WARN_ON_ONCE(a != 1);"),
    "sizeof, casts, char": ("", "WARN_ON_ONCE(sizeof(int) == 0 || (bool)4 != 1 || 'a' != 97 || 0x10 != 16 || 010 != 8);"),
    "bits of the header": (
        "",
        "struct xstate_header *h = &current->thread.fpu.fpstate->regs.xsave.header;\n"
        "\tsave_fpregs_to_fpstate(&current->thread.fpu);\n"
        "\th->xfeatures |= XFEATURE_MASK_PASID; WARN_ON_ONCE(!(h->xfeatures & XFEATURE_MASK_PASID));\n"
        "\tWARN_ON_ONCE(!get_xsave_addr(&current->thread.fpu.fpstate->regs.xsave, XFEATURE_PASID));\n"
        "\th->xfeatures &= ~XFEATURE_MASK_PASID; WARN_ON_ONCE(h->xfeatures & XFEATURE_MASK_PASID);\n"
        "\tWARN_ON_ONCE(get_xsave_addr(&current->thread.fpu.fpstate->regs.xsave, XFEATURE_PASID));",
    ),
}


@pytest.mark.parametrize("name", some(TRUE, 3))
def test_means_what_it_means_in_c(name: str, checked: Checked) -> None:
    before, body = TRUE[name]
    result = checked(HANDLER % (before, "\t" + body))
    assert "sound_kernel" not in [c.property for c in result.counterexamples]
    assert next(p for p in result.properties if p.name == "sound_kernel").reached or "WARN" not in body


@pytest.mark.parametrize("wrong", ["1 + 1 != 2 || true", "current->pasid_activated == 0", "smp_processor_id() == smp_processor_id()"])
def test_warnings_do_fire(wrong: str, checked: Checked) -> None:
    assert "sound_kernel" in [c.property for c in checked(HANDLER % ("", f"\tWARN_ON_ONCE({wrong});")).counterexamples]


def test_config_option_takes_the_fixup_away(checked: Checked) -> None:
    body = HANDLER.split("{", 1)[1].replace("%s", "").rsplit("}", 1)[0]
    text = "static bool try_fixup_enqcmd_gp(void)\n{\n#ifdef CONFIG_IOMMU_SVA\n" + body
    text += "#else\n\treturn false;\n#endif\n}\n"
    assert checked(text).holds
    assert [c.property for c in checked(text, config=("CONFIG_IOMMU_SVA=n",)).counterexamples] == ["served"]


def test_stubs(checked: Checked) -> None:
    text = HANDLER % ("", "\tif (mystery(current))\n\t\treturn false;")
    assert checked(text, stubs=("mystery=noop",)).holds
    assert [c.property for c in checked(text, stubs=("mystery=unconstrained",)).counterexamples] == ["served"]


def test_the_number_of_a_cpu_is_not_a_plain_number(checked: Checked) -> None:
    text = HANDLER % ("", "\tint cpu = smp_processor_id();\n\tWARN_ON_ONCE(current->thread.fpu.last_cpu != cpu%s);")
    assert checked(text % "").holds
    other = checked(text % " || cpu != 0 || cpu == -1")  # what number a CPU has is not the model's to say
    assert other.verdict == "inconclusive" and not other.counterexamples
