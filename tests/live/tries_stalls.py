"""More dangers for ``tries``: what keeps pasidlab, or the program under it, from going on."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

from tries_place import Place, Variant
from tries_rows import exits, judged


def stalls() -> Iterator[Variant]:
    """Nothing that the program does keeps the run from what else it has to do."""
    for delay in ("20", "1000", "50000"):
        options = ("--delay", delay, "--wq", "shared,size=128,threshold=128")
        yield Variant("stalls", f"exec marked as another call, {delay} us", exits(4, options=options, limit=30)("marks"))
    yield Variant("stalls", "stops, no room on the stack", exits(0, limit=40)("halts", "5"))

    def flood(place: Place, number: int) -> str:
        """Under redirection most of the calls are the kernel's alone: threads that never stop are no flood."""
        if "redirect" in place.options:
            return ""

        def end(pid: int) -> None:
            os.kill(pid, signal.SIGTERM)

        done = place.run("--", place.program("floods"), also=end, said="\n", limit=30)
        return judged(done, 143, "in time\n") or ("watchdog" if done.err else "")

    yield Variant("stalls", "a flood of requests for files", flood)


VARIANTS = list(stalls())
