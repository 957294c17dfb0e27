"""Where the device tree joins the file system of the host."""

from __future__ import annotations

import os

from pasidlab.live.descriptors import names_in
from pasidlab.live.nodes import Directory, Link, Node

_PARENTS = ("/sys/bus", "/sys/bus/pci", "/sys/bus/pci/drivers", "/sys/module", "/sys/devices", "/dev", "/proc")
"""Directories of the host that get new entries, each after those above it."""

_SHARED = ("/dev/char", "/sys/bus/pci/devices")
"""Directories of ours in place of the host's: what links the host has there are shown among ours."""


def tops(tree: Directory) -> dict[str, list[str]]:
    """For each directory of the host that gets new entries, their names."""
    return {parent: [name for name in tree.at(parent).entries if f"{parent}/{name}" not in _PARENTS] for parent in _PARENTS}


class HostLinks:
    """The host's links in the shared directories of ``tree``; ``absolute``: for a tree that lies elsewhere."""

    def __init__(self, tree: Directory, *, absolute: bool) -> None:
        self._added: list[tuple[Directory, str]] = []
        for path in _SHARED:
            directory = tree.at(path)
            for name, link in _links(path, absolute=absolute).items():
                if name not in directory.entries:
                    directory.entries[name] = link
                    self._added.append((directory, name))

    def remove(self) -> None:
        """Take them out again."""
        for directory, name in self._added:
            del directory.entries[name]


def _links(directory: str, *, absolute: bool) -> dict[str, Node]:
    try:
        names = names_in(directory)
    except OSError:
        return {}
    read = os.path.realpath if absolute else os.readlink
    return {name: Link(read(path)) for name in names if os.path.islink(path := f"{directory}/{name}")}
