"""/proc/cpuinfo of a machine whose processors have the instructions that are emulated."""

from __future__ import annotations

import re

from pasidlab.live.descriptors import text_file
from pasidlab.live.nodes import Attribute, Node

PATH = "/proc/cpuinfo"
_EMULATED = ("waitpkg", "movdir64b", "enqcmd")  # arch/x86/include/asm/cpufeatures.h, word 16
_FLAGS = re.compile(r"^(flags\s*:.*)$", re.MULTILINE)


def files() -> dict[str, Node]:
    """The file, by its name in /proc; nothing where the host's own shows all flags, or does not exist."""
    try:
        with text_file(PATH) as file:
            host = file.read()
    except OSError:
        return {}
    shown = with_flags(host)
    return {} if shown == host else {"cpuinfo": Attribute(lambda: shown)}


def with_flags(text: str) -> str:
    """``text`` with the emulated instructions among the flags of each processor."""

    def add(line: re.Match[str]) -> str:
        have = line[1].split()
        return " ".join([line[1].rstrip(), *(flag for flag in _EMULATED if flag not in have)])

    return _FLAGS.sub(add, text)
