"""What ``observe verify`` prints: the verdict, what weakens it, the hidden steps, and a contradiction told with its history."""

from __future__ import annotations

from typing import Any

from pasidlab.errors import printable
from pasidlab.observe.assumptions import MEANINGS, NO_BLIND
from pasidlab.observe.kinds import IS_FPU, Kind
from pasidlab.observe.pages import CPU, FLAGS, KIND, PID, A, B
from pasidlab.observe.verdict import Contradiction, Verdict

PLACES = 8  # places of the code that are named, of those where a task may have stood


def event_text(event: tuple[int, ...]) -> str:
    """An event in the kernel's words."""
    kind = Kind(event[KIND])
    if kind in IS_FPU:
        off = ", interrupts off" if event[FLAGS] & 1 else ""
        bh = ", BH off" if event[FLAGS] & 0x80 else ""
        return f"{kind.name} fpu {event[A] & (1 << 64) - 1:#x} load: {event[B]}{off}{bh}"
    if kind == Kind.sched_switch:
        return f"sched_switch to {event[A]}"
    if kind == Kind.sched_process_fork:
        return f"sched_process_fork child {event[A]}"
    return kind.name


def verdict_text(verdict: Verdict) -> str:
    """The verdict for a reader."""
    lines = [f"Linux {printable(verdict.kernel)}: {verdict.events:,} events, {verdict.judged:,} of them judged by the model's functions"]
    if verdict.hidden:
        told = f"hidden steps, the fewest that explain the events and the calls of {len(verdict.calls)} functions:"
        lines += ["", told if verdict.calls else "hidden steps, the fewest that explain the events:"]
        lines += [f"  {times:>10,}  {hidden}" for hidden, times in sorted(verdict.hidden.items(), key=lambda item: -item[1])]
    lines += ["", *_weaknesses(verdict)] if _weaknesses(verdict) else []
    if verdict.contradiction:
        return "\n".join([*lines, "", *_told(verdict.contradiction)])
    if verdict.lost:
        where = f" after event {verdict.unsure_from:,}" if verdict.unsure_from else ""
        return "\n".join([*lines, "", f"cannot decide{where}; nothing that was seen contradicts the model"])
    if verdict.untold:
        return "\n".join([*lines, "", "cannot decide: the recording ends before an exec tells why a task went on with another pid"])
    if not verdict.of_fpu:
        return "\n".join([*lines, "", "cannot decide: no event tells of the FPU"])
    if verdict.unseen:
        what = f"conforms, but for {verdict.unseen:,} switches that are not in the recording (--assume {NO_BLIND} takes none for hidden)"
        return "\n".join([*lines, "", what])
    return "\n".join([*lines, "", "conforms: every event is a step of the model's functions"])


def _weaknesses(verdict: Verdict) -> list[str]:
    lines = [f"assumed: {MEANINGS[name]}" for name in verdict.assumed]
    if verdict.lost:
        lines.append(f"not in the recording: at least {verdict.lost:,} events; nothing is known of any task after each loss")
    if verdict.blind:
        named = ", ".join(map(str, verdict.blind[:10])) + (" ..." if len(verdict.blind) > 10 else "")
        lines.append(f"blind: the host hides the switches of {len(verdict.blind)} tasks (pid {named})")
    if verdict.unseen:
        lines.append(f"switches from the idle task or from blind ones that are not in the recording: {verdict.unseen:,}")
    if verdict.offline:
        lines.append(f"CPUs that were switched off, and on again: {verdict.offline:,} times; no event tells how they went to idle")
    if verdict.unmade:
        lines.append(f"tasks that no event made, as a blind task may have: {verdict.unmade:,}")
    if verdict.exchanges:
        lines.append(f"pids exchanged by an exec: {verdict.exchanges:,}")
    if verdict.missing:
        lines.append(f"not recorded, or not there in this kernel: {', '.join(name.split('/')[1] for name in verdict.missing)}")
    return [*lines, *map(printable, verdict.notes)]


def _told(found: Contradiction) -> list[str]:
    event = found.event
    lines = [f"CONTRADICTION at event {found.number:,}: {found.sentence}", ""]
    lines += [f"{number:>10,}  CPU {row[CPU]}  pid {row[PID]:<8} {event_text(row)}" for number, row in found.history]
    lines.append(f"{found.number:>10,}  CPU {event[CPU]}  pid {event[PID]:<8} {event_text(event)}   <- not explained")
    if found.places:
        more = [f"  ... and {len(found.places) - PLACES} more places"] if len(found.places) > PLACES else []
        lines += ["", "before it, the task was in one of:", *(f"  {place}" for place in found.places[:PLACES]), *more]
    if found.expected:
        lines += ["instead, the model expected one of:", *(f"  {text}" for text in found.expected)]
    return lines


def verdict_json(verdict: Verdict) -> dict[str, Any]:
    """The document that ``--json`` prints."""
    found = verdict.contradiction
    return {
        "kernel": verdict.kernel, "verdict": ("conforms", "contradiction", "", "inconclusive")[verdict.status], "events": verdict.events,
        "judged": verdict.judged, "lost": verdict.lost, "unsure_from": verdict.unsure_from, "blind": list(verdict.blind),
        "unseen_switches": verdict.unseen, "switched_off": verdict.offline, "unmade_tasks": verdict.unmade,
        "exchanged_pids": verdict.exchanges, "untold_exchanges": verdict.untold, "missing": list(verdict.missing),
        "notes": list(verdict.notes), "calls": list(verdict.calls), "assumed": list(verdict.assumed),
        "hidden": [{"function": h.function, "during": h.during, "times": times} for h, times in verdict.hidden.items()],
        "contradiction": found and {
            "number": found.number, "event": event_text(found.event), "cpu": found.event[CPU], "pid": found.event[PID],
            "sentence": found.sentence, "places": list(found.places), "expected": list(found.expected),
            "history": [{"number": n, "cpu": row[CPU], "pid": row[PID], "event": event_text(row)} for n, row in found.history],
        },
    }  # fmt: skip
