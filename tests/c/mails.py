"""One change in every form in which it travels: a diff, a mail, quoted-printable, a mailbox, quoted in a reply, wrapped, commented upon."""

from __future__ import annotations

import quopri
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"
HEADERS = (
    'From: "A. Developer" <a.developer@example.org>\nTo: list@example.org\nSubject: [PATCH 1/2] x86/traps: Hand out the PASID\n'
    "Date: Mon, 20 Sep 2021 19:23:45 +0000\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n"
)


def diff(text: str, path: str = "arch/x86/kernel/traps.c") -> str:
    """A diff that adds the text behind a function; as git writes it."""
    lines = text.rstrip("\n").split("\n")
    head = f"diff --git a/{path} b/{path}\nindex c9d566d..7ef00de 100644\n--- a/{path}\n+++ b/{path}\n"
    hunk = f"@@ -560,3 +560,{len(lines) + 4} @@ static bool fixup_iopl_exception(struct pt_regs *regs, unsigned long address, int kind)\n"
    return head + hunk + " \treturn true;\n }\n \n" + "".join(f"+{line}\n" for line in lines) + "+\n"


def body(text: str) -> str:
    """A commit message and the diff."""
    return f"The register is written when the fault comes. It isn't elegant.\n\n---\n traps.c | 9 ++\n\n{diff(text)}-- \n2.33.0\n\n"


def quoted(text: str, marks: str, width: int = 0) -> str:
    """As a reply quotes it; lines longer than ``width`` are broken."""
    found = []
    for line in text.split("\n"):
        cut = line.rfind(" ", 20, width) if width and len(line) > width else -1
        found += [marks + line] if cut < 0 else [marks + line[: cut + 1], marks + line[cut + 1 :]]
    return "\n".join(found)


def commented(text: str, marks: str) -> str:
    """A reply in the middle of the diff, and a quoted reply to that."""
    lines = quoted(text, marks).split("\n")
    place = next(n for n, line in enumerate(lines) if "wrmsr" in line) + 1
    return "\n".join([*lines[:place], "", "This is wrong.", "> No, it is not.", "", *lines[place:]])


def forms(text: str) -> dict[str, bytes]:
    """File name -> contents."""
    mail = body(text)
    said = "On Thu, Sep 23, 2021, A. Developer wrote:\n"
    encoded = quopri.encodestring(mail.encode()).decode()
    reply = HEADERS.replace("Subject: ", "Subject: Re: ")
    messages = {
        "plain.patch": diff(text),
        "plain.eml": f"{HEADERS}\n{mail}",
        "encoded.eml": f"{HEADERS}Content-Transfer-Encoding: quoted-printable\n\n{encoded}",
        "quoted.eml": f"{reply}\n{said}{quoted(mail, '> ')}\nThanks\n",
        "deep.eml": f"{reply}\n{said}{quoted(mail, '>> > ')}\nThanks\n",
        "wrapped.eml": f"{reply}\n{said}{quoted(mail, '> > ', 72)}\nThanks\n",
        "commented.eml": f"{reply}\n{said}{commented(mail, '>> > ')}\nThanks\n",
        "fragment.eml": f"{reply}\n{said}> +\n{quoted(text.rstrip(), '> +')}\n> -- \nThanks\n",
        "series.mbox": f"From mboxrd@z Mon Sep 20 20:02:15 2021\n{HEADERS}\n{mail}\nFrom mboxrd@z Mon Sep 20 21:00:00 2021\n{reply}\nNo.\n",
    }
    return {name: message.encode() for name, message in messages.items()}


def late_either() -> str:
    """The functions of the example, without the comment above them."""
    return (EXAMPLES / "late_either.c").read_text(encoding="utf-8").split("*/\n", 1)[1]
