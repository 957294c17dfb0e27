"""More dangers for ``tries``: what keeps pasidlab, or the program under it, from going on."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

from tries_place import Place, Skipped, Variant
from tries_rows import Once, exits, judged


def stalls() -> Iterator[Variant]:
    """Nothing that the program does keeps the run from what else it has to do."""
    for delay in ("20", "1000", "50000"):
        options = ("--delay", delay, "--wq", "shared,size=128,threshold=128")
        yield Variant("stalls", f"exec marked as another call, {delay} us", exits(4, options=options, limit=30)("marks"))

    def held(place: Place, number: int) -> str:
        directory = place.scratch / "mounted"
        directory.mkdir()
        return judged(place.run("--", place.program("held"), str(directory), limit=30), 0)

    for how in ("stop", "group", "kill", "stopped-kill", "exec", "exit"):
        yield Variant("stalls", f"close(2) waits for a move: {how}", exits(0, limit=40)("closes", how, "2"))
    yield Variant("stalls", "stops, no room on the stack", exits(0, limit=40)("halts", "5"))

    def flood(place: Place, number: int) -> str:
        """Under redirection most of the calls are the kernel's alone: threads that never stop are no flood."""
        if "redirect" in place.options:
            raise Skipped

        def end(pid: int) -> None:
            os.kill(pid, signal.SIGTERM)

        done = place.run("--", place.program("floods"), also=end, said="\n", limit=30)
        return judged(done, 143, "in time\n") or ("watchdog" if done.err else "")

    def unserved(how: str, sent: signal.Signals, program: str = "unserved", said: str = "waits") -> Once:
        """What a signal's default action ends, that ends, wherever it waits."""

        def once(place: Place, number: int) -> str:
            told, directory = [0.0], place.scratch / "mounted"
            directory.mkdir()

            def end(pid: int) -> None:
                time.sleep(0.1)
                told[0] = time.monotonic()
                os.killpg(pid, sent)

            done = place.run("--", place.program(program), how, str(directory), also=end, said=said, limit=20)
            slow = time.monotonic() - told[0] > 3
            return judged(done, 128 + sent, f"{said}\n") or ("more than 3 s" if slow else "")

        return once

    def locked(how: str, options: tuple[str, ...]) -> Once:
        def once(place: Place, number: int) -> str:
            directory = place.scratch / "mounted"
            directory.mkdir()
            return judged(place.run(*options, "--", place.program("locked"), how, str(directory), limit=20), 137, "other\n")

        return once

    yield Variant("stalls", "a flood of requests for files", flood)
    for how in ("source", "path", "action"):
        yield Variant("stalls", f"a page that nobody serves: {how}", unserved(how, signal.SIGTERM))
    for how in ("alone", "threads", "blocked", "execs"):
        for what in ("source", "target", "monitor"):
            yield Variant("stalls", f"a stop while a page is waited for: {how} {what}", exits(0, limit=30)("awaits", how, what))
    yield Variant("stalls", "a page that nobody serves, Ctrl-C", unserved("source", signal.SIGINT))
    yield Variant("stalls", "a core dump of such a page", unserved("dumps", signal.SIGTERM, "mounts", "dumps"))
    yield Variant("stalls", "a page of ours that it serves", exits(0, limit=20)("unserved", "own"))
    yield Variant("stalls", "instructions that cannot be read", locked("fetch", ()))
    yield Variant("stalls", "mappings that are locked, delayed", locked("maps", ("--delay", "300000")))
    yield Variant("stalls", "mappings that are locked, written", held)


VARIANTS = list(stalls())
