"""Recordings with one event changed, and how many `observe verify` finds: ``trace_mutants.py FILE [COUNT [SEED [ASSUMPTION ...]]]``.

Each mutant is judged in a window of events around the change, of which nothing is known before. FILE may be text that tells its kernel.
"""

import random
import sys
from collections import Counter
from dataclasses import replace

import numpy as np

from pasidlab.observe.kinds import CALLS, Kind
from pasidlab.observe.pages import CPU, FLAGS, KIND, PID, A, B
from pasidlab.observe.recording import TaskAtStart
from pasidlab.observe.source import opened_recording
from pasidlab.observe.text import Told
from pasidlab.observe.verify import Judging, explanations_of

BEFORE, AFTER = 2500, 2500
IRQS_OFF = 1
FPU = [kind for kind in Kind if kind.name.startswith("x86_fpu_")]


def is_restore(row):
    return row[KIND] == Kind.x86_fpu_regs_activated and row[FLAGS] & IRQS_OFF


def is_mark(row):
    return row[KIND] == Kind.x86_fpu_regs_activated and not row[FLAGS] & IRQS_OFF


def of(*kinds):
    return lambda row: row[KIND] in kinds


def is_save(row):
    return row[KIND] == Kind.x86_fpu_regs_deactivated and row[FLAGS] & IRQS_OFF


def drop(events, at, rng):
    return np.delete(events, at, axis=0)


def duplicate(events, at, rng):
    return np.insert(events, at, events[at], axis=0)


def other_cpu(events, at, rng):
    events[at, CPU] = 1 - events[at, CPU]
    return events


def other_pid(events, at, rng):
    return _other(events, at, PID, rng)


def other_fpu(events, at, rng):
    return _other(events, at, A, rng)


def _other(events, at, column, rng):
    alike = events[np.isin(events[:, KIND], FPU), column]
    events[at, column] = rng.choice([int(value) for value in np.unique(alike) if value not in (events[at, column], 0)])
    return events


def flip(events, at, rng):
    events[at, B] ^= 1
    return events


def swap(events, at, rng):
    """With the next event of the same CPU."""
    later = np.flatnonzero(events[at + 1 :, CPU] == events[at, CPU])
    other = at + 1 + int(later[0])
    events[[at, other]] = events[[other, at]]
    return events


def moved(events, at, rng):
    """To another place, up to 50 events away."""
    row = events[at].copy()
    to = at + rng.choice([-1, 1]) * rng.randint(3, 50)
    return np.insert(np.delete(events, at, axis=0), min(max(to, 0), len(events) - 1), row, axis=0)


any_fpu = of(*FPU)
KINDS = {
    "another CPU": (any_fpu, other_cpu),
    "another pid": (any_fpu, other_pid),
    "another fpu pointer": (lambda row: any_fpu(row) and row[KIND] not in (Kind.x86_fpu_copy_dst,), other_fpu),
    "load flag of a save or restore flipped": (lambda row: any_fpu(row) and row[FLAGS] & IRQS_OFF, flip),
    "load flag of a mark_activate flipped": (is_mark, flip),
    "sched_switch dropped": (lambda row: row[KIND] == Kind.sched_switch and row[PID] != 0, drop),
    "save at a switch duplicated": (is_save, duplicate),
    "save at a switch dropped": (is_save, drop),
    "restore dropped": (is_restore, drop),
    "restore duplicated": (is_restore, duplicate),
    "mark_activate dropped": (is_mark, drop),
    "copy_dst dropped": (of(Kind.x86_fpu_copy_dst), drop),
    "fork dropped": (of(Kind.sched_process_fork), drop),
    "exec dropped": (of(Kind.sched_process_exec), drop),
    "exit's drop dropped": (of(Kind.x86_fpu_dropped), drop),
    "call of a function dropped": (of(*CALLS), drop),
    "call of a function duplicated": (of(*CALLS), duplicate),
    "call of a function moved": (of(*CALLS), moved),
    "x86_fpu event swapped with the next of its CPU": (any_fpu, swap),
    "x86_fpu event moved": (any_fpu, moved),
}
ALWAYS = (
    "another CPU", "another pid", "another fpu pointer", "load flag of a save or restore flipped", "sched_switch dropped",
    "save at a switch duplicated", "copy_dst dropped", "fork dropped",
)  # fmt: skip


