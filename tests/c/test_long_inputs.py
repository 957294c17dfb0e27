"""Mails, patches and C that nobody writes are refused, or read, in time that grows with their length. Each of these took minutes once, or
ended in a traceback.
"""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from pasidlab import Scope, check
from pasidlab.checking.model import design_model
from pasidlab.designs import Opening
from pasidlab.designs.intake.message import Mail
from pasidlab.errors import PasidlabError

SECONDS = 6.0
"""Of a processor. Each takes one at most."""
SIZE = 300_000
DIFF = (
    "diff --git a/arch/x86/kernel/traps.c b/arch/x86/kernel/traps.c\n--- a/arch/x86/kernel/traps.c\n+++ b/arch/x86/kernel/traps.c\n"
    "@@ -1,1 +1,{} @@\n"
)
HEAD = "From: a@b\nSubject: [PATCH] x\n"
ALONE = "Content-Type: message/rfc822\n\n"
NOTHING = "changes nothing that is modelled"


def nested(depth: int) -> str:
    return "".join(f'Content-Type: multipart/mixed; boundary="b{n}"\n\n--b{n}\n' for n in range(depth))


def added(line: str, count: int) -> str:
    return DIFF.format(count + 1) + f"+{line}\n" * count + " x\n"


MAILS = {
    "multiparts": (HEAD + nested(5_000), "parts within parts of a message, more than 10 deep"),
    "messages": (HEAD + ALONE * 5_000, "parts within parts of a message, more than 10 deep"),
    "parts": (HEAD + 'Content-Type: multipart/mixed; boundary="b"\n\n' + "--b\n\nx\n" * (SIZE // 7), "a message of more than 1000 parts"),
    "parameters": (HEAD + "Content-Type: text/plain; " + "a=b; " * (SIZE // 5) + "\n\nx\n", "a header Content-Type of 300027 characters"),
    "comments": (HEAD + f"Content-Transfer-Encoding: {'(' * 3_000}\n\nx\n", "a header Content-Transfer-Encoding that cannot be read"),
    "type": (HEAD + f"Content-Type: text/plain; a={'(' * 3_000}\n\nx\n", "a header Content-Type that cannot be read"),
    "subject": ("From: a\nSubject: x" + "\n x" * (SIZE // 3) + "\n\nx\n", "a header Subject of 300011 characters"),
    "mailbox": ("From a@b Mon Jan  1 00:00:00 2024\nFrom: a\nSubject: x\n\nb\n\n" * 30_000, "30000 messages read, none with a"),
    "macro": (HEAD + "\nint f(void)\n{\n}\n#define A \\\n" + "\\\n" * (SIZE // 2), NOTHING),
    "functions": (HEAD + "\n" + "".join(f"int f{n}(void)\n{{\n\treturn 1;\n}}\n" for n in range(8_000)), NOTHING),
    "no text": (HEAD + "Content-Type: text/plain; charset=undefined\n\nx\n", "none with a unified diff"),
}
PATCHES = {
    "lines": (added("a", SIZE // 3), NOTHING),
    "brackets": (added("{", SIZE // 3), NOTHING),
    "functions": (DIFF.format(20_001) + "".join(f"+int f{n}(void) {{ return 1; }}\n" for n in range(20_000)) + " x\n", NOTHING),
    "hunks": (DIFF.format(1) + "".join(f"-a\n+b\n@@ -{n},1 +{n},1 @@\n" for n in range(3, 60_000, 2)) + "-a\n+b\n", NOTHING),
    "headings": (added("a" + "){" * (SIZE // 2), 1), NOTHING),
    "strings": (added('\\"' * (SIZE // 2), 1), NOTHING),
    "number": (DIFF.format("9" * 5_000) + "+a\n x\n", "holds no patch"),
}
C = {
    "quotes": ('"' + '\\"' * (SIZE // 2), "this string has no end on its line"),
    "typedefs": ("typedef " * (SIZE // 8), "not valid C"),
    "cases": ("case " * (SIZE // 5), "as C"),
    "types": ("long char " * (SIZE // 10), "not valid C"),
}


def raised(path: Path, text: str) -> str:
    """The error of a design file, which must come in time."""
    path.write_text(text, encoding="utf-8")
    begin = time.process_time()
    with pytest.raises(PasidlabError) as caught:
        Opening(str(path)).design()
    assert time.process_time() - begin < SECONDS
    return str(caught.value)


@pytest.mark.parametrize("name", MAILS)
def test_mails(name: str, tmp_path: Path) -> None:
    text, what = MAILS[name]
    assert what in raised(tmp_path / "mail.mbox", text)


@pytest.mark.parametrize("name", PATCHES)
def test_patches(name: str, tmp_path: Path) -> None:
    text, what = PATCHES[name]
    assert what in raised(tmp_path / "x.patch", text)


@pytest.mark.parametrize("name", C)
def test_c(name: str, tmp_path: Path) -> None:
    text, what = C[name]
    assert what in raised(tmp_path / "x.c", text)


def test_calls_that_double(tmp_path: Path) -> None:
    """Of 30 functions each calls the next one twice: with a copy at each call, there would be a thousand million calls."""
    calls = "static void f30(void)\n{\n\tpreempt_disable();\n\tpreempt_enable();\n}\n"
    calls += "".join(f"static void f{n}(void)\n{{\n\tf{n + 1}();\n\tf{n + 1}();\n}}\n" for n in reversed(range(30)))
    path = tmp_path / "x.c"
    path.write_text(calls + "bool try_fixup_enqcmd_gp(void)\n{\n\tf0();\n\treturn false;\n}\n")
    begin = time.process_time()
    with pytest.raises(PasidlabError, match=r"x\.c:66:1: f17 has 32,767 instructions.*: 20,000 are the most\n  hint: call"):
        design_model(Opening(str(path)).design(), Scope(cpus=1, tasks=1, mms=1, events=frozenset()))
    assert time.process_time() - begin < SECONDS


def test_the_account_of_a_file_of_many_functions(tmp_path: Path) -> None:
    path = tmp_path / "x.c"
    others = "".join(f"static int g{n}(int x)\n{{\n\treturn x + {n};\n}}\n" for n in range(8_000))
    path.write_text(others + "bool try_fixup_enqcmd_gp(void)\n{\n\treturn g0(1) == 1;\n}\n")
    found = check(Opening(str(path)).design(), Scope(cpus=1, tasks=1, mms=1, events=frozenset()))
    begin = time.process_time()
    assert len(found.account) == 2 and time.process_time() - begin < SECONDS / 6


def test_parts_of_a_mail_are_read_as_they_were_sent() -> None:
    """Preamble and epilogue are no text; a part in a part is, and so is a mail that is attached, and a patch that calls itself data."""
    lines = [
        "Subject: [PATCH", " 1/1] x", 'Content-Type: multipart/mixed; boundary="b.*"', "", "preamble", "--b.*", "", "one", "",
        "--b.*  ", 'Content-Type: multipart/alternative; boundary="c"', "", "--c", "Content-Type: text/plain; charset=latin-1",
        "Content-Transfer-Encoding: quoted-printable", "", "t=FCo", "--c--", "", "--b.*", "Content-Type: message/rfc822", "",
        "Subject: inner", "", "three", "--b.*", "Content-Type: application/octet-stream", "Content-Transfer-Encoding: base64",
        'Content-Disposition: attachment; filename="a.patch"', "", "Zm91cg==", "--b.*", "Content-Type: image/png", "", "five", "--b.*--",
        "epilogue", "",
    ]  # fmt: skip
    for end in ("\n", "\r\n"):
        mail = Mail("x", 1, end.join(lines).encode())
        assert mail.subject == "[PATCH 1/1] x" and not mail.plain
        assert re.split(r"\n+", mail.text.strip("\n")) == ["one", "tüo", "three", "four"]
