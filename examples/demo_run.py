"""The second half of `make demo`: a DSA program on a machine without DSA, under two designs.

Under `early` it is served. Under `late-either`, with preemptions and softirqs injected where the model allows them, a thread loses
its PASID and the program dies of SIGSEGV, as the checker's counterexample says it can.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).with_name("dsa_hello.py")
SEED = 1  # the first that shows it; a thread's fate depends on the seed and on what it does, so it is the same every time
KILLED = 128 + 11


def run(*options: str) -> int:
    """Run the example under pasidlab; its exit status."""
    command = [sys.executable, "-m", "pasidlab", "run", *options, "--", sys.executable, str(PROGRAM)]
    shown = "pasidlab run " + "".join(f"{option} " for option in options) + "-- python examples/dsa_hello.py"
    print(f"\n$ {shown}\n", flush=True)
    return subprocess.run(command, check=False).returncode


def main() -> int:
    """0 if both showed what they should."""
    print("\n== a DSA program on this machine, under the design merged in v5.18", flush=True)
    if (status := run("--design", "early", "--chaos", str(SEED))) != 0:
        print(f"the program could not be shown here (exit status {status})", file=sys.stderr)
        return status
    print("\n== the same program, preempted and migrated at the same moments, under the series of September 2021", flush=True)
    if (status := run("--design", "late-either", "--chaos", str(SEED))) != KILLED:
        print(f"it should have died of SIGSEGV, but ended with status {status}", file=sys.stderr)
        return status or 1
    print("\nIt died of SIGSEGV: the shortest way there is the counterexample of `pasidlab check late-either`.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
