"""Holds a recording against the model: tells whether its events show a behaviour of the model's own functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator

import numpy as np
from numpy.typing import NDArray

from pasidlab.errors import PasidlabError
from pasidlab.observe import follow as f
from pasidlab.observe.assumptions import IDLE_TAKES_TILES, NO_BLIND, XFEATURE_MASK_XTILE, excluded
from pasidlab.observe.automaton import Hidden
from pasidlab.observe.coverage import coverage
from pasidlab.observe.derived import derived
from pasidlab.observe.explanations import ANY_RUNNING, EXECUTING, EXECUTING_AWAY, MISSING, Explanations
from pasidlab.observe.history import history
from pasidlab.observe.kinds import CALLED, CALLS, EVENTS, IS_FPU, Kind
from pasidlab.observe.pages import CPU, KIND, PID, TIME, A, B, C, D, EventTable, call_sites
from pasidlab.observe.recording import About
from pasidlab.observe.schema import MOST_PIDS
from pasidlab.observe.source import EventSource
from pasidlab.observe.verdict import Contradiction, Verdict

OLDEST = (5, 18)
"""irq_fpu_usable() of the model is that of 5.18; older kernels let interrupts use the FPU elsewhere."""

Pieces = Callable[[], Iterator[EventTable]]
"""The events of a recording in order, as often as they are asked for."""


def explanations_of(about: About, assumed: Collection[str] = ()) -> Explanations:
    """The sets that explain a recording: of the protocol of its kernel, with the calls that were traced, under what is assumed."""
    automaton = derived(about.version, bool(about.calls)).unseen(set(CALLS) - about.calls | about.untold)
    return Explanations(automaton, about.flags, excluded(assumed))


def verify(source: EventSource, progress: Callable[[int], None] = lambda events: None, assumed: Collection[str] = ()) -> Verdict:
    """The verdict on a recording under what is assumed (``assumptions.ASSUMPTIONS``).

    PasidlabError if the recording cannot be read, or is of a kernel that the model is not made for.
    """
    about = source.about
    if about.machine != "x86_64":
        raise PasidlabError(f"the recording is of {about.machine}; the model is x86_64's")
    if about.version < OLDEST:
        raise PasidlabError(f"the recording is of Linux {about.kernel}; the model's kernel_fpu_begin() is that of 5.18 and newer")
    explanations = explanations_of(about, assumed)
    judging = Judging(about, source.in_order, explanations, source.apart)
    judging.verdict.assumed = tuple(sorted(assumed))
    judging.all_seen = NO_BLIND in assumed
    judging.look_through()
    judging.run(progress)
    judging.verdict.lost = max(judging.verdict.lost, source.absent(judging.present))
    if judging.verdict.lost and not judging.verdict.unsure_from:
        judging.verdict.contradiction = None  # where they were lost is not told: perhaps before it
    return judging.verdict


class Judging:
    """One run over a recording."""

    def __init__(self, about: About, pieces: Pieces, explanations: Explanations, apart: Pieces | None = None) -> None:
        self.about, self.pieces, self.explanations = about, pieces, explanations
        self.apart = apart or pieces
        """All events, those of each CPU in order; that is quicker than all of them in order."""
        calls = tuple(sorted(kind.name for kind in about.calls))
        self.verdict = Verdict(about.kernel, missing=about.missing, notes=about.notes, calls=calls)
        self.cpus = np.zeros((max(about.cpus, default=0) + 1, f.CPU_COLUMNS), np.int64)
        self.tasks = np.zeros((1 << 16, f.TASK_COLUMNS), np.int64)
        self.machine = np.zeros(f.MACHINE_COLUMNS, np.int64)
        self.machine[f.TOLD_OF_TRACERS] = about.tells_of_tracers
        self.all_seen = False
        """No task is blind, as the user says."""
        self.hides = False
        """A task of the list is blind: nobody sees either which tasks it makes."""
        self.strangers = not about.tasks
        """Tasks may be there that nobody saw begin."""
        self.exchanged: dict[tuple[int, int], tuple[int, tuple[int, ...]]] = {}
        """By two pids, an exec that is still to be told of: the number of the event that showed the exchange, and the event."""
        self.stoppers: set[int] = set()
        """The threads ``migration/N``, which switch a CPU off."""
        self.present: Counter[int] = Counter()
        """By CPU, events that are there."""
        for task in about.tasks:
            self._room(task.pid)
            self.tasks[task.pid, f.IS] = f.KNOWN | (f.KERNEL if task.kernel else 0) | (f.EXITING if task.exiting else 0)

    def _must_have_been_asked_for(self, seen: set[int]) -> None:
        """PasidlabError if an event that the model shows may have come without being recorded."""
        kinds = {code // 16 for code in self.explanations.codes}
        shown = [event for event in EVENTS if event.kind in kinds]
        lacking = [event.path for event in shown if event.path not in self.about.formats]
        lacking += [event.path for event in shown if event.path in self.about.unsure and event.kind not in seen]
        if lacking:
            names = " ".join(f"--recorded {path.replace('/', ':')}" for path in lacking)
            hint = f"the model shows these events; if they were asked for and never came: {names}"
            raise PasidlabError(f"the recording was made without {', '.join(lacking)}", hint=hint)

    def _room(self, pid: int) -> None:
        while pid >= len(self.tasks):
            self.tasks = np.concatenate((self.tasks, np.zeros_like(self.tasks)))

    def look_through(self) -> None:
        """Count events, make room for all tasks and CPUs, and find blind tasks: those whose own switches are never there.

        A host may hide the switches of some tasks. Such a task is given a CPU or shows other events, and never gives the CPU back.
        """
        switched, acting = np.zeros(MOST_PIDS + 1, bool), np.zeros(MOST_PIDS + 1, bool)
        given = np.zeros(MOST_PIDS + 1, np.int64)
        last: dict[int, int] = {}  # by CPU: a task's own events may come after the end of the recording
        at_the_end: dict[int, int] = {}
        seen: set[int] = set()
        tiles = False
        for piece in self.apart():
            kinds, cpus, pids = (np.ascontiguousarray(piece[:, column]) for column in (KIND, CPU, PID))
            seen |= set(np.flatnonzero(np.bincount(kinds)).tolist())
            tiles = tiles or bool((piece[_IS_FPU[kinds], C] & XFEATURE_MASK_XTILE).any())
            there, switches = kinds != Kind.LOST, kinds == Kind.sched_switch
            self._make_room(piece, kinds, pids[there])
            acting[pids[there]] = True
            switched[pids[switches]] = True
            np.add.at(given, piece[switches, A], 1)
            self.stoppers |= set(piece[switches & (piece[:, D] == _STOPPER), A].tolist())
            for cpu in np.flatnonzero(np.bincount(cpus[there])).tolist():
                here = there & (cpus == cpu)
                self.present[cpu] += int(here.sum())
                at_the_end[cpu] = int(pids[here][-1])
                if len(to := piece[here & switches, A]):
                    last[cpu] = int(to[-1])
        self._must_have_been_asked_for(seen)
        if not tiles:
            self.explanations.exclude(IDLE_TAKES_TILES)
        np.add.at(given, list(last.values()), -1)
        acting[list(at_the_end.values())] = False
        found = ((given > 0) | acting) & ~switched
        self.verdict.blind = tuple((np.flatnonzero(found[1:]) + 1).tolist())
        for pid in self.verdict.blind:
            self.hides = self.hides or bool(self.tasks[pid, f.IS] & f.KNOWN)
            self.tasks[pid, f.IS] |= f.BLIND  # not KNOWN: nobody may have this pid

    def _make_room(self, piece: EventTable, kinds: NDArray[np.int64], acting: NDArray[np.int64]) -> None:
        named = piece[_HAVE_PID[kinds], A], piece[kinds == Kind.sched_switch, C]
        pids = np.concatenate([acting, *named])
        if len(pids) and not 0 <= pids.min() <= pids.max() <= MOST_PIDS:
            wrong = int(pids.min() if pids.min() < 0 else pids.max())
            raise PasidlabError(f"an event of pid {wrong}", hint="the recording is damaged: record again")
        self._room(int(pids.max(initial=0)))
        self.cpus = _rows(self.cpus, int(piece[:, CPU].max()) + 1)

    def run(self, progress: Callable[[int], None]) -> None:
        """All pieces, until the first contradiction."""
        for piece in self.pieces():
            events = np.ascontiguousarray(piece)
            self._name(events)
            self._follow(events)
            if self.verdict.contradiction:
                break
            self._told_of_exchanges(events)
            self.verdict.events += len(events)
            progress(self.verdict.events)
        if not self.verdict.contradiction and self.exchanged:
            number, event = min(self.exchanged.values())
            if number < self.verdict.events - _ENOUGH:
                self.verdict.events = number - 1
                what = f"pid {event[PID]} is not that of the task that runs here, and no exec tells that it took over its leader's pid"
                self._contradict(event, what)
        self._account()

    def _told_of_exchanges(self, events: EventTable) -> None:
        """An exec tells of an exchange, or has failed: the task then gets a signal and ends (bprm_execve(), fs/exec.c, v6.12)."""
        for row in events[events[:, KIND] == Kind.sched_process_exec]:
            self.exchanged.pop((int(min(row[PID], row[B])), int(max(row[PID], row[B]))), None)
        for pair, (number, _) in list(self.exchanged.items()):
            later = events[max(number - 1 - self.verdict.events, 0) :]
            if (np.isin(later[:, KIND], _OVER) & np.isin(later[:, PID], pair)).any():
                del self.exchanged[pair]

    def _name(self, events: EventTable) -> None:
        """The function tracer's events become those of their functions; those that may be missing are not looked at."""
        for kind in self.about.untold:
            events[events[:, KIND] == kind, KIND] = Kind.OTHER
        if not self.about.functions:
            return
        calls = events[:, KIND] == Kind.function
        for address, name in self.about.functions.items():
            if name in CALLED:
                events[calls & np.isin(events[:, A], call_sites(address)), KIND] = CALLED[name]

    def _follow(self, events: EventTable) -> None:
        asked = np.zeros(3, np.int64)
        row = 0
        while not self.verdict.contradiction:
            e = self.explanations
            rules = (e.table, e.uses, e.column, e.enter, e.leave, e.pairs)
            row = f.follow((self.cpus, self.tasks, self.machine), rules, events, row, asked)
            if row == len(events):
                return
            event = tuple(int(value) for value in events[row])
            self.verdict.events += row
            skip = self._decide(int(asked[2]), event, int(asked[0]), int(asked[1]))
            if asked[2] == f.WRONG_PREV:
                events[row, C] = event[PID]  # that they differ has been decided on
            if not self.verdict.contradiction:
                self.verdict.events -= row
            row += skip

    def _decide(self, why: int, event: tuple[int, ...], number: int, column: int) -> int:
        """What to do where following has stopped. Returns how many events are done with."""
        if why == f.NEED_ENTRY:
            self.explanations.fill(number, column)
            return 0
        if why == f.LOST_EVENTS:
            self._forget_all(event)
            return 1
        if why == f.STRANGER:
            return self._stranger(event)
        if why in (f.OTHER_PID, f.WRONG_SAVE):
            return self._other_pid(event)
        if why == f.TWO_CPUS:
            self._contradict(event, f"pid {self._coming(event)} is given CPU {event[CPU]}, but was not switched out where it runs")
        elif why == f.WRONG_PREV and self._is_exiting(event[PID], event[C]):
            self._exchange(event, event[C], int(self.tasks[event[C], f.RUNS_ON]) - 1)  # between the event's two readings of the pid
        elif why == f.WRONG_PREV:
            self._contradict(event, f"sched_switch tells of another task than the one that runs, pid {event[PID]}")
        elif self.cpus[event[CPU], f.SEEN] <= 1 and self.verdict.blind and not self.all_seen:
            self._came_back(event)
        else:
            self._contradict(event, "no behaviour of the model goes on like this", number, column)
        return 0

    def _coming(self, event: tuple[int, ...]) -> int:
        here = self.cpus[event[CPU]]
        return int(here[f.NEXT]) - 1 if here[f.LEAVING] else event[PID]

    def _stranger(self, event: tuple[int, ...]) -> int:
        pid = self._coming(event)
        hidden = self.hides and not self.tasks[pid, f.IS] & f.MADE
        self.verdict.unmade += hidden
        if self.strangers or hidden or event[TIME] <= self.about.listed_at:
            self.tasks[pid, f.IS] |= f.KNOWN | f.EXITING  # it may have exited before
        else:
            self._contradict(event, f"pid {pid} runs, but was not there at the start, and no fork made it")
        return 0

    def _other_pid(self, event: tuple[int, ...]) -> int:
        """Another task than the one that runs here: the one that runs is blind, or an exec has exchanged pids, or it cannot be."""
        here, pid = self.cpus[event[CPU]], event[PID]
        old = int(here[f.CURRENT]) - 1
        if here[f.SEEN] <= 1:  # the first event of a CPU may stand in the middle of a switch
            self.tasks[old, f.RUNS_ON] = 0
            here[:] = 0
            here[[f.LEAVING, f.NEXT, f.SEEN]] = 2, pid + 1, 1  # SEEN: once for each CPU
        elif pid == 0 and old in self.stoppers and not self.tasks[old, f.FPU]:
            self._was_off(event[CPU], old)
        elif not self.all_seen and (self.tasks[old, f.IS] & f.BLIND or old == 0):  # the idle task gave way to one that is blind
            self.verdict.unseen += 1
            self.tasks[old, [f.RUNS_ON, f.AWAY, f.OUT, f.LAST]] = 0
            if self.tasks[pid, f.IS] & f.EXITING:
                self._anybody(pid)
            here[f.LEAVING], here[f.NEXT], here[f.CURRENT], here[f.OWNER] = 2, pid + 1, 0, 0
        elif self._is_exiting(pid, old):
            there, alive = int(self.tasks[pid, f.RUNS_ON]) - 1, self._alive(pid, old)
            self._exchange(event, old, there)
            if alive:
                self._executes(*((pid, event[CPU]) if alive == old else (old, there)))
        else:
            when = "and is being switched out" if here[f.LEAVING] else "and was not switched out"
            self._contradict(event, f"pid {old} runs on CPU {event[CPU]}, {when}, but the event is of pid {pid}")
        return 0

    def _came_back(self, event: tuple[int, ...]) -> None:
        """The first event of a CPU stood in the middle of a switch to a blind task, which has given the CPU back to the same task."""
        self.verdict.unseen += 1
        self.tasks[event[PID], [f.RUNS_ON, f.AWAY, f.OUT, f.LAST]] = 0
        self.cpus[event[CPU]] = 0
        self.cpus[event[CPU], f.SEEN] = 2  # once for each CPU

    def _was_off(self, cpu: int, stopper: int) -> None:
        """A CPU was switched off and on again. Nobody owns its registers then: native_kick_ap(), arch/x86/kernel/smpboot.c, v6.12.

        Its last switch, from the thread that takes it down to idle, is no event: the CPU is not online any more (DECLARE_TRACE(),
        include/linux/tracepoint.h, v6.12).
        """
        self.verdict.offline += 1
        self.tasks[stopper, f.RUNS_ON] = 0
        self.cpus[cpu, [f.CURRENT, f.SET, f.LEAVING, f.OWNER]] = 1, -1, 0, f.NOBODY

    def _anybody(self, pid: int) -> None:
        """The task that was exiting has come, or by an exec another one has its pid: nobody saw who. Forget what was known."""
        elsewhere = int(self.tasks[pid, f.RUNS_ON]) - 1
        if elsewhere >= 0 and self.cpus[elsewhere, f.LEAVING] == 1:
            self.cpus[elsewhere, [f.LEAVING, f.CURRENT]] = 2, 0
        elif elsewhere >= 0:
            self.cpus[elsewhere] = 0
        self.tasks[pid] = 0
        self.tasks[pid, f.IS] = f.KNOWN

    def _is_exiting(self, *pids: int) -> bool:
        """True if one of the tasks has exited, or may have done so before anybody looked."""
        known = [int(self.tasks[pid, f.IS]) for pid in pids]
        return 0 not in pids and any(bits & f.EXITING or (self.strangers and not bits & f.KNOWN) for bits in known)

    def _exchange(self, event: tuple[int, ...], other: int, elsewhere: int) -> None:
        """exchange_tids(), in de_thread(): a thread and its leader, which has exited, exchange their pids; the exec tells of it later.

        The exchange is no event, and events of the moment may have either pid. So what was known of the two is forgotten, and both count
        as exiting, until the exec tells.
        """
        pid, cpu = event[PID], event[CPU]
        for one, there in ((pid, cpu), (other, elsewhere)):
            self.tasks[one] = 0
            self.tasks[one, f.IS] = f.KNOWN | f.EXITING
            if there >= 0:
                self.tasks[one, f.RUNS_ON] = there + 1
                self.cpus[there, [f.CURRENT, f.SET]] = one + 1, ANY_RUNNING
        self.cpus[np.isin(self.cpus[:, f.OWNER], (other + 1, pid + 1)), f.OWNER] = 0
        pair = min(other, pid), max(other, pid)
        if pair not in self.exchanged:
            self.verdict.exchanges += 1
            self.exchanged[pair] = self.verdict.events + 1, event

    def _alive(self, pid: int, old: int) -> int:
        """The one of the two that has not exited, if the other has; else 0."""
        alive = [one for one in (pid, old) if self.tasks[one, f.IS] & (f.KNOWN | f.EXITING) == f.KNOWN]
        return alive[0] if len(alive) == 1 and (self.tasks[[pid, old], f.IS] & f.EXITING).any() else 0

    def _executes(self, pid: int, cpu: int) -> None:
        """Of two tasks that have exchanged their pids, the one that had not exited is in its exec; ``cpu``: where it runs, or -1."""
        if cpu >= 0:
            self.cpus[cpu, f.SET] = EXECUTING
        else:
            self.tasks[pid, f.AWAY] = EXECUTING_AWAY + 1

    def _forget_all(self, event: tuple[int, ...]) -> None:
        """Events were lost: anything may have happened to anybody."""
        self.verdict.lost += max(event[A], 1)
        self.verdict.unsure_from = self.verdict.unsure_from or self.verdict.events + 1
        self.strangers = True
        self.cpus[:] = 0
        self.tasks[:, [f.AWAY, f.LAST, f.OUT, f.RUNS_ON, f.FPU, f.CHILD_FPU, f.SHOWN]] = 0
        self.tasks[:, f.IS] &= f.KERNEL | f.BLIND  # whoever was known may have ended meanwhile

    def _contradict(self, event: tuple[int, ...], sentence: str, number: int = MISSING, column: int = MISSING) -> None:
        known = self.explanations
        places: tuple[str, ...] = ()
        expected: tuple[str, ...] = ()
        if number >= 0:
            at = known.automaton.place
            places = tuple(sorted({at[node] for node, counts in known.sets[number] if not counts}, key=lambda text: (len(text), text)))
            expected = tuple(known.possible(number))
        told = history(self.pieces, self.verdict.events, event)
        self.verdict.contradiction = Contradiction(
            self.verdict.events + 1, event, sentence, places=places, expected=expected, history=tuple(told),
        )  # fmt: skip

    def _account(self) -> None:
        """Sum up what the transitions that were used have cost."""
        known, verdict = self.explanations, self.verdict
        total: Counter[Hidden] = Counter()
        for (number, column), counts in known.charges.items():
            used = int(known.uses[number, column])
            for hidden, times in counts:
                total[hidden] += used * times
        verdict.hidden = {hidden: times for hidden, times in sorted(total.items()) if times}
        verdict.untold = len(self.exchanged)
        verdict.coverage = coverage(known)
        verdict.judged = int(known.uses[:, : known.enter].sum())
        verdict.of_fpu = int(known.uses[:, [n for n, code in enumerate(known.codes) if code // 16 in IS_FPU]].sum())


_HAVE_PID = np.isin(np.arange(len(Kind)), (Kind.sched_switch, Kind.sched_process_fork, Kind.task_newtask, Kind.sched_process_exec))
_IS_FPU = np.isin(np.arange(len(Kind)), sorted(IS_FPU))
_OVER = (Kind.signal_deliver, Kind.sched_process_exit)
_STOPPER = int.from_bytes(b"migratio", "little")
"""The first eight bytes of ``migration/N``, cpu_stop_threads of kernel/stop_machine.c, v6.12."""
_ENOUGH = 50_000  # events within which an exec tells of itself


def _rows(table: EventTable, wanted: int) -> EventTable:
    if wanted <= len(table):
        return table
    return np.concatenate((table, np.zeros((wanted - len(table), table.shape[1]), np.int64)))
