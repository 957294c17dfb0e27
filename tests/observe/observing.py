"""The command under test, and what it records."""

import subprocess
import sys
from pathlib import Path

WORKLOAD = Path(__file__).with_name("workload.py")


def pasidlab(*arguments, code=0):
    """Run ``pasidlab observe``; what it printed on both streams."""
    command = [sys.executable, "-m", "pasidlab.cli", "observe", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr
