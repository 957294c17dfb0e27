"""The command line. Only click is imported here; what a command needs is imported when it runs."""

from __future__ import annotations

import gc
import signal
import sys
import traceback
from collections.abc import Iterable
from typing import Any, NoReturn

import click

from pasidlab.commands.streams import (
    complain,
    flush_output,
    give_up_what_is_left,
    hold_places,
    io_failure,
    must_have_output,
    name_output,
)
from pasidlab.errors import PasidlabError
from pasidlab.interrupts import ctrl_c, ctrl_c_raises
from pasidlab.version import VERSION

HOLDS, VIOLATED, BAD_INPUT, INCONCLUSIVE = 0, 1, 2, 3
NO_READER = 128 + signal.SIGPIPE

_COMMANDS = {
    "check": "pasidlab.commands.check:check_command",
    "designs": "pasidlab.commands.check:designs_command",
    "zoo": "pasidlab.commands.zoo:zoo_command",
    "replay": "pasidlab.commands.replay:replay_command",
    "explore": "pasidlab.commands.explore:explore_command",
    "schema": "pasidlab.commands.schema:schema_command",
    "export": "pasidlab.commands.export:export_command",
    "bench": "pasidlab.commands.bench:bench_command",
    "run": "pasidlab.live.command:run",
    "observe": "pasidlab.commands.observe:observe_group",
}
_HELP = {
    "check": "Explore designs: a proof over the scope or a shortest counterexample.",
    "designs": "The designs of the debate; the parts, events and properties of a check.",
    "zoo": "Bugs of the past: each caught, each fix holds.",
    "replay": "Re-execute a saved counterexample step by step.",
    "explore": "Step through a model in the browser.",
    "schema": "Print the JSON Schema of what --json prints.",
    "export": "Write a design's model for SPIN or TLC; compare what they find.",
    "bench": "Measure the engine beside its peers and the machine's limit.",
    "run": "Run a program that uses Intel DSA on a machine without it.",
    "observe": "Record a live kernel's trace events; hold them against the model.",
}

_EXAMPLES = {
    "pasidlab check": "every design of the debate, explored exhaustively",
    "pasidlab check early late-either": "two of them, with their counterexamples",
    "pasidlab check mydesign.py": "your own: functions that replace kernel functions by name",
    "pasidlab run -- ./my_dsa_program": "ENQCMD on a machine without the hardware",
}


class _Help(click.HelpFormatter):
    """On a narrow terminal a name stands above what it means."""

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        if self.width >= _TWO_COLUMNS:
            super().write_usage(prog, args, prefix)
        else:
            self._write(f"{prefix or 'Usage: '}{prog} {args}", "", "  ")

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        if self.width >= _TWO_COLUMNS:
            super().write_dl(rows, col_max, col_spacing)
            return
        for name, meaning in rows:
            self._write(name, "  ", "  ")
            self._write(meaning, "    ", "    ")

    def _write(self, text: str, first: str, then: str) -> None:
        from pasidlab.trace.look import wrapped

        self.write("".join(f"{line}\n" for line in wrapped(text, self.width, first, then)))


_TWO_COLUMNS = 40
click.Context.formatter_class = _Help


class _Lazy(click.Group):
    """Loads a command's module when the command is used; one error line instead of a traceback."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        module, attribute = _COMMANDS[name].split(":")
        command: click.Command = getattr(__import__(module, fromlist=[attribute]), attribute)
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        from pasidlab.lang.names import nearest

        if args and args[0] not in _COMMANDS and not args[0].startswith("-"):
            raise PasidlabError(f"unknown command '{args[0]}'", hint=nearest(args[0], _COMMANDS))
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        result = super().invoke(ctx)
        if sys.stdout is not None:  # it was closed from the beginning
            sys.stdout.flush()  # here, where click still deals with a reader that went away
        return result

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_help_text(ctx, formatter)
        with formatter.section("For example"):
            formatter.write_dl(list(_EXAMPLES.items()), col_max=min(40, formatter.width // 2))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_HELP.items()))


@click.group(
    cls=_Lazy,
    invoke_without_command=True,
    epilog="Exit codes: 0 holds, 1 violated, 2 bad input, usage or I/O, 3 inconclusive (a budget ran out, or Ctrl-C).",
)
@click.version_option(VERSION)
@click.pass_context
def _group(ctx: click.Context) -> None:
    """Check whether Linux can give a process its PASID without a race, and run programs that use ENQCMD on machines without it."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def _invoke(arguments: list[str]) -> int:
    """The exit code of the command. A reader that goes away ends it, click says so by SystemExit(1): that is no verdict."""
    from pasidlab.trace.look import PAGE, look_of

    look = look_of(sys.stdout)
    width = look.page if look.terminal and look.page < PAGE else None
    colour = None if look.colour else False
    try:
        status: Any = _group.main(
            arguments, prog_name="pasidlab", standalone_mode=False, obj=("pasidlab", *arguments), color=colour, terminal_width=width
        )
    except SystemExit:
        return NO_READER
    return status if isinstance(status, int) else HOLDS


def _status(arguments: list[str]) -> int:
    """The exit code of the command; whatever ends it early is told on standard error."""
    program = arguments[:1] == ["run"]  # standard output is its own, and its status, or the signal it dies of, is the answer
    try:
        with ctrl_c(signal.SIG_DFL) if program else ctrl_c_raises():
            if not program:
                must_have_output()
            name_output()
            return _invoke(arguments)
    except PasidlabError as error:
        complain(f"error: {error}")
    except click.ClickException as error:
        command = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "pasidlab"
        complain(f"error: {error.format_message()}\n  hint: {command} --help")
    except (click.Abort, KeyboardInterrupt):
        complain("interrupted")
        return INCONCLUSIVE
    except OSError as error:
        complain(f"error: {io_failure(error)}")
    except MemoryError:
        helps = "a higher limit: ulimit -v" if program else "a smaller scope, --max-memory, or --jobs 1"
        complain(f"error: memory ran out\n  hint: {helps}")
    except Exception:
        complain(f"{traceback.format_exc()}error: a bug in pasidlab, no verdict")
    return BAD_INPUT


COLLECT_AFTER = 50_000, 20, 50
"""For Python's collector: models are millions of small objects without circles, and looking for those took a fifth of the time."""


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit. What could not be printed is no verdict either."""
    gc.set_threshold(*COLLECT_AFTER)
    hold_places()
    status = _status(sys.argv[1:] if arguments is None else arguments)
    try:
        flush_output()
    except BrokenPipeError:
        status = NO_READER
    except OSError as error:
        if status != BAD_INPUT:
            complain(f"error: {io_failure(error)}")
        status = BAD_INPUT
    finally:
        give_up_what_is_left()
    sys.exit(status)
