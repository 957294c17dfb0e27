"""What cannot be compiled as C means it is refused at its place, with what to write instead."""

from __future__ import annotations

import pytest
from c_machine import Crash, refusal, result_of

REFUSED = {
    "int x; return x;": "fix.c:4:8: 'x' may be used before it has a value\n  hint: give it one where it is declared",
    "int x; if (current->mm) x = 1; return x;": "'x' may be used before it has a value",
    "u8 v[2]; v[0] = 1; return v[1];": "'v[1]' may be used before it has a value",
    "int i; for (i = 0; i < 2; i++) { int k; if (!i) k = 1; else return k; } return 0;": "'k' may be used before it has a value",
    "goto in; { int x = 1; in: return x; }": "'x' may be used before it has a value",
    "if (current->mm) return 1;": "f() may end here without a value\n  hint: return one, or BUG()",
    "strange_t x = 1; return x;": "fix.c:4:11: 'strange_t' is no type that is known here\n  hint: typedef unsigned int strange_t;",
    "typedef u8 *tp; tp p = 0; return 0;": "'tp' is no type that is known here\n  hint: a typedef of a pointer, an array or a function is",
    "double d = 1; return 0;": "'double' is no type that is known here\n  hint: floating point has no place in a kernel",
    "return (strange_t)(1);": "'strange_t' is no type that is known here",
    "float f = 1; return 0;": "'float' is no type that is known here",
    "return 1.5;": "'1.5' is no integer\n  hint: floating point has no place in a kernel",
    "return 99999999999999999999;": "is no integer",
    f"return {'9' * 5000};": "9' is no integer",
    "return 08;": "'08' is no integer",
    "return 1 / 0;": "fix.c:4:8: division by zero",
    "return 1 << 32;": "a shift by 32 of int, which has 32 bits\n  hint: 0 to 31; a wider type is 1ULL",
    "return 1ULL << 64;": "a shift by 64 of unsigned long long",
    "return 1 >> -1;": "a shift by -1 of int",
    "union { u64 a; u8 b; } u; u.b = 1; return u.b;": "'u' may be used before it has a value",
    "union { u64 a, b[2]; } u = { 1 }; return 0;": "'u': a union of 16 bytes\n  hint: 8 can be checked",
    "union { struct mm_struct *m; u64 a; } u = { 0 }; return 0;": "'u.m': a struct mm_struct * in a union\n  hint: numbers can be there",
    "union { u8 a; u16 b; } u = { 1, 2 }; return 0;": "more values than struct",
    "struct { int a, b[2]; } s = { .b[1] = 2, 3 }; return 0;": "more values than struct",
    "int v[3] = { [0 ... 3] = 1 }; return 0;": "'[0...3]=1' names no part of int []",
    "int n = 1, v[3] = { [0 ... 1] = n++ }; return 0;": "a value with effects for several elements\n  hint: give each element its own",
    "struct own { int last_cpu; } x = { 300 }; int w = x.last_cpu; return w;": "'w' has the number of a CPU elsewhere, here another number",
    "goto in; { guard(preempt)(); in: return 1; }": "goto in leads into the scope of a guard\n  hint: call the functions",
    "spin_lock(&current->mm->lock); return 0;": "as a spin lock\n  hint: one of the file, by its name: static DEFINE_SPINLOCK(lock);",
    "spin_lock(&a); spin_lock(&b); spin_lock(&c); return 0;": "fix.c:4:41: 'c' is one spin lock too many: the model has 2, here a and b",
    "spin_lock(&a, 1); return 0;": "this spin lock takes 1 argument, 2 given",
    "struct fpstate h = *current->thread.fpu.fpstate; return 0;": "a struct is copied\n  hint: use a pointer",
    "struct pair x = { 1, 2 }, y = x; return (y = x).b;": "'(y=x).b': a member of a struct without a name",
    "typedef u8 T; T a = 1; { typedef u16 T; T b = 2; return a + b; }": "'T' is the name of two types in this file",
    "typedef u8 T; { int T = 5; return (T)+1; }": "'T' is the name of a type and of something else in this file",
    "u16 u8 = 5; return (u8)+1;": "'u8' is the name of a type and of something else",
    "struct pair { u64 z; } p = { 1 }; return p.z;": "'pair' is the name of two structs\n  hint: give each a name of its own",
    "{ struct l { u32 w; }; } { struct l { u8 w; } x = { 1 }; return x.w; }": "'l' is the name of two structs",
    "struct s { u8 a; u32 b; } __packed; return sizeof(struct s);": "the size of struct s is not known here",
    "struct s { u8 a; u32 b __aligned(8); }; return sizeof(struct s);": "the size of struct s is not known here",
    "int n = 0; WARN(n, \"%d\", n++); return n;": "'n++' happens only where the warning fires\n  hint: a statement of its own",
    "struct pair p; struct other o = { 1 }; p = o; return 0;": "copies something that is no struct pair of this function",
    "u8 v[2] = { 1, 2 }; return v[2];": "'v[2]': element 2 of 2",
    "u8 v[2] = { 1, 2, 3 }; return 0;": "more values than unsigned char [] has parts",
    "u8 v[1000]; return 0;": "'v': an array of 1000 elements\n  hint: 1 to 256 can be checked",
    "int n = 2; u8 v[n]; return 0;": "'n' must be a constant that is not negative",
    "int a = 1, b = 2, *p = &a; p = &b; return *p;": "set more than once",
    "int a = 1, *p; if (current->mm) p = &a; return *p;": "'p' is a pointer to a variable, and has no value where it is declared",
    "int *p = (int *)4; return 0;": "a number as a pointer\n  hint: only 0 is one in the model: NULL",
    "return (long)current;": "a pointer as a number (long)",
    "return *(u8 *)current;": "a Task looked at as unsigned char *",
    "int n = 1; return *(u8 *)&n;": "a variable looked at as another type",
    "struct mm_struct *m = current; return 0;": "a pointer to a Task as a pointer to a Mm",
    "return current < current;": "pointers can only be compared for equality",
    "return current == 5;": "compares a pointer with a number that is not 0",
    "return sizeof(struct task_struct);": "the size of struct task_struct is not known here",
    "return sizeof(struct tight);": "the size of struct tight is not known here",
    "return offsetof(struct task_struct, mm);": "is not known here\n  hint: the model has no layout of kernel structs",
    "return offsetof(struct pair, c);": "'offsetof(struct pair, c)' is not known here",
    "void (*g)(void) = 0; g(); return 0;": "calls through pointers are outside the C that can be checked",
    "return ({ struct pair p = { 1, 2 }; p; }).a;": "a member of a struct without a name",
    "int x = pass(); return x;": "'x' is given what has no value",
    "int n = 1; switch (1) { case n: return 2; } return 0;": "'case n' must be a constant",
    "asm volatile(\"wrmsr\"); return 0;": "unknown instruction in inline assembler 'wrmsr'",
    "return READ_ONCE(nothing->x);": "unknown name 'nothing'",
    "current->comm[0] = 1; return 0;": "unknown member 'task_struct.comm'",
    "memcpy(&current->thread.fpu.fpstate->regs, current, 8); return 0;": "'8' as the length of an image\n  hint: sizeof(*dst)",
    "force_sig(7); return 0;": "force_sig() is not known with these arguments: the model knows force_sig(SIGSEGV)",
    "if (static_branch_unlikely(&mine)) return 1; return 0;": "unknown static key 'mine'",
    "wrmsr(MSR_IA32_PASID, 1, 2); return 0;": "wrmsr() is not known with these arguments: the model knows wrmsr(MSR_IA32_PASID, low, 0)",
    "u32 x = 1; return test_bit(3, &x);": "a bit operation on unsigned int\n  hint: it takes the address of an unsigned long",
    "min(1); return 0;": "min takes 2 arguments, 1 given",
    "label: goto *label; return 0;": "cannot make sense of",
    "static int n; return n;": "static locals are outside the C that can be checked",
    "return __builtin_magic(1);": "unknown function '__builtin_magic'",
    "return twice(twice);": "unknown name 'twice'",
    "return twice(1, 2);": "fix.c:4:8: twice takes 1 argument, 2 given",
    "struct pair p = { 1, 2 }; return whole(p);": "a struct is passed by value\n  hint: pass a pointer to it",
    "int n = 1; return 1 ? &n : 0;": "a pointer to a variable, depending on a condition",
    "mm_of(5); return 0;": "a number as a pointer (struct mm_struct *)",
    "const int c = 1; c = again(); return again();": "recursion",
    "table[0] = 1; return 0;": "is constant",
    "u8 b:3 = 1; return b;": "cannot make sense of",
    "int a = 1; int a = 2; return a;": "fix.c:4:16: 'a' is declared twice in one scope",
    "x: x: return 1;": "the label x is there twice",
    "switch (1) { case 1: case 1: return 2; } return 0;": "'case 1' is there twice in one switch",
    "switch (1) { case 1 ... 4: case 3: return 2; } return 0;": "'case 3' is there twice in one switch",
    "switch (1) { case 9: case 4 ... 6: case 1: case 2 ... 4: return 2; } return 0;": "' is there twice in one switch",
    "switch (1) { case 9: case 5: case 7: case 1: case 6 ... 8: return 2; } return 0;": "' is there twice in one switch",
    "switch (1) { default: default: return 2; } return 0;": "a second default in one switch",
    "switch (1) { case 1: ; guard(preempt)(); case 2: return 1; } return 0;": "this case leads into the scope of a guard",
    "case 1: return 1;": "'case 1: return 1;' outside a switch",
    "switch (current) { case 1: return 2; } return 0;": "a switch upon struct task_struct *\n  hint: an integer",
    "const int a = 1; a = 2; return a;": "fix.c:4:18: 'a=2' is constant",
    "const struct pair p = { 1, 2 }; p.a++; return 0;": "'p.a++' is constant",
    "int a = 1, *const p = &a; p = 0; return 0;": "set more than once",
    "int a = 1; -a = 3; return a;": "left of this assignment cannot be stored to\n  hint: brackets around",
    "int a = 1, b = 2; a && b = 3; return a;": "what stands left of this assignment cannot be stored to",
    "int a = 1; return a ? a : a = 3;": "what stands left of this assignment cannot be stored to",
    "struct pair p = { 1, 2 }; if (p) return 1; return 0;": "a struct pair where a number or a pointer is asked for\n  hint: one of",
    "return pass();": "what has no value (void) is used as one",
    "return ({ int k = 1; });": "what has no value (void) is used as one",
    "void v; return 0;": "'v' is of the type void",
    "struct { u8 a:9; } s = { 1 }; return s.a;": "a bit field of 9 bits of unsigned char",
    "struct { u8 a:0; } s = { 1 }; return s.a;": "a bit field of 0 bits of unsigned char",
    "return per_cpu(in_kernel_fpu, 7);": "there is no CPU 7: the scope has 2\n  hint: --cpus",
    "return;": "f() returns a int, here nothing",
    "int a = 1; asm(\"nop\" : \"=r\"(a)); return a;": "inline assembler that gives a variable a value",
    "int a = 1; { extern int a; return a; }": "'a' is a variable of the function here",
    "typeof(nothing) a = 1; return a;": "unknown name 'nothing'",
    "return sizeof(current->nonsense);": "unknown member 'task_struct.nonsense'",
    "struct pair v[] = { 1, 2, 3 }; return 0;": "an element without brackets, in an array whose length its values tell\n  hint: brackets",
    "struct pair *v[2] = { 0 }; int i = current->mm ? 1 : 0; return v[i]->a;": "an element that depends on a variable must be a number",
    "u8 v[2] = { 1, 2 }; return v[1ULL << 32];": "element 4294967296 of 2",
}  # fmt: skip
BEFORE = (
    "struct pair { int a; u8 b; }; struct other { int a; u8 b; }; static int again(void) { return again(); } "
    "static const u8 table[] = { 1 }; static int twice(int x) { return x * 2; } static void pass(void) { } "
    "static int whole(struct pair p) { return 1; } static void mm_of(struct mm_struct *mm) { } "
    "struct tight { u8 a; u32 b; } __attribute__((packed));"
)


