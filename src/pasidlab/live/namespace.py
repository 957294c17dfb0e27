"""A private mount namespace, and a user namespace where that is needed, in which the fake device tree exists; the host never sees it.

All but ``leave`` runs in the child between fork and exec. The tree is one FUSE mount, bound to the places where programs look.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat

from pasidlab.live.libc import (
    CLONE_NEWNS,
    CLONE_NEWUSER,
    MS_BIND,
    MS_MOVE,
    MS_NODEV,
    MS_NOSUID,
    MS_PRIVATE,
    MS_REC,
    mount,
    umount,
    unshare,
)

_STAGE, _STAGED = "/sys/bus/.pasidlab", "/sys/bus/.staged"
_WHOLE_PROC = "/sys/bus/.proc"
"""A second mount of /proc with nothing over its files: without one, no process in a user namespace of its own could
mount procfs (mnt_already_visible(), fs/namespace.c)."""
_WHOLE = ".host"
"""In a directory that is covered: the host's whole, where that has to be told from single entries of it (``_cover``)."""


def enter_namespaces(tree_tops: dict[str, list[str]], channel: socket.socket) -> int:
    """In the child: new namespaces, then mount the tree; its st_dev. OSError if the host forbids any of it.

    ``tree_tops`` lists, for each directory of the host, the entries to add to it. ``channel`` leads to the parent: it
    is told
    when to write the id maps, and is handed the /dev/fuse descriptor.
    """
    _new_namespaces(channel)
    mount("", "/", flags=MS_REC | MS_PRIVATE)
    fuse = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    _cover("/sys/bus", set(tree_tops["/sys/bus"]))
    os.mkdir(_STAGE)
    options = f"fd={fuse},rootmode=40000,user_id={os.getuid()},group_id={os.getgid()},allow_other"
    mount("pasidlab", _STAGE, "fuse", MS_NOSUID | MS_NODEV, options)
    socket.send_fds(channel, [b"F"], [fuse])  # not before: until it is mounted there is nothing to read
    os.close(fuse)
    if tree_tops.get("/proc"):
        os.mkdir(_WHOLE_PROC)
        mount("/proc", _WHOLE_PROC, flags=MS_BIND)
    for directory, names in tree_tops.items():
        os.makedirs(directory, exist_ok=True)
        if directory != "/sys/bus":
            _cover(directory, set(names))
        for name in names:
            if not os.path.exists(f"{directory}/{name}"):
                os.mkdir(f"{directory}/{name}")
            mount(f"{_STAGE}{directory}/{name}", f"{directory}/{name}", flags=MS_BIND)
    device = os.stat(_STAGE).st_dev
    umount(_STAGE)
    os.rmdir(_STAGE)
    return device


def leave() -> None:
    """In pasidlab, where the program stays in the mount namespace of both: what it mounts, unmounts (/proc) or makes its root from now on
    is so for itself alone. Without the privilege nothing is done: a program has no more of it.
    """
    with contextlib.suppress(OSError):
        unshare(CLONE_NEWNS)
        mount("", "/", flags=MS_REC | MS_PRIVATE)


def _new_namespaces(channel: socket.socket) -> None:
    """A mount namespace. Who may not make one (CAP_SYS_ADMIN) may in a user namespace, where root has fewer rights (user_namespaces(7))."""
    with contextlib.suppress(OSError):
        unshare(CLONE_NEWNS)
        return
    unshare(CLONE_NEWUSER | CLONE_NEWNS)
    channel.sendall(b"U")
    if channel.recv(1) != b"M":
        raise OSError(1, "the id maps of the user namespace could not be written")


def write_id_maps(pid: int) -> None:
    """In the parent: every id we can map keeps its number inside; without privilege that is our own only."""
    for name, own in (("uid", os.geteuid()), ("gid", os.getegid())):
        with open(f"/proc/self/{name}_map", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
            rows = [line.split() for line in file]
        whole = "".join(f"{inside} {inside} {count}\n" for inside, _, count in rows)
        try:
            _write(f"/proc/{pid}/{name}_map", whole)
        except OSError:
            if name == "gid":
                _write(f"/proc/{pid}/setgroups", "deny")
            _write(f"/proc/{pid}/{name}_map", f"{own} {own} 1\n")


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def moves_ptmx(tree_tops: dict[str, list[str]]) -> bool:
    """Whether /dev/ptmx will be a link to the host's elsewhere. What TIOCGPTPEER opens then has another name than /dev/pts/N."""
    return not _has_all("/dev", set(tree_tops["/dev"])) and _opens_by_place()


def _opens_by_place() -> bool:
    """Whether an open of /dev/ptmx looks for a devpts file system at ``pts`` beside it. Else it is a link into one, or a file of one."""
    try:
        ptmx, pts = os.lstat("/dev/ptmx"), os.stat("/dev/pts")
    except OSError:
        return False
    return stat.S_ISCHR(ptmx.st_mode) and ptmx.st_dev != pts.st_dev


def _has_all(directory: str, names: set[str]) -> bool:
    return all(os.path.exists(f"{directory}/{name}") for name in names)


def _cover(directory: str, added: set[str]) -> None:
    """Put a tmpfs over ``directory`` that shows everything it had; entries to be added are left out.

    The kernel finds no ``pts`` beside a ``ptmx`` that is mounted alone: its directory is not of that mount (path_pts(), path_connected(),
    fs/namei.c, v6.12). So it is a link into a mount of the host's whole directory.
    """
    if _has_all(directory, added) and directory != "/sys/bus":
        return
    whole = f"{directory}/{_WHOLE}" if directory == "/dev" and _opens_by_place() else ""
    if whole:
        os.mkdir(_STAGED)
        mount(directory, _STAGED, flags=MS_BIND | MS_REC)
    old = os.open(directory, os.O_PATH | os.O_DIRECTORY)
    entries = [(name, os.lstat(f"{directory}/{name}")) for name in os.listdir(directory) if name not in added]
    targets = {name: os.readlink(f"{directory}/{name}") for name, status in entries if stat.S_ISLNK(status.st_mode)}
    mount("tmpfs", directory, "tmpfs", MS_NOSUID, "mode=755")
    if whole:
        os.mkdir(whole)
        mount(_STAGED, whole, flags=MS_MOVE)
        os.rmdir(_STAGED)
        targets["ptmx"] = f"{_WHOLE}/ptmx"
    for name, status in entries:
        place = f"{directory}/{name}"
        if name in targets:
            os.symlink(targets[name], place)
            continue
        if stat.S_ISDIR(status.st_mode):
            os.mkdir(place)
        else:
            os.close(os.open(place, os.O_CREAT | os.O_WRONLY))
        mount(f"/proc/self/fd/{old}/{name}", place, flags=MS_BIND | MS_REC)
    os.close(old)