class Windows:
    """One recording, of which mutants are made."""

    def __init__(self, path, assumed=()):
        source = opened_recording(path, Told(recorded=("x86_fpu",)))
        if source.about.functions:
            source = opened_recording(path, Told(recorded=("x86_fpu", "ftrace")))
        self.about = source.about
        self.events = np.concatenate(list(source.in_order()))
        self.explanations = explanations_of(self.about, assumed)
        self.kernel = {task.pid for task in self.about.tasks if task.kernel}

    def status(self, window, before):
        """The verdict's: 0 conforms, 1 a contradiction, 3 cannot decide. ``before``: the window as it was, whose tasks are known."""
        tasks = []
        made = set()
        for row in before.tolist():
            if row[KIND] == Kind.sched_process_fork:
                made.add(row[A])
            tasks += [pid for pid in (row[PID], row[A] if row[KIND] == Kind.sched_switch else 0) if pid not in made]
        known = tuple(TaskAtStart(pid, pid, "", pid in self.kernel) for pid in sorted(set(tasks)))
        judging = Judging(replace(self.about, tasks=known), lambda: iter([window.copy()]), self.explanations)
        judging.look_through()
        judging.run(lambda events: None)
        return judging.verdict.status

    def tried(self, kind, count, seed):
        """How many mutants of a kind were made, and how many of them are a contradiction, or make the verdict undecided."""
        rng = random.Random(f"{kind} {seed}")
        wanted, change = KINDS[kind]
        of_kind = [KIND_OF[kind]] if kind in KIND_OF else list(CALLS) if kind in CALLED else []
        rows = np.flatnonzero(np.isin(self.events[:, KIND], of_kind)) if of_kind else np.arange(len(self.events))
        places = [int(row) for row in rng.sample(list(rows), min(len(rows), 200 * count)) if wanted(self.events[row])]
        made = 0
        found = Counter()
        for place in places[:count]:
            start = max(place - BEFORE, 0)
            window = self.events[start : place + AFTER]
            made += 1
            found[self.status(change(window.copy(), place - start, rng), window)] += 1
        return made, found[1], found[3]


CALLED = ("call of a function dropped", "call of a function duplicated", "call of a function moved")
KIND_OF = {
    "sched_switch dropped": Kind.sched_switch, "copy_dst dropped": Kind.x86_fpu_copy_dst, "fork dropped": Kind.sched_process_fork,
    "exec dropped": Kind.sched_process_exec, "exit's drop dropped": Kind.x86_fpu_dropped,
    "mark_activate dropped": Kind.x86_fpu_regs_activated, "load flag of a mark_activate flipped": Kind.x86_fpu_regs_activated,
}  # fmt: skip


def main():
    path, count, seed = sys.argv[1], int((*sys.argv[2:], "100")[0]), int((*sys.argv[2:], "0", "0")[1])
    windows = Windows(path, sys.argv[4:])
    starts = range(0, len(windows.events) - 5000, max(len(windows.events) // count, 1))
    none = [windows.status(window, window) for window in (windows.events[start : start + 5000] for start in starts)]
    print("| change | made | contradiction | cannot decide |\n|---|---|---|---|")
    for kind, (made, found, open_) in {
        "none": (len(none), none.count(1), none.count(3)), **{kind: windows.tried(kind, count, seed) for kind in KINDS},
    }.items():  # fmt: skip
        print(f"| {kind} | {made} | {100 * found / max(made, 1):.0f} % | {100 * open_ / max(made, 1):.0f} % |")


if __name__ == "__main__":
    main()
