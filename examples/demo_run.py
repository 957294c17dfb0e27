"""The second half of `make demo`: a DSA program on a machine without DSA, under two designs.

Under `early` it is served. Under `late-either`, with preemptions and softirqs injected where the model allows them, a thread loses
its PASID and the program dies of SIGSEGV, as the checker's counterexample says it can.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).with_name("dsa_hello.py")
SEEDS = 40
KILLED = 128 + 11


def run(*options: str) -> int:
    """Run the example under pasidlab; its exit status."""
    command = [sys.executable, "-m", "pasidlab.cli", "run", *options, "--", sys.executable, str(PROGRAM)]
    return subprocess.run(command, check=False).returncode


def main() -> int:
    """0 if both showed what they should."""
    print("\n== a DSA program under `early` (pasidlab run -- python examples/dsa_hello.py)\n", flush=True)
    if (status := run("--design", "early")) != 0:
        print(f"the program could not be shown here (exit status {status})", file=sys.stderr)
        return status
    for seed in range(SEEDS):
        chaos = ["--design", "late-either", "--chaos", str(seed)]
        command = [sys.executable, "-m", "pasidlab.cli", "run", *chaos, "--", sys.executable, str(PROGRAM)]
        done = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode == KILLED:
            print(f"\n== the same under `late-either` (--design late-either --chaos {seed})\n\n{done.stdout}")
            print("It died of SIGSEGV: the shortest way there is the counterexample of `pasidlab check late-either`.")
            return 0
    print(f"no seed below {SEEDS} shows it", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
