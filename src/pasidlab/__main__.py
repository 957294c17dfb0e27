"""Where the command begins: ``pasidlab`` and ``python -m pasidlab``. Importing the rest takes a tenth of a second."""

import signal

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until ``cli`` answers Ctrl-C: Python would print where the import was

from typing import NoReturn


def begin() -> NoReturn:
    """Run the command line and exit."""
    from pasidlab import cli

    cli.main()


if __name__ == "__main__":
    begin()