@pytest.mark.parametrize("body", REFUSED)
def test_refused(body: str) -> None:
    said = refusal(body, BEFORE)
    assert REFUSED[body] in said
    assert said.startswith("fix.c:") and "Traceback" not in said


def test_what_is_accepted_beside_them() -> None:
    assert refusal("int x; x = 1; return x;", BEFORE) == "accepted"
    assert refusal("int x; if (current->mm) x = 1; else x = 2; return x;", BEFORE) == "accepted"
    assert refusal("while (1) { if (current->mm) return 1; } ", BEFORE) == "accepted"
    assert refusal("struct pair p = { 1, 2 }; return twice(p.b);", BEFORE) == "accepted"


TWICE = {
    "static int g(void) { return 1; } static int g(void) { return 2; }": "fix.c:1:34: 'g' is defined twice",
    "enum { A, B, A };": "'A' is defined twice",
    "static int g(int a, int a) { return a; }": "g: two parameters are named a",
}


@pytest.mark.parametrize("before", TWICE)
def test_a_name_is_defined_once(before: str) -> None:
    assert TWICE[before] in refusal("return g(1, 2);" if "int a" in before else "return 0;", before)


def test_null_ends_the_kernel() -> None:
    with pytest.raises(Crash, match="NULL pointer dereference"):
        result_of("struct s { int a; }; return ((struct s *)0)->a;")


def test_a_cpu_that_is_not_there_ends_the_kernel() -> None:
    with pytest.raises(Crash, match="there is no CPU of that number"):
        result_of("int n = current->mm ? 7 : 0; return per_cpu(in_kernel_fpu, n);")
    assert result_of("int n = current->mm ? 1 : 0; per_cpu(in_kernel_fpu, n) = 1; return per_cpu(in_kernel_fpu, 1);") == 1
