"""``pasidlab check`` and ``pasidlab designs``."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pasidlab import designs
from pasidlab.commands.asked import Asked
from pasidlab.commands.ranks import Together, ranks
from pasidlab.commands.scopes import scope_lines
from pasidlab.designs.opening import SIDES
from pasidlab.errors import PasidlabError

if TYPE_CHECKING:
    from pasidlab.checking.api import AskedParts
    from pasidlab.checking.result import CheckResult
    from pasidlab.commands.printing import Printer
    from pasidlab.commands.progress import StatusLines
    from pasidlab.designs import Design, Opening
    from pasidlab.designs.opening import Side
    from pasidlab.report.account import Account, Checked
    from pasidlab.search.result import Budget
    from pasidlab.search.simulate import Walks


@click.command("check", epilog="Exit codes: 0 holds, 1 violated, 2 bad input, usage or I/O, 3 inconclusive.")
@click.argument("names", nargs=-1, metavar="[DESIGN | FILE.py | FILE.c | FILE.patch | FILE.mbox | -]...")
@click.option("--kernel", metavar="TREE", help="Take the kernel around it from a Linux source tree; alone: check the tree's own design.")
@click.option("--base", metavar="DESIGN", help="The design a C file or patch changes (default: by the functions it defines).")
@click.option("--config", multiple=True, metavar="CONFIG_X=n", help="A kernel configuration option; may be repeated.")
@click.option("--stub", multiple=True, metavar="NAME=HOW", help="noop, or unconstrained: every value is tried; may be repeated.")
@click.option("--allow-unjudged", multiple=True, metavar="FUNCTION",
              help="A function that is changed and not judged, as you know; * stands for any letters; may be repeated.")  # fmt: skip
@click.option("--compare", is_flag=True, help="Check before the patch and after it, and tell what it changed, property by property.")
@click.option("-R", "--reverse", is_flag=True, help="Take the patch out of the tree; with --compare: the tree has it already.")
@click.option("--matrix", metavar="FILE.toml",
              help="Check every combination of the designs, scopes, trees and configs that a file names, in one table.")  # fmt: skip
@click.option("--thorough", is_flag=True,
              help="Explore larger parts beside the default ones: all events at once, and more of them with two tasks. Takes minutes and "
                   "some GB a design.")  # fmt: skip
@click.option("--cpus", type=int, help="CPUs (1 to 4).")
@click.option("--tasks", type=int, help="Task slots (1 to 4).")
@click.option("--mms", type=int, help="Address spaces (1 to 4).")
@click.option("--pasids", type=int, help="PASIDs (at least as many as address spaces).")
@click.option("--size", multiple=True, metavar="NAME=N", help="A size by its name, as a model of your own declares it; may be repeated.")
@click.option("--events", metavar="LIST", help="a,b: just these; +a,-b: change the default; a:1: at most once; all.")
@click.option("--property", "properties", multiple=True, metavar="NAME", help="Judge this property only; may be repeated.")
@click.option("--jobs", type=click.IntRange(1), help="CPUs to use (default: all).")
@click.option("--max-states", metavar="N", help="Give up after this many states (K, M, G).")
@click.option("--max-memory", metavar="BYTES", help="Give up before using more memory (K, M, G).")
@click.option("--spill", metavar="DIR",
              help="Move states to this folder when --max-memory, or the machine's memory, does not hold them.")  # fmt: skip
@click.option("--timeout", type=click.FloatRange(0, min_open=True), metavar="SECONDS", help="Give up after this time, all parts together.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON (see `pasidlab schema`).")
@click.option("-o", "--output", "outputs", multiple=True, metavar="FILE",
              help="Also write the results: a page to step through (.html), JSON for replay (.json), SARIF for code review (.sarif), "
                   "JUnit for CI (.xml), Markdown (.md), text of 72 columns for a reply on the list (.mail), a Mermaid sequence diagram "
                   "of the first counterexample (.mmd), tracks for Perfetto (.perfetto); may be repeated.")  # fmt: skip
@click.option("--no-merge", is_flag=True, help="Keep every access to state a step of its own.")
@click.option("--no-symmetry", is_flag=True, help="Keep states apart that differ only in which CPU, task or mm is which.")
@click.option("--no-local-first", is_flag=True, help="Interleave with other CPUs even the steps that concern one CPU alone.")
@click.option("--no-forget", is_flag=True, help="Keep states apart that differ only in contents nobody may rely on.")
@click.option("--checkpoint", metavar="DIR",
              help="Keep the search in this folder now and then: after a crash the same command goes on from there.")  # fmt: skip
@click.option("--simulate", type=click.FloatRange(0, min_open=True), metavar="SECONDS",
              help="Random walks instead of a search, so long in each part: for scopes too large to be explored. They find bugs, and "
                   "prove nothing.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), metavar="N",
              help="With --simulate: other walks (default: 0). The same seed and --jobs 1 find the same.")  # fmt: skip
@click.option("--evidence", is_flag=True,
              help="For each property that holds, in each part: find a kernel with one mistake that breaks it there. A property that "
                   "none breaks is not put to the test. Takes minutes; done also for --property.")  # fmt: skip
@click.option("--prove", is_flag=True,
              help="Prove the properties of one model for any number of CPUs and tasks, by an invariant mined from small instances "
                   "(extra pasidlab[prove]). Exit code 3: not proved; what stops it is told.")  # fmt: skip
@click.option("--smt", metavar="FILE", help="With --prove: write each query of the proof as SMT-LIB, for another solver.")
@click.option("-q", "--quiet", is_flag=True, help="The verdict table only.")
@click.option("-v", "--verbose", is_flag=True, help="Traces of all designs, with every line that was executed.")
def check_command(**options: Any) -> int:
    """Explore designs exhaustively.

    Without a name every built-in design is explored and the verdict table printed; for designs that are named, all about them comes
    first. Without a scope each is explored in the default parts (see `pasidlab designs`); any of --cpus, --tasks, --mms, --pasids,
    --events makes one scope of your own. --events alone keeps the sizes of part race: 2 CPUs, 2 tasks, 2 mms.

    A FILE.py that calls model() is a whole model: it says which sizes, events and mistakes it has. --size changes a size, --events
    +NAME makes a mistake.

    `mpirun -n N pasidlab check ...` shares the states of each search among N processes (docs/cluster.md; extra pasidlab[cluster]).
    """
    from pasidlab.commands.formats import must_be_known

    asked = Asked(**options)
    must_be_known(asked.outputs)
    with ranks(asked) as together:
        return _check(asked if together.speaks else replace(asked, outputs=()), together)


def _check(asked: Asked, together: Together) -> int:
    """The exit code."""
    from pasidlab.commands.formats import write_all

    if asked.smt and not asked.prove:
        raise PasidlabError("--smt writes a proof", hint="add --prove")
    if asked.prove:
        from pasidlab.commands.prove import proved

        code, asked = proved(asked)
        if asked.prove:
            return code
    budget = asked.budget()
    walks = asked.walks()
    chosen = _chosen(asked)
    from pasidlab.checking.api import wanted_properties  # not before bad input has been told: it takes a second
    from pasidlab.commands.printing import printer
    from pasidlab.trace.look import look_of

    for design, _, _ in chosen:
        wanted_properties(asked.properties, design)
    printing = printer(asked, [design.name for design, _, _ in chosen], look_of(sys.stdout))
    checked: list[Checked] = []
    ended: BaseException | None = None
    try:
        for entry in _explored(asked, chosen, (budget, walks), printing, together):
            checked.append(entry)
    except (KeyboardInterrupt, PasidlabError) as error:
        ended = error
    if ended and not checked:
        raise ended
    account = _account(asked, checked, [design.name for design, _, _ in chosen[len(checked) :]], ended)
    write_all(asked.outputs, account)
    printing.end(account)
    if account.missing:
        click.echo(f"not explored: {', '.join(account.missing)}", err=True)
    if isinstance(ended, PasidlabError):
        raise ended
    return account.exit_code


Limits = tuple["Budget", "Walks | None"]
Chosen = tuple["Design", "Opening", "AskedParts"]


def _chosen(asked: Asked) -> list[Chosen]:
    """Each design once, under whatever names it is given, what opens it again, and the scope asked for. Scopes are told first."""
    from pasidlab.commands.provenance import about
    from pasidlab.trace.look import look_of

    if asked.matrix:
        return _combinations(asked, asked.matrix)
    said: list[str] = []
    if asked.compare and len(asked.names) != 1:
        raise PasidlabError("--compare takes one patch", hint="pasidlab check fix.patch --kernel TREE --compare")
    chosen: dict[Hashable, Chosen] = {}
    for name in dict.fromkeys(asked.names or ([""] if asked.kernel else designs.BUILT_IN)):
        sides: tuple[Side, ...] = SIDES if asked.compare else ("",)
        for side in sides:
            opening = asked.opening(name, side)
            design = opening.design()
            mine = (design, opening.carrying(design), asked.scopes(design))
            first = chosen.setdefault(opening.content(design), mine)
            if first is not mine:
                click.echo(f"{name} is the same as {first[1].name}: explored once", err=True)
            elif design.around and not (asked.quiet or asked.as_json):
                said.append(about(design, asked.verbose))
    if not asked.as_json:
        lines = scope_lines([(design, mine) for design, _, mine in chosen.values()])
        click.echo("\n".join([*(part for line in lines for part in look_of(sys.stdout).prose(line, "", "  ")), *said]))
    return list(chosen.values())


def _combinations(asked: Asked, file: str) -> list[Chosen]:
    """Every combination of a matrix. Scopes are told first."""
    from pasidlab.commands.matrix import read_matrix
    from pasidlab.trace.look import look_of

    asked.matrix_alone()
    chosen: list[Chosen] = list(read_matrix(file).checks(asked.opening("")))
    if not asked.as_json:
        look, lines = look_of(sys.stdout), scope_lines([(design, mine) for design, _, mine in chosen])
        click.echo("\n".join(part for line in lines for part in look.prose(line, "", "  ")))
    return chosen


def _explored(asked: Asked, chosen: Sequence[Chosen], limits: Limits, printing: Printer, together: Together) -> Iterator[Checked]:
    """Each design explored, and told as soon as it is."""
    from pasidlab.commands.progress import StatusLines
    from pasidlab.report.account import Checked

    with StatusLines() as progress:
        each = _over_ranks if asked.matrix and together.peers.size > 1 else _in_turn
        for (design, opening, _), result in zip(chosen, each(asked, chosen, limits, progress, together), strict=False):
            yield Checked(design, result, None if design in designs.BUILT_IN.values() else opening)
            progress.stop(result.design)
            printing.result(result)
            sys.stdout.flush()


def _in_turn(asked: Asked, chosen: Sequence[Chosen], limits: Limits, progress: StatusLines, together: Together) -> Iterator[CheckResult]:
    """What is found of each design, with what puts it to the test. Several ranks share the states of each."""
    from pasidlab.checking.api import check_each

    deadline = time.monotonic() + asked.timeout if asked.timeout else None
    found = check_each(
        [design for design, _, _ in chosen], [scope for _, _, scope in chosen], properties=asked.properties, jobs=asked.jobs,
        budget=limits[0], progress=progress.update, reductions=asked.reductions(), walks=limits[1],
        interrupted=together.interrupted, peers=together.peers,
        checkpoint=Path(asked.checkpoint).absolute() if asked.checkpoint else None,
    )  # fmt: skip
    for (design, _, _), result in zip(chosen, found, strict=False):
        if asked.evidence or (asked.properties and not result.counterexamples):
            yield together.peers.once(partial(_with_evidence, asked, design, result, deadline, progress))
        else:
            yield result


def _over_ranks(asked: Asked, chosen: Sequence[Chosen], limits: Limits, progress: StatusLines, together: Together) -> Iterator[CheckResult]:
    """The results, each design explored by one rank alone."""
    from pasidlab.checking.campaign import campaign, threads_each
    from pasidlab.search.exchange import ALONE

    contents = together.peers.gather([(design.name, opening.content(design)) for design, opening, _ in chosen])
    if any(other != contents[0] for other in contents):
        raise PasidlabError("the ranks read different files: a matrix, a design or a tree differs from host to host")
    alone = replace(together, peers=ALONE)
    asked = replace(asked, jobs=asked.jobs or threads_each(together.peers))
    deadline = time.monotonic() + asked.timeout if asked.timeout else None

    def cell(one: Chosen) -> CheckResult | None:
        left = None if deadline is None else max(deadline - time.monotonic(), 1e-3)
        mine = replace(asked, timeout=left), [one], (replace(limits[0], timeout=left), limits[1]), progress, alone
        try:
            return next(_in_turn(*mine))
        except KeyboardInterrupt:
            return None

    yield from campaign([partial(cell, one) for one in chosen], together.peers)


def _with_evidence(asked: Asked, design: Design, result: CheckResult, deadline: float | None, progress: StatusLines) -> CheckResult:
    """The result with what puts its properties to the test."""
    from pasidlab.checking.evidence import declared_mistakes, with_evidence
    from pasidlab.zoo.mistakes import MISTAKES, NotThere

    mistakes = declared_mistakes(design) if design.own else MISTAKES
    if not mistakes:
        return result
    return with_evidence(
        design, result, mistakes, NotThere, jobs=asked.jobs, most_memory=asked.budget().max_memory, deadline=deadline, told=progress.tried
    )


def _account(asked: Asked, checked: Sequence[Checked], missing: Sequence[str], ended: BaseException | None) -> Account:
    from pasidlab.checking.compare import Comparison
    from pasidlab.report.account import Account

    said = "interrupted" if ended else ""
    if isinstance(ended, PasidlabError):
        said = str(ended)
    both = [entry.result for entry in checked] if asked.compare else []
    comparison = Comparison(*both) if len(both) == 2 else None
    return Account(tuple(checked), tuple(missing), said, click.get_current_context().obj or (), asked.kernel, comparison=comparison)


@click.command("designs")
@click.option("--json", "as_json", is_flag=True, help="Print JSON (see `pasidlab schema designs`).")
def designs_command(as_json: bool) -> None:
    """The designs of the debate, the parts every check explores by default, events and properties."""
    from pasidlab.model.promises import PROPERTIES
    from pasidlab.model.scope import DEFAULT_PARTS, EVENTS, THOROUGH_PARTS
    from pasidlab.report.account import Account
    from pasidlab.report.json import heading, named
    from pasidlab.report.text import definitions
    from pasidlab.trace.look import look_of

    if as_json:
        account = Account(())
        document = {
            **heading("designs", click.get_current_context().obj or ()),
            "designs": [{"name": d.name, "idea": d.idea, "file": named(account, str(d.path))} for d in designs.BUILT_IN.values()],
            "parts": {name: str(scope) for name, scope in DEFAULT_PARTS.items()},
            "thorough_parts": {name: str(scope) for name, scope in THOROUGH_PARTS.items()},
            "events": EVENTS,
            "properties": {p.name: p.sentence for p in PROPERTIES},
        }
        click.echo(json.dumps(document, indent=2))
        return
    look = look_of(sys.stdout)
    click.echo(definitions("Designs", {d.name: d.idea for d in designs.BUILT_IN.values()}, look))
    click.echo(definitions("Parts explored when no scope is given", {name: str(scope) for name, scope in DEFAULT_PARTS.items()}, look))
    click.echo(definitions("Parts that --thorough adds", {name: str(scope) for name, scope in THOROUGH_PARTS.items()}, look))
    click.echo(definitions("Events", EVENTS, look))
    click.echo(definitions("Properties", {p.name: p.sentence for p in PROPERTIES}, look))
