"""The command under test, and what it records."""

from pathlib import Path

import harness

WORKLOAD = Path(__file__).with_name("workload.py")


def pasidlab(*arguments, code=0):
    """Run ``pasidlab observe``; what it printed on both streams."""
    done = harness.pasidlab("observe", *arguments)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr
