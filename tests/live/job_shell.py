"""job_shell.py SAYS HEARS fg|bg COMMAND: runs one job on the terminal that is its standard input, as shells do.

Writes to descriptor SAYS the job's number, then what becomes of it, a line each: "stopped by N", "goes on", "exit N".
When it is stopped a line of HEARS says whether it goes on in the foreground (fg) or in the background (bg), or is left alone (wait).
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import termios


def main() -> None:
    """See above."""
    says, hears, where, command = int(sys.argv[1]), os.fdopen(int(sys.argv[2])), sys.argv[3], sys.argv[4:]
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    job = os.fork()
    if job == 0:
        os.setpgid(0, 0)
        if where == "fg":
            os.tcsetpgrp(0, os.getpgrp())
        signal.signal(signal.SIGTTOU, signal.SIG_DFL)
        os.execvp(command[0], command)
    os.write(says, f"{job}\n".encode())
    while True:
        _, status = os.waitpid(job, os.WUNTRACED | os.WCONTINUED)
        if os.WIFSTOPPED(status):
            os.tcsetpgrp(0, os.getpgrp())
            os.write(says, f"stopped by {os.WSTOPSIG(status)}\n".encode())
            next_ = hears.readline()
            if next_ == "fg\n":
                os.tcsetpgrp(0, job)
            if next_ != "wait\n":
                os.killpg(job, signal.SIGCONT)
        elif os.WIFCONTINUED(status):
            os.write(says, b"goes on\n")
        else:
            os.write(says, f"exit {os.waitstatus_to_exitcode(status)}\n".encode())
            return


main()
