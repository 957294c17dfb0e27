"""Bad input: one clear error with its place, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pasidlab.designs import Opening
from pasidlab.errors import PasidlabError

FIX = "static bool try_fixup_enqcmd_gp(void)\n{\n%s\n\treturn false;\n}\n"

BAD = {
    "not C": ("def f(x):\n    return 'x\n", "fix.c:2:12: this character has no end on its line"),
    "prose": ("Hello world, this is a letter.\n", "fix.c:1:1: cannot make sense of"),
    "half a function": (
        "static bool try_fixup_enqcmd_gp(void)\n{\n\tif (current->mm) {\n",
        "fix.c:3:19: not valid C: this '{' is never closed",
    ),
    "no function": ("int x;\n", "there is no function definition here"),
    "empty": ("   \n", "fix.c is empty"),
    "endless comment": ("/* ...\n", "fix.c:1:1: this comment never ends"),
    "endless string": ('char *s = "abc;\n', "fix.c:1:11: this string has no end on its line"),
    "stray character": (FIX % "\t§;", "fix.c:3:2: '§' is no part of C"),
    "too many": ("".join(f"#define A{i} A{i + 1} + A{i + 1}\n" for i in range(30)) + FIX % "\treturn A0;", "expands without end"),
    "macro arguments": ("#define F(a, b) a\n" + FIX % "\tF(1);", "fix.c:4:2: macro F does not expand: it takes 2 arguments, 1 given"),
    "macro without end": ("#define F(a) a\n" + FIX % "\tF(1", "macro F does not expand: its arguments have no end"),
    "#if without #endif": ("#ifdef CONFIG_SMP\n" + FIX % "", "fix.c:1:2: this #if has no #endif"),
    "#endif without #if": (FIX % "" + "#endif\n", "fix.c:6:2: #endif without #if"),
    "#error": ("#error needs CONFIG_X\n", "fix.c:1:2: #error needs CONFIG_X"),
    "bad #if": ("#if 1 +\n#endif\n", "fix.c:1:2: an expression is missing in #if"),
    "deep brackets": (FIX % ("\treturn " + "(" * 300 + "1" + ")" * 300 + ";"), "brackets are nested more than 200 deep"),
    "deep nesting": (FIX % ("\treturn " + "!" * 3000 + "1;"), "is nested too deeply"),
    "nothing replaces": ("static int foo(void)\n{\n\treturn 1;\n}\n", "fix.c:1:1: nothing here replaces a kernel function: foo"),
    "wrong arity": (
        "static bool try_fixup_enqcmd_gp(int x)\n{\n\treturn false;\n}\n",
        "has 1 parameter, but is known as try_fixup_enqcmd_gp()",
    ),
    "arity of a call": ("static int f(int x) { return x; }\n" + FIX % "\tf();", "fix.c:4:2: f takes 1 argument, 0 given"),
    "recursion": ("static int f(int x) { return f(x); }\n" + FIX % "\tf(1);", "fix.c:1:1: recursion: f -> f"),
    "no such label": (FIX % "\tgoto nowhere;", "try_fixup_enqcmd_gp: goto nowhere, but there is no such label"),
    "used before set": (FIX % "\treturn x;", "fix.c:3:9: unknown name 'x'"),
    "static local": (FIX % "\tstatic int n;", "fix.c:3:2: 'n': static locals are outside the C that can be checked"),
    "function pointer": (FIX % "\tcurrent->mm->f();", "calls through pointers are outside the C that can be checked"),
    "pointer arithmetic": (FIX % "\tif (current + 1)\n\t\treturn true;", "fix.c:3:6: arithmetic on a pointer: 'current+1'"),
    "different structs": (FIX % "\tif (current == current->mm)\n\t\treturn true;", "fix.c:3:6: compares a Task with a Mm"),
    "assembler": (FIX % '\tasm volatile("wbinvd");', "unknown instruction in inline assembler 'wbinvd'"),
    "feature": (FIX % "\tif (boot_cpu_has(X86_FEATURE_NEW))\n\t\treturn true;", "unknown CPU feature 'X86_FEATURE_NEW'"),
    "break": (FIX % "\tbreak;", "fix.c:3:2: break outside a loop"),
}


@pytest.mark.parametrize("name", BAD)
def test_c_files(name: str, tmp_path: Path) -> None:
    text, message = BAD[name]
    path = tmp_path / "fix.c"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(PasidlabError) as caught:
        Opening(str(path)).design()
    assert message in str(caught.value).replace(f"{tmp_path}/", "")


def test_unknown_names_come_all_at_once(tmp_path: Path) -> None:
    path = tmp_path / "fix.c"
    path.write_text(FIX % "\tfoo(1);\n\tif (current->novel)\n\t\tbar(TIF_NEW);\n\ttest_thread_flg(TIF_NEED_FPU_LOAD);", encoding="utf-8")
    with pytest.raises(PasidlabError) as caught:
        Opening(str(path)).design()
    text = str(caught.value).replace(f"{tmp_path}/", "")
    assert text.startswith("fix.c:3:2: 5 names mean nothing to the model:\n")
    for part in (
        "fix.c:3:2: unknown function 'foo'", "fix.c:4:6: unknown member 'task_struct.novel'", "fix.c:5:3: unknown function 'bar'",
        "fix.c:5:7: unknown name 'TIF_NEW'", "fix.c:6:2: unknown function 'test_thread_flg' (did you mean 'test_thread_flag'?)",
        "--stub foo=noop leaves it out, --stub foo=unconstrained tries every value",
    ):  # fmt: skip
        assert part in text


@pytest.mark.parametrize(
    ("data", "name", "message"),
    [
        (b"\x7fELF\x00\x00", "fix.c", "is not a text file (byte 4 is zero)"),
        (b"int \xff;", "fix.c", "is not a text file (byte 4 is not UTF-8)"),
        (b"x" * 10_000_000, "fix.c", "is too large: 10.0 MB, at most 4 MB are read"),
        (b"", "mail.mbox", "is empty"),
        (b"From: a@b\nSubject: hello\n\nno patch here\n", "mail.eml", "holds no patch"),
        (b"@@ -1,2 +1,2 @@\n-a\n+b\n", "x.patch", "a hunk without the file it belongs to"),
        (b"--- a/x.c\n+++ b/x.c\n@@ -1,9 +1,9 @@\n-a\n+b\n", "x.patch", "this hunk of x.c is cut short"),
        (b"nothing at all\n", "x.patch", "holds no patch"),
    ],
)
def test_files_that_are_no_input(data: bytes, name: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(PasidlabError, match=message.replace("(", r"\(").replace(")", r"\)")):
        Opening(str(path)).design()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"config": ("CONFIG_X",)}, "cannot read 'CONFIG_X'"),
        ({"stubs": ("foo=maybe",)}, "cannot read stub 'foo=maybe'"),
        ({"stubs": ("foo=unconstrained:5..1",)}, "from 5 to 1 is no range to try"),
        ({"base": "erly"}, "unknown design 'erly'"),
        ({"kernel": "/usr"}, "/usr is no Linux source tree"),
    ],
)
def test_options(options: dict[str, object], message: str, tmp_path: Path) -> None:
    path = tmp_path / "fix.c"
    path.write_text(FIX % "", encoding="utf-8")
    with pytest.raises(PasidlabError, match=message.replace("(", r"\(")):
        Opening(str(path), **options).design()  # type: ignore[arg-type]


def test_many_declarations_are_no_trouble(tmp_path: Path) -> None:
    path = tmp_path / "fix.c"
    path.write_text(FIX % "\n".join(f"\tint a{n} = {n};" for n in range(5000)), encoding="utf-8")
    assert Opening(str(path)).design().name == "fix.c"


def test_command_line_exits_with_2() -> None:
    command = [sys.executable, "-m", "pasidlab", "check", "-"]
    done = subprocess.run(command, input="not C at all", capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr.startswith("error: <stdin>:1:")
    assert "Traceback" not in done.stderr
