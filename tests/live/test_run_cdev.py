"""The rules of /dev/dsa/wqM.N."""

from __future__ import annotations

import pytest
from running import run_python

pytestmark = pytest.mark.needs_run


def test_open_mmap_and_close() -> None:
    done = run_python("""
        def error(function, *arguments, **named):
            try:
                function(*arguments, **named)
            except OSError as error:
                return error.errno
        import errno
        print(error(open_portal, length=8192) == errno.EINVAL)
        first, fd = open_portal("/dev/dsa/wq0.1", keep=True)
        print(error(open_portal, "/dev/dsa/wq0.1") == errno.EBUSY)
        clients = lambda: open("/sys/bus/dsa/devices/wq0.1/clients").read().strip()
        print(clients(), open("/sys/bus/dsa/devices/dsa0/clients").read().strip())
        os.close(fd)
        print(clients())  # the mapping holds the file
        source, target = Buffer(64), Buffer(64)
        print(move(first, source, target, 64, movdir64b))
        libc.munmap(first, 4096)
        end = time.monotonic() + 30
        while clients() != "0" and time.monotonic() < end:
            time.sleep(0.01)
        print(clients(), error(open_portal, "/dev/dsa/wq0.1"))
    """)
    assert done.out.split("\n")[:6] == ["True", "True", "1 1", "1", "1", "0 None"], done.err


def test_the_portal_after_munmap_and_mremap() -> None:
    done = run_python("""
        portal, fd = open_portal(keep=True)
        source, target = Buffer(64), Buffer(64)
        moved = libc.mremap(portal, 4096, 4096, 3, ctypes.c_void_p(0x5b0000000000))
        print(hex(moved), move(moved, source, target, 64))
        print(died(lambda: None))
        print(libc.mprotect(ctypes.c_void_p(moved), 4096, 3), move(moved, source, target, 64))
        libc.munmap(moved, 4096)
        again = libc.mmap(moved, 4096, 3, 0x32, -1, 0)
        noop = Buffer(64)
        noop.data.raw = descriptor(NOOP)
        print(hex(again), enqcmd(again, noop.address))
        libc.munmap(again, 4096)
        enqcmd(again, noop.address)
    """)
    assert done.out.split("\n")[:4] == ["0x5b0000000000 1", "0", "0 1", "0x5b0000000000 1"], done.err
    assert done.code == 128 + 11


def test_write_submits_and_deny_mmap_leaves_only_that() -> None:
    script = """
        import errno
        fd = os.open("/dev/dsa/wq0.0", os.O_RDWR)
        source, target, record = Buffer(64), Buffer(64), Buffer(64)
        source.data.raw = b"w" * 64
        one = descriptor(MOVE, record.address, source.address, target.address, 64)
        print(os.write(fd, one + descriptor(NOOP)), wait(record), bytes(target) == bytes(source))
        def error(data):
            try:
                return os.write(fd, data)
            except OSError as error:
                return error.errno
        print(error(descriptor(NOOP, record.address + 8)) == errno.EINVAL, error(descriptor(NOOP) + descriptor(NOOP,
        8)))
        batch = Buffer(128)
        batch.data.raw = descriptor(NOOP) * 2
        print(error(descriptor(BATCH, record.address, batch.address, size=2)))
        print(libc.mmap(None, 4096, 2, 1, fd, 0) == 2**64 - 1 and ctypes.get_errno())
    """
    done = run_python(script)
    assert done.out.split("\n")[:4] == ["128 1 True", "True 64", "64", "False"], done.err
    done = run_python(script, "--deny-mmap")
    assert done.out.split("\n")[:4] == ["128 1 True", "True 64", "22", "1"], done.err
    assert done.report["instructions"] == {"write": 3}


def test_poll_wakes_on_a_software_error() -> None:
    done = run_python("""
        import select, threading
        portal, fd = open_portal(keep=True)
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        print(poll.poll(50))
        threading.Timer(0.2, lambda: submit(portal, descriptor(0x7f))).start()
        began = time.monotonic()
        events = poll.poll(60_000)
        print(events == [(fd, select.POLLIN)], time.monotonic() - began < 30)
        print(died(lambda: os._exit(0 if poll.poll(0) == [] else 1)))
    """)
    assert done.out.split("\n")[:3] == ["[]", "True True", "0"], done.err


