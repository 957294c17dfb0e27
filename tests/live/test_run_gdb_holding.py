"""What ``run --gdb`` holds stands still, whatever its device does and whatever comes for it; and it goes on when it is let go."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from gdb_client import Client, waiting_run

pytestmark = pytest.mark.needs_run

_ALARM = 1 << 13  # SIGALRM in /proc/PID/status
_REJECTED = "pasidlab: descriptor rejected: opcode 0x49 (zero decompress 16): not an operation of this device\n"


@pytest.fixture
def large(compiled: Callable[[str], str]) -> str:
    return compiled("large")


def _threads(client: Client) -> list[str]:
    """The thread that gdb was told of, then the others."""
    first = client.ask("qC").removeprefix("QC")
    return [first, *(one for one in client.ask("qfThreadInfo")[1:].split(",") if one != first)]


def _waits(tid: str) -> bool:
    fields = dict(line.split(":\t") for line in Path(f"/proc/{int(tid, 16)}/status").read_text(encoding="utf-8").splitlines())
    return bool(int(fields["ShdPnd"], 16) & _ALARM)


def _stands_still(client: Client, tid: str, seconds: float = 0.3) -> None:
    """A signal waits for the thread, which has the same registers for so long."""
    end = time.monotonic() + 20
    while not _waits(tid):
        assert time.monotonic() < end
    assert client.ask(f"Hg{tid}") == "OK"
    before, end = client.ask("g"), time.monotonic() + seconds
    assert len(before) > 1000
    while time.monotonic() < end:
        assert client.ask("g") == before
    state = Path(f"/proc/{int(tid, 16)}/stat").read_text(encoding="utf-8").rpartition(") ")[2]
    assert state.startswith("t") and _waits(tid)


@pytest.mark.parametrize("way", ["D", "closed"])
@pytest.mark.parametrize(
    ("how", "size", "options"),
    [("rejected", 1 << 20, ()), ("rejected", 64, ()), ("rejected", 64, ("--delay", "20000")), ("rejected", 1 << 20, ("--delay", "20000")),
     ("written", 1 << 20, ()), ("written", 64, ()), ("written", 64, ("--delay", "20000")), ("written", 64, ("--isolation", "redirect"))],
    ids=["long", "short", "delayed", "long and delayed", "long by write", "by write", "delayed by write", "by write, redirected"],
)  # fmt: skip
def test_a_thread_whose_descriptor_is_rejected_stands_still_though_a_signal_waits(
    how: str, size: int, options: tuple[str, ...], way: str, large: str
) -> None:
    with waiting_run(large, how, str(size), options=options) as (done, _, connect):
        client = connect()
        assert client.ask("QPassSignals:e") == "OK"  # SIGALRM
        for _ in range(2):
            assert client.go()[0] == _REJECTED
            _stands_still(client, _threads(client)[0])
        client.close() if way == "closed" else client.ask("D")
        assert done.communicate(timeout=20)[0] == "10 10 10 heard\n" and done.returncode == 0


def test_a_thread_that_gdb_does_not_let_go_with_others_stands_still(large: str) -> None:
    with waiting_run(large, "rejected", str(1 << 20)) as (done, _, connect):
        client = connect()
        assert client.ask("QPassSignals:e") == "OK"
        assert client.go()[0] == _REJECTED
        chosen, other = _threads(client)
        client.send(f"vCont;c:{other}")
        assert client.byte() == b"+" and client.quiet(0.3)
        client.raw(b"\x03")
        assert client.packet().startswith(b"T02thread:")
        _stands_still(client, chosen)
        client.close()
        assert done.communicate(timeout=20)[0] == "10 10 10 heard\n" and done.returncode == 0


def test_a_step_over_a_large_move_is_one_instruction(large: str) -> None:
    """The thread works for the device meanwhile."""
    with waiting_run(large, "moves") as (done, _, connect):
        client = connect()
        assert client.go()[1].startswith("T1ethread:")
        step = f"vCont;s:{_threads(client)[0]};c"
        for _ in range(1000):
            at = int.from_bytes(bytes.fromhex(client.ask("p10")), "little")
            if client.ask(f"m{at:x},5") == "f20f38f802":
                break
            assert client.go(step)[1].startswith("T05thread:")
        else:
            pytest.fail("no submission was reached")
        assert client.go(step)[1].startswith("T05thread:")
        assert int.from_bytes(bytes.fromhex(client.ask("p10")), "little") == at + 5
        client.send("vCont;c")
        assert done.communicate(timeout=20)[0] == "1 0 0\n" and done.returncode == 0
