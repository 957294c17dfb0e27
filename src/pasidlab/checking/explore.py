"""Explores a design in one scope: what its searches found, each counterexample replayed by the interpreter in the exact model."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from pasidlab.checking.findings import ModelError, PartResult, PropertyResult, in_order
from pasidlab.checking.searched import Built, OutOfTime, Run, Searched
from pasidlab.designs import Design
from pasidlab.lang.interpreter import Interpreter
from pasidlab.lang.lowering.forget import forgetting_nothing
from pasidlab.search.exchange import ALONE
from pasidlab.trace.replay import Replayer
from pasidlab.trace.steps import Counterexample

if TYPE_CHECKING:
    from pasidlab.search.result import SearchResult, StopReason, Violation


@dataclass(frozen=True)
class Waited:
    """What the look for requests that wait for ever came to: one, or why the question is open ("settled": it is not)."""

    counterexample: Counterexample | None
    reason: StopReason | Literal["settled"]


def explored_part(run: Run, built: Built) -> PartResult:
    """Explore one part: local steps first, then in full for what is broken.

    Local steps first settle everything in a small graph, but not in how few steps something is broken (``independence``). The full graph is
    searched for that alone, and no deeper than what an earlier part has shown.
    """
    first = run.remembering(built)
    if built.model.private is None:
        return _result(run, first)
    if first.found.error:
        return _result(run, run.remembering(run.full(first)))
    first, full = run.shortest(first)
    return _result(run, full) if full and full.found.error else _result(run, first, full)


def _result(run: Run, first: Searched, full: Searched | None = None) -> PartResult:
    """The result of a part: of the search that settles everything, and of the one in full for shortest counterexamples."""
    from pasidlab.checking.coverage import covered_lines

    built, found, both = first.built, first.found, [first, full] if full else [first]
    violated = first.broken(run.wanted)
    error, broken = _model_error(run, first), _counterexamples(run, first, full)
    promised = next((name for name in built.model.pending if name in run.wanted), "")
    waiting = Waited(None, "settled")
    if promised and promised not in violated:  # in one process: it needs the graph of all states
        waiting = run.peers.once(lambda: _waiting(replace(run, peers=ALONE), first, promised))
    broken += [waiting.counterexample] if waiting.counterexample else []
    asked_for = [c for c in broken if error is None or len(c.steps) <= error.steps]
    if error:
        violated &= {c.property for c in asked_for}
    proved = set(run.wanted) if found.reason == "complete" and error is None else set()
    proved -= {promised} if waiting.reason != "settled" else set()
    reached = found.reached | (full.found.reached if full else 0)
    covered = [covered_lines(one.built.native, one.found.counters) for one in both]
    executed, present = (frozenset[tuple[str, int]]().union(*lines) for lines in zip(*covered, strict=True))
    return PartResult(
        built.name, built.scope, _reason(both, waiting), states=found.states, transitions=found.transitions, depth=found.depth,
        depth_completed=found.depth_completed, seconds=both[-1].seconds, bytes_per_state=found.bytes_per_state,
        properties=tuple(property_result(built.design, name, reached, asked_for, violated=violated, proved=proved) for name in run.wanted),
        counterexamples=in_order(asked_for, run.wanted), error=error, executed=executed, present=present,
        notes=(*built.model.notes, *_notes(both)), local_first=built.model.private is not None,
    )  # fmt: skip


def _waiting(run: Run, first: Searched, name: str) -> Waited:
    """Whether a request waits for ever: proved without a look at the graph, or looked for in the graph of states themselves."""
    from pasidlab.checking.liveness import KERNEL, OWN, nobody_waits, surely_served, waits_for_ever
    from pasidlab.checking.waiting import TooLarge

    built, found = first.built, first.found
    own = built.design.own is not None  # then nothing says that a task in user mode is served
    if nobody_waits(found) or (not own and surely_served(found, built.native, built.model)):
        return Waited(None, "settled")
    if found.reason == "interrupted" or (found.reason != "complete" and not found.again):
        return Waited(None, found.reason)
    again = run.graph(built)
    try:
        lasso = waits_for_ever(again.found, again.built.native, _replayer(again), name, OWN if own else KERNEL, run.look)
    except TooLarge:
        return Waited(None, "max_states")
    except OutOfTime:
        return Waited(None, "timeout")
    except KeyboardInterrupt:
        return Waited(None, "interrupted")
    lasso = _remembered(again, lasso) if lasso else None
    return Waited(lasso, "settled" if lasso or again.found.reason == "complete" else again.found.reason)


def _counterexamples(run: Run, first: Searched, full: Searched | None) -> list[Counterexample]:
    """Those of the properties asked for: shortest ones, but where the search in full did not come so far.

    There is none for what is broken in more steps than in an earlier part, or in as many.
    """
    result = []
    for name in run.wanted:
        violation = first.found.violations.get(first.built.bit(name))
        if violation is None:
            continue
        if full and (nearest := full.found.violations.get(full.built.bit(name))):
            if nearest.steps < run.known.get(name, nearest.steps + 1):
                result.append(_shortest(run, full, name, nearest))
        elif first.built.model.private is None:
            result.append(_shortest(run, first, name, violation))
        elif full and full.found.reason == "complete":
            raise AssertionError(f"local steps first find {name} broken, the search in full does not")
        elif name not in run.known:
            result.append(_by_local_steps(run, run.again(first, name), name))
    return result


def _shortest(run: Run, searched: Searched, name: str, violation: Violation) -> Counterexample:
    from pasidlab.search.graph import path_to

    path = path_to(searched.found, violation.state, violation.depth)
    found = _replayer(searched, symmetric=run.reductions.symmetry).counterexample(name, path, violation.by_step)
    return _remembered(searched, found)


def _by_local_steps(run: Run, again: Searched, name: str) -> Counterexample:
    from pasidlab.checking.local_ways import by_local_steps

    violation = again.found.violations[again.built.bit(name)]
    return _remembered(again, by_local_steps(again.found, violation, name, _replayer(again, symmetric=run.reductions.symmetry)))


def _replayer(searched: Searched, *, symmetric: bool = False) -> Replayer:
    return Replayer(Interpreter(searched.built.model, symmetric=symmetric), searched.built.design.shown)


def _remembered(searched: Searched, found: Counterexample) -> Counterexample:
    """The counterexample in the exact model: it shows there, since nobody has looked at what is forgotten."""
    if searched.built.model.forget is None:
        return found
    exact = Replayer(Interpreter(forgetting_nothing(searched.built.model)), searched.built.design.shown)
    same = exact.remade(found.recipe())
    if same is None:
        raise AssertionError(f"nobody looked at what was forgotten, but {found.property} is not broken without forgetting")
    return same


def _model_error(run: Run, searched: Searched) -> ModelError | None:
    """The model error nearest to the beginning."""
    from pasidlab.search.graph import path_to

    if (error := searched.found.error) is None:
        return None
    path = path_to(searched.found, error.state, error.depth)
    return model_error(_replayer(searched, symmetric=run.reductions.symmetry), path, searched.built.design.sources)


def model_error(replayer: Replayer, path: Sequence[tuple[int, ...]], sources: Sequence[str]) -> ModelError:
    """The model error at the end of a path, at the line of the design that leads there."""
    way, failure = replayer.error(path)
    site = next((s for s in failure.site.chain() if s.position.file in sources), failure.site)
    return ModelError(failure.sentence, site, way, failure.kind)


def property_result(
    design: Design, name: str, reached: int, broken: Sequence[Counterexample], *,
    violated: Collection[str] = (), proved: Collection[str] = (),
) -> PropertyResult:  # fmt: skip
    """One property of a design. ``reached`` is a mask of what was put to the test; ``violated``: known to be, here or elsewhere."""
    bit = design.property_names.index(name)
    sentence = design.properties[bit].sentence
    mine = next((c for c in broken if c.property == name), None)
    if mine is not None or name in violated:
        return PropertyResult(name, False, True, len(mine.steps) if mine else None, sentence)
    return PropertyResult(name, True if name in proved else None, bool(reached >> bit & 1), sentence=sentence)


def _reason(both: Sequence[Searched], waiting: Waited) -> StopReason:
    """Why a part is not settled, if it is not: its search, what came after it, or what ended them."""
    for one in both[1:]:
        if one.found.reason in ("interrupted", "timeout"):
            return one.found.reason
    first = both[0].found.reason
    return first if first != "complete" or waiting.reason == "settled" else waiting.reason


def _notes(both: Sequence[Searched]) -> list[str]:
    """On a second search, on what was not in memory, and on the processes that searched."""
    notes = [f"{one.found.states:,} states of the full graph, for the shortest counterexamples" for one in both[1:]]
    disk = sum(one.found.disk_bytes for one in both)
    notes += [f"{disk / 1e9:.2f} GB of states were kept on disk"] if disk else []
    return [*notes, *_shared(both[0].found)]


def _shared(found: SearchResult) -> list[str]:
    share = f"{found.exchange:.0%} of the time in exchange of {found.sent / 1e6:,.0f} MB"
    return [f"{found.peers.size} ranks, {share}"] if found.peers.size > 1 else []