def test_close_waits_for_what_is_outstanding() -> None:
    done = run_python(
        """
        portal, fd = open_portal(keep=True)
        record = Buffer(32)
        submit(portal, descriptor(NOOP, record.address))
        print(record.data.raw[0])
        os.close(fd)
        print(record.data.raw[0])
    """,
        "--delay",
        "2000000",
    )
    assert done.out == "0\n1\n", done.err


def test_wrong_kind_of_store_for_the_queue() -> None:
    done = run_python("""
        noop = Buffer(64)
        noop.data.raw = descriptor(NOOP)
        shared, _ = open_portal()
        dedicated, _ = open_portal("/dev/dsa/wq0.1")
        movdir64b(shared, noop.address)
        print(enqcmd(dedicated, noop.address))
    """)
    assert done.out == "1\n"
    told = [problem["what"] for problem in done.report["problems"]]
    assert any("use ENQCMD" in what for what in told) and any("use MOVDIR64B" in what for what in told)
    assert done.report["submissions"] == 0


def test_a_full_dedicated_queue_loses_descriptors_silently() -> None:
    done = run_python(
        """
        portal, _ = open_portal("/dev/dsa/wq0.0")
        noop = Buffer(64)
        noop.data.raw = descriptor(NOOP)
        for _ in range(10):
            movdir64b(portal, noop.address)
        """,
        "--wq",
        "dedicated,size=4",
        "--delay",
        "300000",
    )
    assert done.report["submissions"] == 4, done.err
    assert sum(p["count"] for p in done.report["problems"] if "full (4 descriptors)" in p["what"]) == 6


@pytest.mark.parametrize("how", ["namespace", "redirect"])
def test_protection_of_the_portal(how: str) -> None:
    """do_mmap() and mprotect(2) know how the file was opened; a portal that may not be written faults."""
    done = run_python(
        """
        raw = descriptor(NOOP)
        def mapped(flags, prot, kind, at=None):
            fd = os.open("/dev/dsa/wq0.0", flags)
            return libc.mmap(at, 4096, prot, kind, fd, 0)
        def faults(portal):  # the child has a PASID and portals of its own
            return died(lambda: submit(portal(), raw, tries=2))
        bad = 2**64 - 1
        print(mapped(os.O_RDONLY, 2, mmap.MAP_SHARED) == bad, ctypes.get_errno())
        print(mapped(os.O_WRONLY, 2, mmap.MAP_SHARED) == bad, ctypes.get_errno())
        print(faults(lambda: mapped(os.O_RDWR, 1, mmap.MAP_SHARED)))
        print(submit(mapped(os.O_RDWR, 3, mmap.MAP_PRIVATE), raw, tries=2))
        print(submit(mapped(os.O_RDWR, 3, mmap.MAP_SHARED | 0x10, 0x5B0000000000), raw, tries=2))
        protect = lambda portal, prot: libc.mprotect(ctypes.c_void_p(portal), 4096, prot)
        def protected():
            portal = mapped(os.O_RDWR, 3, mmap.MAP_SHARED)
            protect(portal, 1)
            return portal
        print(faults(protected))
        portal = protected()
        print(protect(portal, 3), submit(portal, raw, tries=2))
        portal = mapped(os.O_RDONLY, 1, mmap.MAP_SHARED)
        print(protect(portal, 3), ctypes.get_errno())
        """,
        "--isolation",
        how,
    )
    if how == "namespace" and "no private namespaces here" in done.err:
        pytest.skip(done.err)
    assert done.out.split("\n") == ["True 13", "True 13", "11", "0", "0", "11", "0 0", "-1 13", ""], done.err


@pytest.mark.parametrize("isolation", ["auto", "redirect"])
def test_a_dedicated_queue_that_is_closed_can_be_opened_at_once(isolation: str) -> None:
    done = run_python("""
        for _ in range(200):
            os.close(os.open("/dev/dsa/wq0.1", os.O_RDWR))
        kept = os.open("/dev/dsa/wq0.1", os.O_RDWR)
        try:
            os.open("/dev/dsa/wq0.1", os.O_RDWR)
        except OSError as error:
            print(error.errno)
    """, "--isolation", isolation, "--wq", "shared", "--wq", "dedicated")
    assert (done.code, done.out) == (0, "16\n"), done.err
