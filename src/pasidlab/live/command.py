"""``pasidlab run``: the command line. Everything heavy is imported when the command runs."""

from __future__ import annotations

import json
from typing import Any

import click

from pasidlab.errors import PasidlabError

_EPILOG = """
Examples:

\b
  pasidlab run -- accel-config list
  pasidlab run -- ./my_dsa_program --size 1M
  pasidlab run --wq shared,size=16,threshold=4 --wq dedicated,device=dsa1 -- ./prog
  pasidlab run --retry 0.1 --seed 7 --delay 50 -- ./prog          the paths nobody could test
  pasidlab run --faults kind -- ./prog                            kinder than hardware to pages not in memory
  pasidlab run --design late-either --chaos 1 -- ./prog           a design that loses PASIDs
  pasidlab run --gdb 1234 -- ./prog                               then: gdb -ex 'target remote :1234'
  pasidlab run --trace out.json -- ./prog                         open out.json in ui.perfetto.dev

The exit status is the program's, or 128 + signal; 2 means that pasidlab could not run it.
"""


class NumberRange(click.FloatRange):
    """A range that "nan", which is below and above nothing, does not lie in."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """See ``click.ParamType.convert``."""
        number: float = super().convert(value, param, ctx)
        if number != number:
            self.fail(f"{value} is no number", param, ctx)
        return number


MOST_DELAY = 1e9
"""Microseconds: a quarter of an hour."""


@click.command("run", epilog=_EPILOG, context_settings={"ignore_unknown_options": False, "allow_interspersed_args": False})
@click.option("--wq", "wqs", multiple=True, metavar="MODE[,KEY=VALUE...]", 
              help="Add a work queue: shared or dedicated; keys: device (dsa0), size, threshold, name, type, priority, "
              "max_transfer_size, any sysfs attribute. Default: one of each on dsa0.")  # fmt: skip
@click.option("--platform", type=click.Choice(["spr", "emr", "gnr"]),
              help="The accelerators of a machine: Sapphire, Emerald or Granite Rapids, two sockets. --wq configures them.")  # fmt: skip
@click.option("--devices", "file", metavar="FILE.toml", help="Devices, queues and attributes from a TOML file.")
@click.option(
    "--design",
    default="early",
    show_default=True,
    metavar="NAME|FILE",
    help="The #GP fix-up that gives threads their PASID: a built-in design (see: pasidlab designs), a Python or C file, a patch or a mail.",
)
@click.option("--chaos", type=int, metavar="SEED", help="Inject preemptions and migrations between the steps of the fix-up.")
@click.option("--faults", type=click.Choice(["strict", "kind"]),
              help="A page that is not in memory ends a descriptor that does not ask to block, as on hardware (strict, "
              "the default where /proc/PID/pagemap exists), or is faulted in and counted (kind).")  # fmt: skip
@click.option("--retry", type=NumberRange(0, 1), default=0.0, metavar="P", help="Refuse this share of ENQCMDs with ZF=1.")
@click.option("--delay", type=NumberRange(0, MOST_DELAY), default=0.0, metavar="US", help="Complete this many microseconds later.")
@click.option("--reorder", type=int, metavar="SEED", help="Complete asynchronously and out of order.")
@click.option(
    "--error",
    "errors",
    multiple=True,
    metavar="STATUS@N",
    help="The Nth descriptor ends with this status, e.g. 0x1c@3.",
)
@click.option("--seed", type=int, default=0, help="Seed of --retry.")
@click.option(
    "--deny-mmap",
    is_flag=True,
    help="Refuse mmap, as kernels with the fix for INTEL-SA-01084 do: programs must use write().",
)
@click.option("--fast/--exact", default=True, help="Replace instructions that submit often, so that simple descriptors are carried "
              "out in the program's own thread, the default; or stop at every submission. Options that decide about single "
              "descriptors stop at every one.")  # fmt: skip
@click.option("--isolation", type=click.Choice(["auto", "namespace", "redirect"]), default="auto", show_default=True,
              help="How the device tree appears: private namespaces, or rewritten paths.")  # fmt: skip
@click.option(
    "--summary",
    type=click.Choice(["text", "none"]),
    default="text",
    show_default=True,
    help="What to print on stderr at the end.",
)
@click.option("--json", "json_file", metavar="FILE", help="Write the summary as JSON; standard output is the program's.")
@click.option("--trace", metavar="FILE", help="Write a Perfetto/Chrome trace: a lane per thread and per queue.")
@click.option("--core", metavar="FILE", help="Write a core dump of the program at the first descriptor that is rejected, for gdb.")
@click.option("--gdb", type=click.IntRange(0, 65535), metavar="PORT",
              help="Wait for gdb on this port of the loopback interface, 0: any; it stops at descriptors that are rejected.")  # fmt: skip
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- PROGRAM [ARGS]...")
def run(command: tuple[str, ...], summary: str, json_file: str | None, trace: str | None, **chosen: object) -> int:
    """Run a program that uses Intel DSA on a machine without it.

    ENQCMD and its relatives are emulated, /sys/bus/dsa and /dev/dsa exist for the program and its children, descriptors are carried
    out on the program's own memory. The program's files are not changed and everything else runs at native speed.
    """
    from pasidlab.live.guard import blocked_signals
    from pasidlab.live.outputs import LaterFile, hold_for_nobody_else, must_be_our_own, must_differ, tell

    hold_for_nobody_else()
    with blocked_signals() as before:  # and then what starts threads: numpy does
        from pasidlab.live.session import Session, options_from

        with before.answered():
            core = str(chosen["core"]) if chosen["core"] else None
            files = {"--json": json_file, "--trace": trace, "--core": core}
            for option, path in files.items():
                if path:
                    must_be_our_own(option, path)
            must_differ(files)
            report = LaterFile(json_file) if json_file else None
            session = Session(options_from(chosen, trace))
        ending = session.run(list(command), before)
    if session.trace and session.trace.failed:
        tell(f"pasidlab run: {session.trace.failed}")
    if session.core and session.core.failed:
        tell(f"pasidlab run: {session.core.failed}")
    if report:
        try:
            report.write(json.dumps(session.report(ending), indent=2) + "\n")
        except PasidlabError as error:  # the program has run: its status is what counts
            tell(f"pasidlab run: {error.what}")
    if summary == "text":
        tell(session.summary(ending))
    return ending.code
