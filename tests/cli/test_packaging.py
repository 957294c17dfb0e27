"""What is shipped: the source distribution has everything, the workflow for kernel trees calls the command as it is."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import tomllib

import pytest
from golden import ROOT

from harness import LONG
from pasidlab.commands.check import check_command
from pasidlab.commands.formats import FORMATS
from pasidlab.version import VERSION

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_versions_are_one():
    assert PROJECT["version"] == VERSION
    assert f"## {VERSION}\n" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_workflow_calls_check_with_options_it_has():
    text = (ROOT / "examples" / "ci" / "kernel-tree.yml").read_text(encoding="utf-8")
    (command,) = re.findall(r"^ +pasidlab check (.*)$", text, re.MULTILINE)
    known = {name for option in check_command.params for name in option.opts}
    words = shlex.split(command)
    assert {word for word in words if word.startswith("-")} <= known
    assert {words[n + 1].rsplit(".", 1)[1] for n, word in enumerate(words) if word == "-o"} <= {suffix.lstrip(".") for suffix in FORMATS}


def test_nothing_stands_beside_the_sources_that_is_not_shipped():
    """A file that a program left behind is neither a source nor in the distribution."""
    if not (ROOT / ".git").exists() or not shutil.which("git"):
        pytest.skip("no clone, or no git")
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    top = {name for name in tracked if "/" not in name}
    shipped = set((ROOT / "MANIFEST.in").read_text(encoding="utf-8").split())
    assert top - shipped == {".gitignore", "LICENSE", "MANIFEST.in", "README.md", "pyproject.toml"}


@pytest.mark.skipif(not LONG, reason="PASIDLAB_LONG=1 runs it")
def test_the_source_distribution_has_documents_and_tests(tmp_path):
    build = f"import setuptools.build_meta as build; build.build_sdist({str(tmp_path)!r})"
    subprocess.run([sys.executable, "-c", build], cwd=ROOT, check=True, capture_output=True)
    (made,) = tmp_path.iterdir()
    with tarfile.open(made) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    assert sorted(set(tracked) - names) == [".ci/run", ".gitignore"]
