"""The command line. Only click is imported here; what a command needs is imported when it runs."""

from __future__ import annotations

import signal
import sys
from typing import Any, NoReturn

import click

from pasidlab import __version__
from pasidlab.errors import PasidlabError

HOLDS, VIOLATED, BAD_INPUT, INCONCLUSIVE = 0, 1, 2, 3

_COMMANDS = {
    "check": "pasidlab.commands.check:check_command",
    "designs": "pasidlab.commands.check:designs_command",
    "zoo": "pasidlab.commands.zoo:zoo_command",
    "replay": "pasidlab.commands.replay:replay_command",
    "bench": "pasidlab.commands.bench:bench_command",
    "run": "pasidlab.live.command:run",
}
_HELP = {
    "check": "Explore designs: a proof over the scope or a shortest counterexample.",
    "designs": "The designs of the debate.",
    "zoo": "Historical bugs: each caught, each fix holds.",
    "replay": "Re-execute a saved counterexample step by step.",
    "bench": "Measure the engine beside its peers and the machine's limit.",
    "run": "Run a program that uses Intel DSA on a machine without it.",
}


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
        sys.stdout.flush()  # here, where click still deals with a reader that went away
        return result

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_HELP.items()))


@click.group(
    cls=_Lazy,
    epilog="Exit codes: 0 holds, 1 violated, 2 bad input or usage, 3 inconclusive (a budget ran out, or Ctrl-C).",
)
@click.version_option(__version__)
def _group() -> None:
    """Explore how Linux may hand a process its PASID (ENQCMD, IA32_PASID, lazily restored xstate), and run programs that use it.

    \b
      pasidlab check                         every design of the debate, explored exhaustively
      pasidlab check early late-either       two of them
      pasidlab check mydesign.py             your own: functions that replace kernel functions by name
      pasidlab run -- ./my_dsa_program       ENQCMD on a machine without the hardware
    """


def _invoke(arguments: list[str] | None) -> Any:
    """What the command returns. A reader that goes away ends it, click says so by SystemExit(1): that is no verdict."""
    try:
        return _group.main(arguments, prog_name="pasidlab", standalone_mode=False)
    except SystemExit:
        return 128 + signal.SIGPIPE


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit."""
    try:
        status: Any = _invoke(arguments)
        sys.exit(status if isinstance(status, int) else 0)
    except PasidlabError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(BAD_INPUT)
    except click.ClickException as error:
        command = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "pasidlab"
        click.echo(f"error: {error.format_message()}\n  hint: {command} --help", err=True)
        sys.exit(BAD_INPUT)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        sys.exit(INCONCLUSIVE)


if __name__ == "__main__":
    main()
