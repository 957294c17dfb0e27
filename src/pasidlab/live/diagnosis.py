"""What happened in a run: counts by queue, operation, status and thread, and why something went wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from pasidlab.accelerator.abi import FAULTS, operation_name, status_text
from pasidlab.accelerator.transfer import DescriptorOutcome
from pasidlab.errors import printable
from pasidlab.live.decode import Instruction
from pasidlab.live.descriptors import text_file
from pasidlab.live.emulate import Fault
from pasidlab.live.state import Thread
from pasidlab.live.symbols import Symbolizer

_MOST = 1000  # different problems told apart
_SHOWN = 20  # of them in the summary
_ABSENT = (
    "the address is mapped, but its page is not in memory, and the descriptor does not ask to block on fault (flag bit 1): "
    "set the flag, touch the page before, or continue from there; --faults kind lets it pass"
)
_ONE_TRACER = (
    "asked for ptrace(2): Operation not permitted. A program has one tracer, and here it is pasidlab. This summary names "
    "the instruction of every fault, --trace FILE shows every submission, --gdb PORT waits for gdb"
)

_OUT_OF_REACH = (
    "stopped at an instruction that nobody may read. The kernel keeps the memory of a program whose file may not be read from all but "
    "CAP_SYS_PTRACE (would_dump()): no device of pasidlab reaches it. chmod +r the program"
)


@dataclass
class Problem:
    """One kind of thing that went wrong at one instruction. Pages not in memory are one kind for each operation and status."""

    kind: str  # rejected, page fault, fault, dropped, design, tracer
    what: str
    address: int  # of the program's instruction; 0 for write(2)
    place: str  # symbol and file
    thread: int  # the first that met it
    advice: str = ""
    count: int = 0
    first: bool = False  # whether ``what`` is that of the first, and the others differ in their address


@dataclass
class Diagnosis:
    """Collects; called under the session's lock or from the tracer thread."""

    queues: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[tuple[int, int]] = field(default_factory=Counter)  # operation code, status byte
    threads: Counter[int] = field(default_factory=Counter)
    ways: Counter[str] = field(default_factory=Counter)  # enqcmd, movdir64b, write
    bytes: int = 0
    fixups: int = 0
    fixups_refused: int = 0
    retries: int = 0
    unstopped: int = 0  # descriptors for which no thread was stopped
    kind_faults: int = 0  # descriptors that would have faulted on hardware
    first_kind_fault: str = ""
    problems: dict[tuple[str, str, int], Problem] = field(default_factory=dict)
    symbolizer: Symbolizer = field(default_factory=Symbolizer)

    # The emulator's events

    def fixup_done(self, thread: Thread, ip: int, again: bool, valid: bool) -> None:
        """A #GP fix-up ran: whether it asked for another try, and whether the MSR is valid back in user mode."""
        if not again:
            self.fixups_refused += 1
        else:
            self.fixups += 1
            if not valid:
                self._note("design", "the PASID the #GP fix-up gave was lost on the way back to user mode", thread, ip)

    def fault(self, thread: Thread, ip: int, instruction: Instruction, fault: Fault) -> None:
        """An instruction faulted: the program got a signal."""
        kind = "#GP" if fault.address == 0 and fault.code == 0x80 else f"#PF at {fault.address:#x}"
        self._note("fault", f"{instruction.kind.name} {kind}: {fault.reason}", thread, ip)

    def dropped(self, thread: Thread, ip: int, reason: str) -> None:
        """A store reached no queue."""
        self._note("dropped", reason, thread, ip)

    def second_tracer(self, thread: Thread, ip: int) -> None:
        """A debugger inside the run asked for ptrace(2), and was refused."""
        self._note("tracer", f"{_name(thread)} {_ONE_TRACER}", thread, ip)

    def out_of_reach(self, thread: Thread, ip: int) -> None:
        """An instruction trapped where nothing can be read."""
        self._note("memory", f"{_name(thread)} {_OUT_OF_REACH}", thread, ip)

    def distrust_files(self) -> None:
        """Files may be the program's own to serve: their symbols are not read any more."""
        self.symbolizer.trusted = False

    # The engine's events

    def submitted(self, thread: Thread, queue: str, via: str) -> None:
        """A descriptor was accepted."""
        self.queues[queue] += 1
        self.threads[thread.tid] += 1
        self.ways[via] += 1

    def in_process(self, thread: Thread, queue: str, via: str, outcome: tuple[int, int], number: int) -> None:
        """So many descriptors of this (operation, status) were accepted and carried out in the program's own thread."""
        self.queues[queue] += number
        self.threads[thread.tid] += number
        self.ways[via] += number
        self.outcomes[outcome] += number
        self.unstopped += number

    def of_batches(self, outcome: tuple[int, int], number: int) -> None:
        """So many members of batches with this outcome were carried out there."""
        self.outcomes[outcome] += number

    def moved(self, size: int) -> None:
        """Bytes they moved or compared."""
        self.bytes += size

    def retried(self, thread: Thread, ip: int, queue: str) -> None:
        """A descriptor was not accepted."""
        self.retries += 1

    def completed(self, thread: Thread, ip: int, queue: str, outcome: DescriptorOutcome) -> None:
        """A descriptor, or a batch with its members, was carried out."""
        self.outcomes[outcome.opcode, outcome.status_byte] += 1
        self.bytes += 0 if outcome.members else outcome.moved
        for member in outcome.members:
            self.completed(thread, ip, queue, member)
        if outcome.absent and outcome.status not in FAULTS:
            self._faulted_in(thread, ip, queue, outcome)
        if outcome.rejected or outcome.status in FAULTS:
            kind = "rejected" if outcome.rejected else "page fault"
            unseen = " (no completion record could tell the program)" if outcome.software_error else ""
            operation, status = operation_name(outcome.opcode), _status(outcome.status_byte)
            alike, advice = f"{queue}: {operation}, status {status}", self._advice(thread, outcome)
            self._note(kind, f"{alike}: {outcome.reason}{unseen}", thread, ip, advice, alike=alike if advice else "")

    @staticmethod
    def _advice(thread: Thread, outcome: DescriptorOutcome) -> str:
        """What to do about a page that was not in memory, where there is a page at all."""
        absent = outcome.absent and outcome.absent == outcome.fault_address
        return _ABSENT if absent and thread.mm.mapping_at(thread.tid, outcome.absent) else ""

    def _place(self, thread: Thread, ip: int) -> str:
        return self.symbolizer.describe(thread.tid, ip, thread.mm.mapping_at(thread.tid, ip))

    def _faulted_in(self, thread: Thread, ip: int, queue: str, outcome: DescriptorOutcome) -> None:
        self.kind_faults += 1
        if not self.first_kind_fault:
            place = self._place(thread, ip) if ip else "write(2)"
            what = f"{queue}: {operation_name(outcome.opcode)}, page at {outcome.absent:#x} not in memory"
            self.first_kind_fault = f"{what}, submitted at {ip:#x} {place}".rstrip()

    def _note(self, kind: str, what: str, thread: Thread, ip: int, advice: str = "", *, alike: str = "") -> None:
        """``alike``, where given, is the same for all that is counted as one, and ``what`` that of the first."""
        first, alike = bool(alike), alike or what
        problem = self.problems.get((kind, alike, ip))
        if problem is None and len(self.problems) >= _MOST:
            what = alike = "further ones, each different"
            ip, advice, first = 0, "", False
            problem = self.problems.get((kind, alike, ip))
        if problem is None:
            place = self._place(thread, ip) if ip else "write(2)"
            problem = self.problems[kind, alike, ip] = Problem(kind, what, ip, place=place, thread=thread.tid, advice=advice, first=first)
        problem.count += 1

    @property
    def operations(self) -> Counter[str]:
        """Descriptors carried out, by operation."""
        return self._named(lambda opcode, status: operation_name(opcode))

    @property
    def statuses(self) -> Counter[str]:
        """Descriptors carried out, by status."""
        return self._named(lambda opcode, status: _status(status))

    def _named(self, name: Callable[[int, int], str]) -> Counter[str]:
        counter: Counter[str] = Counter()
        for (opcode, status), count in self.outcomes.items():
            counter[name(opcode, status)] += count
        return counter

    def as_json(self) -> dict[str, Any]:
        """Plain data for --json."""
        return {
            "submissions": sum(self.queues.values()),
            "queues": dict(self.queues),
            "instructions": dict(self.ways),
            "operations": dict(self.operations),
            "statuses": dict(self.statuses),
            "threads": {str(tid): count for tid, count in self.threads.items()},
            "gp_fixups": self.fixups,
            "gp_fixups_refused": self.fixups_refused,
            "retries": self.retries,
            "bytes": self.bytes,
            "in_process": self.unstopped,
            "would_fault": {"count": self.kind_faults, "first": self.first_kind_fault},
            "problems": [
                {
                    "kind": p.kind,
                    "what": p.what,
                    "address": hex(p.address),
                    "place": p.place,
                    "thread": p.thread,
                    "advice": p.advice,
                    "count": p.count,
                }
                for p in self.problems.values()
            ],
        }

    def as_text(self) -> str:
        """The summary printed to stderr."""
        lines = [f"{sum(self.queues.values())} descriptors accepted, {self.bytes} bytes, {len(self.threads)} threads, "
                 f"{self.fixups} #GP fix-ups, {self.retries} retries"]  # fmt: skip
        for title, counter in (
            ("queue", self.queues),
            ("by", self.ways),
            ("operation", self.operations),
            ("status", self.statuses),
        ):
            if counter:
                lines.append(f"  {title:10}" + ", ".join(f"{name} {count}" for name, count in counter.most_common()))
        if self.unstopped:
            lines.append(f"  in process {self.unstopped}")
        if len(self.threads) > 1:
            shown = ", ".join(f"{tid} {count}" for tid, count in self.threads.most_common(8))
            lines.append(f"  {'thread':10}{shown}" + (" ..." if len(self.threads) > 8 else ""))
        if self.kind_faults:
            lines.append(f"  {self.kind_faults} descriptors without block on fault would have faulted on hardware "
                         f"(first: {self.first_kind_fault}): --faults strict")  # fmt: skip
        return "\n".join([*lines, *self._told()])

    def _told(self) -> Iterator[str]:
        """The problems of the summary: pages not in memory, which are no mistake, last; each piece of advice once."""
        problems, advised = sorted(self.problems.values(), key=lambda one: one.first), {""}
        for problem in problems[:_SHOWN]:
            times = f"first of {problem.count}" if problem.first else f"{problem.count} times"
            yield f"  {problem.kind}: {problem.what}" + (f" ({times})" if problem.count > 1 else "")
            if problem.address:
                yield f"    at {problem.address:#x} {problem.place}".rstrip()
            if problem.advice not in advised:
                yield f"    {problem.advice}"
            advised.add(problem.advice)
        if len(problems) > _SHOWN:
            yield f"  ... and {len(problems) - _SHOWN} more, see --json"


def _name(thread: Thread) -> str:
    """What ps shows for the thread (/proc/PID/comm)."""
    try:
        with text_file(f"/proc/{thread.tid}/comm") as file:
            return printable(file.read().removesuffix("\n"))
    except OSError:
        return "the program"


def _status(byte: int) -> str:
    return f"{byte:#04x} {status_text(byte)}"
