"""Commands and what they print, kept as files: ``make promote`` accepts what they print now, after a look at the difference."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from pasidlab.cli import main

HERE = Path(__file__).parent / "golden"
ROOT = Path(__file__).parents[2]


def transcript(capsys: pytest.CaptureFixture[str], *commands: str) -> str:
    """What the commands print and how they end, run in the project's folder; figures of time are blotted out."""
    blocks = []
    for command in commands:
        with pytest.raises(SystemExit) as end:
            main(command.split())
        out, err = capsys.readouterr()
        blocks.append(f"$ pasidlab {command}\n{out}{err}[{end.value.code or 0}]\n")
    text = without_times("\n".join(blocks).replace(f"{ROOT}/", ""))
    return re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE)


def without_times(text: str) -> str:
    """Seconds are not the same twice, nor is how wide they are."""
    return re.sub(r" +\d+\.\d(?= s |  )", " ?.?", text)


def agrees(name: str, text: str) -> None:
    """Compare with the file of that name; write it if asked to."""
    path = HERE / f"{name}.txt"
    if os.environ.get("PASIDLAB_PROMOTE"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8"), f"{path} differs: make promote, if the new output is right"
