"""``check``: explore a design in a scope; the answer is a proof over the scope or a shortest counterexample for each broken property."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pasidlab.checking.explore import explored_part
from pasidlab.checking.findings import PartResult, PropertyResult
from pasidlab.checking.processes import Report, available_cpus, side_by_side
from pasidlab.checking.reductions import ALL, Reductions
from pasidlab.checking.result import CheckResult
from pasidlab.checking.searched import Built, FunctionsForScope, OnDesignProgress, Run
from pasidlab.designs import AnyScope, Design, Opening
from pasidlab.designs.intake.judged import Judged
from pasidlab.errors import PasidlabError
from pasidlab.lang.names import nearest
from pasidlab.search.exchange import ALONE, Exchange

if TYPE_CHECKING:
    from pasidlab.interrupts import StopFlag
    from pasidlab.search.result import Budget, Progress, Walked
    from pasidlab.search.simulate import Walks

__all__ = ["CheckResult", "PartResult", "PropertyResult", "check", "check_each", "wanted_properties"]

AskedParts = AnyScope | Mapping[str, AnyScope] | None
"""A scope, or several by their names; None: those that the design has by default."""
OnPartProgress = Callable[[str, "Progress | Walked"], None]  # part, how far it is


def check(
    design: Design | Opening | str, scope: AskedParts = None, *, properties: Sequence[str] = (),
    jobs: int | None = None, budget: Budget | None = None, progress: OnPartProgress | None = None,
    functions: FunctionsForScope | None = None, reductions: Reductions = ALL, interrupted: StopFlag | None = None,
    walks: Walks | None = None, checkpoint: Path | None = None,
) -> CheckResult:  # fmt: skip
    """Explore ``design`` in ``scope`` (None: in every part of DEFAULT_PARTS, or in the scope that a model of one's own says).

    ``properties`` limits the verdict to some: a part ends once all of these are broken. ``functions`` are ready-made IR functions
    that replace kernel functions by name, or a callable that makes them for a scope. Where all properties are asked for and one is
    broken, its part is explored no further than STATES_AFTER_VIOLATION states. Each later part ends at
    STATES_AFTER_EARLIER_VIOLATION. A shortest counterexample is looked for among STATES_TO_THE_SHORTEST states; if it is not found there,
    one is shown that may be longer. The budget may ask for more. ``interrupted``: a flag that ends the check as Ctrl-C does;
    KeyboardInterrupt if there is no result yet. ``walks``: random walks take the place of the search, in each part; of the reductions
    only merging is used then. ``checkpoint``: a folder that searches are kept in; if the process is killed, the same call goes on from
    there.

    Raises PasidlabError for bad input. Raises it, with its place, for a model error (a value outside its domain) that shows before
    anything is broken. One that shows later ends the check with what is broken by then, and is the result's ``error``.
    """
    (result,) = check_each(
        [design if isinstance(design, Design) else opening_of(design).design()], scope, properties=properties, jobs=jobs, budget=budget,
        progress=progress and (lambda _design, part, now: progress(part, now)), functions=functions, reductions=reductions,
        interrupted=interrupted, walks=walks, checkpoint=checkpoint,
    )  # fmt: skip
    return result


def opening_of(design: Opening | str) -> Opening:
    """What opens a design: a name is that of a built-in design or of a file."""
    return Opening(design) if isinstance(design, str) else design


def check_each(
    designs: Sequence[Design], scope: AskedParts | Sequence[AskedParts] = None, *, properties: Sequence[str] = (),
    jobs: int | None = None, budget: Budget | None = None, progress: OnDesignProgress | None = None,
    functions: FunctionsForScope | None = None, reductions: Reductions = ALL, interrupted: StopFlag | None = None,
    walks: Walks | None = None, checkpoint: Path | None = None, peers: Exchange = ALONE,
) -> Iterator[CheckResult]:  # fmt: skip
    """``check`` for several designs, in one scope or each in its own. Yields results in the order given; an interrupted one is the last.

    They are explored side by side, each with its share of the ``jobs``; in turn if ``budget`` limits memory or may go to disk, or if
    several processes share the states of each (``peers``): then each of those makes this call.
    """
    each = scope if isinstance(scope, Sequence) else [scope] * len(designs)
    parts = [_parts(design, mine) for design, mine in zip(designs, each, strict=True)]
    jobs = jobs or max(available_cpus() // peers.neighbours, 1)
    used = replace(reductions, symmetry=False, forgetting=False, local_first=False) if walks else reductions
    run = Run(
        tuple(properties), jobs, budget, progress=progress, functions=functions, reductions=used, interrupted=interrupted, walks=walks,
        checkpoint=checkpoint, peers=peers,
    )  # fmt: skip
    for design in designs:
        wanted_properties(properties, design)
    if budget and budget.timeout is not None:
        run = replace(run, deadline=time.monotonic() + budget.timeout)
    at_once = 1 if peers.size > 1 or (budget and (budget.max_memory or budget.spill)) else min(jobs, len(designs))
    if at_once > 1:
        shared = replace(run, jobs=jobs // at_once)
        tasks = [partial(_side, shared, design, mine) for design, mine in zip(designs, parts, strict=True)]
        yield from side_by_side(tasks, at_once, progress)
        return
    for design, mine in zip(designs, parts, strict=True):
        result = _check(run, design, mine)
        yield result
        if result.interrupted:
            return


def _parts(design: Design, scope: AskedParts) -> Mapping[str, AnyScope]:
    if scope is None:
        return design.parts
    return dict(scope) if isinstance(scope, Mapping) else {"scope": scope}


def _side(run: Run, design: Design, parts: Mapping[str, AnyScope], report: Report, interrupted: StopFlag) -> CheckResult | None:
    try:
        return _check(replace(run, progress=run.progress and report, interrupted=interrupted), design, parts)
    except KeyboardInterrupt:
        return None


def _check(run: Run, design: Design, parts: Mapping[str, AnyScope]) -> CheckResult:
    """Explore the parts in turn. Raises KeyboardInterrupt if none was begun."""
    from pasidlab.checking.coverage import unexecuted_lines

    wanted = wanted_properties(run.wanted, design)
    run = replace(run, wanted=wanted, whole=wanted == design.property_names)
    builds = [partial(run.build, design, name, part) for name, part in parts.items()]
    results: list[PartResult] = []
    with closing(_ahead(builds) if run.jobs > 1 else (build() for build in builds)) as models:
        try:
            for built in models:
                if run.peers.total([bool(run.interrupted and run.interrupted.is_set())])[0]:
                    raise KeyboardInterrupt
                results.append(_explored(replace(run, known=_known(results)), built))
                if results[-1].reason in ("interrupted", "timeout") or results[-1].error:
                    break
        except KeyboardInterrupt:  # between two searches
            if not results:
                raise
    if (error := results[-1].error) and not any(part.counterexamples for part in results):
        raise error.raised()
    found = CheckResult(design.name, tuple(results), unexecuted_lines(results, design.shown), tuple(parts)[len(results) :])
    return replace(found, judged=_judged(found, design.account())) if design.account else found


def _judged(found: CheckResult, judged: Judged) -> Judged:
    """What of the input is judged, once it is known what the steps of the scope executed."""
    from pasidlab.checking.coverage import executed_and_present

    return judged.in_steps(*executed_and_present(found.parts)) if found.whole and not found.counterexamples else judged


def _known(parts: Sequence[PartResult]) -> dict[str, int]:
    """What is broken in parts, and in how few steps."""
    lengths = sorted(((len(c.steps), c.property) for part in parts for c in part.counterexamples), reverse=True)
    return {name: steps for steps, name in lengths}


def _explored(run: Run, built: Built) -> PartResult:
    from pasidlab.checking.walks import walked

    return walked(run, built) if run.walks else explored_part(run, built)


def _ahead(builds: Sequence[Callable[[], Built]]) -> Generator[Built, None, None]:
    """What each build gives, in turn, the one after it being under way."""
    with ThreadPoolExecutor(max_workers=1) as builder:
        futures: deque[Future[Built]] = deque()
        try:
            for build in builds:
                futures.append(builder.submit(build))
                if len(futures) > 1:
                    yield futures.popleft().result()
            while futures:
                yield futures.popleft().result()
        finally:
            for future in futures:
                future.cancel()


def wanted_properties(names: Sequence[str], design: Design) -> tuple[str, ...]:
    """Property names checked against those of the design; none given means all."""
    known = design.property_names
    for name in names:
        if name not in known:
            raise PasidlabError(f"unknown property '{name}'", hint=nearest(name, known))
    return tuple(name for name in known if not names or name in names)
