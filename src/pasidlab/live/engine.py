"""Between a portal and the accelerator model: work queues, and the memory that each descriptor's PASID reaches."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass

from greenlet import getcurrent

from pasidlab import accelerator
from pasidlab.accelerator import (
    IAX,
    Accelerator,
    Completion,
    Memory,
    Perturbation,
    Status,
    Submission,
    WorkQueue,
    swerror,
)
from pasidlab.accelerator.abi import FAULTS, Op
from pasidlab.accelerator.legality import Checker
from pasidlab.live import ptrace
from pasidlab.live.bulk import Borrower, BulkMemory
from pasidlab.live.chrometrace import ChromeTrace
from pasidlab.live.clock import Clock, ProgramClock, WallClock
from pasidlab.live.config import DeviceConfig, WqConfig
from pasidlab.live.diagnosis import Diagnosis
from pasidlab.live.jobs import Aborted, Job, ShortBatch, SlicedMemory, short_batch, takes_long
from pasidlab.live.loop import Gate, Timer
from pasidlab.live.memory import without_memory
from pasidlab.live.nodes import WqNode
from pasidlab.live.state import AddressSpace, Iommu, Thread
from pasidlab.live.status import signals_of, status_of
from pasidlab.live.stored import op_bits

_TICK = 5e-4  # seconds
_PATIENCE = 0.05  # seconds between two looks at a thread that waits for its descriptor


@dataclass(slots=True)
class _Origin:
    """Where a descriptor came from: kept until it completes."""

    job: Job
    ip: int
    node: WqNode
    pasid: int
    begin: float  # microseconds, of the trace

    @property
    def queue(self) -> str:
        """The queue's name."""
        return self.node.wq.label


class Engine:
    """The queues of all devices. Only the thread that runs ``loop`` may use it."""

    def __init__(
        self, devices: list[DeviceConfig], perturbation: Perturbation, iommu: Iommu, diagnosis: Diagnosis,
        trace: ChromeTrace | None, borrower: Borrower,
    ) -> None:  # fmt: skip
        self.iommu, self.diagnosis, self.trace = iommu, diagnosis, trace
        self.clock: Clock = ProgramClock() if perturbation.reorder else WallClock()
        self.tick = _TICK if perturbation.reorder else None  # how often to look, where no clock can wake us
        self.deferred = bool(perturbation.delay or perturbation.reorder)
        self.borrower, self.loop = borrower, borrower.loop
        self.borrow = not (self.deferred or perturbation.errors)
        self._perturbation = perturbation
        self._models: dict[str, Accelerator] = {}
        self.queues: dict[str, WorkQueue] = {}
        self.software_errors: dict[str, int] = {}  # SWERROR as the driver last read it (irq.c), by device; 0 or absent: none
        self.on_software_error: Callable[[WqNode], None] = lambda node: None
        self.on_rejected: Callable[[Thread, str], None] = lambda thread, reason: None
        self.until_let_go: Callable[[Thread], None] = lambda thread: None  # returns when no debugger holds the thread
        self.on_closed: Callable[[str], None] = lambda label: None  # a queue is gone, or not empty: every submission is to be seen
        self._jobs: set[Job] = set()  # those that have begun
        self._job_over = Gate(self.loop)
        self._timer: Timer | None = None
        for device in devices:
            self._models[device.label] = _model(device)

    def enable(self, wq: WqConfig, device: DeviceConfig) -> None:
        """The queue accepts descriptors, as it is configured now."""
        model = self._models[device.label]
        self.queues[wq.label] = WorkQueue(_limits(wq, device), model, self._perturbation)

    def disable(self, wq: WqConfig) -> None:
        """Drain WQ: what is outstanding completes; then the queue accepts no more."""
        self.on_closed(wq.label)
        queue = self.queues.pop(wq.label)
        for one in queue.drain():
            self._carry_out(queue, one)

    def submit(self, node: WqNode, pasid: int, descriptor: bytes, thread: Thread, via: str, ip: int) -> bool:
        """False: retry, which only ENQCMD can see. A submission other than write(2) returns when its descriptor is done,
        or when the thread has something else to do.
        """
        label, mm = node.wq.label, self.iommu.table.get(pasid)
        begin = self.trace.now() if self.trace else 0.0
        begun, thread.batched = thread.batched, 0
        wrong = self._unreachable(label, pasid, thread)
        if wrong or mm is None:
            self.diagnosis.dropped(thread, ip, f"{label}: {wrong}")
            return False
        mm.dma.pid = thread.tid
        queue, now = self.queues[label], 0.0
        if self.deferred:
            self.clock.watch(thread.process.pid)
            now = self.clock.now()
        job = Job(thread, mm)
        enqueue = via == "enqcmd" or (via == "write" and node.wq.mode == "shared")
        memory, origin = self._memory(descriptor, job, via, begun), _Origin(job, ip, node, pasid, begin)
        answer = queue.submit(
            descriptor, memory, now, enqueue=enqueue, client=mm, label=origin, submitter=thread.lineage, begun=begun
        )  # fmt: skip
        if answer is Submission.ACCEPTED:
            self.diagnosis.submitted(thread, label, via)
            if self.deferred:
                self._schedule()
            else:
                for one in queue.due(now):
                    self._carry_out(queue, one)
                if not job.done and via != "write":
                    self._attend(job)
        else:
            self._not_accepted(answer, node, thread, ip)
        if self.trace:
            end = self.trace.now()
            self.trace.on_thread(thread.process.pid, thread.tid, f"{via} {answer.value}", begin, end, ip=hex(ip))
        return answer is Submission.ACCEPTED

    def checker(self, node: WqNode) -> Checker | None:
        """The rules of a DSA queue that is empty, so that its descriptors may complete at once; None for others."""
        queue = self.queues.get(node.wq.label)
        if queue is None or queue.occupancy or node.device.kind == "iax":
            return None
        return queue.device.checker(queue.config)

    def _unreachable(self, label: str, pasid: int, thread: Thread) -> str:
        mm = self.iommu.table.get(pasid)
        if mm is None:
            return f"PASID {pasid} has no entry in the PASID table"
        if mm is not thread.mm:
            return f"the CPU sent PASID {pasid}, which is another process's: isolation is broken"
        return "" if label in self.queues else "the queue is disabled"

    def _memory(self, descriptor: bytes, job: Job, via: str, begun: int) -> Memory:
        if not takes_long(descriptor) and not job.mm.served:
            return job.mm.dma
        if descriptor[7] == Op.BATCH and not (job.mm.served or self.deferred):
            short = short_batch(descriptor, job.mm.dma, begun)
            if short:
                return short
        if self.borrow and via != "write" and not job.mm.served:
            return BulkMemory(job, self.borrower)
        return SlicedMemory(job, self.loop)

    def _attend(self, job: Job) -> None:
        """Wait with the thread for its descriptor."""
        job.waiter = getcurrent()
        self.loop.after(_PATIENCE, lambda: self._look_at(job))
        try:
            self.loop.park(job.thread.tid)
        finally:
            job.waiter = None
        self.until_let_go(job.thread)

    def _look_at(self, job: Job) -> None:
        """Whether the thread is wanted elsewhere by now: then it goes on, and the device works without it. Where the program serves
        memory itself, this thread may be who does.
        """
        if job.waiter is None:
            return
        if not job.wanted() and (job.borrowed or not job.mm.served):
            self.loop.after(_PATIENCE, lambda: self._look_at(job))
            return
        job.detached = True
        if job.borrowed:
            ptrace.interrupt(job.thread.tid)
        else:
            job.let_go(self.loop)

    def _not_accepted(self, answer: Submission, node: WqNode, thread: Thread, ip: int) -> None:
        label, wq = node.wq.label, node.wq
        if answer is Submission.DROPPED:
            self._software_error(node, swerror.lost(wq.index, 0 if wq.mode == "shared" else Status.QUEUE_OVERFLOW))
            why = "MOVDIR64B to a shared queue: use ENQCMD" if wq.mode == "shared" else f"the queue was full ({wq.size} descriptors)"
            self.diagnosis.dropped(thread, ip, f"{label}: {why}; the descriptor is lost")
        elif wq.mode == "dedicated":
            self._software_error(node, swerror.lost(wq.index, 0))
            self.diagnosis.dropped(thread, ip, f"{label}: ENQCMD to a dedicated queue is never accepted: use MOVDIR64B")
        else:
            self.diagnosis.retried(thread, ip, label)

    def _carry_out(self, queue: WorkQueue, one: Completion) -> None:
        origin = one.label
        assert isinstance(origin, _Origin)
        if one.memory is not origin.job.mm.dma and not isinstance(one.memory, ShortBatch):
            self.loop.spawn(self._work_on, queue, one, origin)
        elif not origin.job.mm.within_reach():
            self.loop.spawn(self._finish_within_reach, one, origin)
        else:
            self._finish(one, origin)

    def _work_on(self, queue: WorkQueue, one: Completion, origin: _Origin) -> None:
        """A descriptor that takes long: a handler of its own carries it out."""
        job = origin.job
        while queue.must_wait(one):
            self._job_over.wait()
        queue.begin(one)
        self.on_closed(origin.queue)
        self._jobs.add(job)
        try:
            if not job.mm.dma.gone():
                self._finish(one, origin)
        except Aborted:
            return
        finally:
            queue.end(one)
            self._jobs.discard(job)
            job.done = True
            job.let_go(self.loop)
            self._job_over.open()

    def _finish_within_reach(self, one: Completion, origin: _Origin) -> None:
        """What is due while the memory may be about to end by execve(2)."""
        if origin.job.mm.reach():
            self._finish(one, origin)

    def _finish(self, one: Completion, origin: _Origin) -> None:
        thread = origin.job.thread
        outcome = one.perform()
        origin.job.done = True
        if outcome.status in FAULTS and origin.job.mm.dma.lost():
            return  # no fault of the program's: its memory went away
        self.diagnosis.completed(thread, origin.ip, origin.queue, outcome)
        rejected = None
        if outcome.reason or outcome.members:
            rejected = next((one for one in (outcome, *outcome.members) if one.rejected), None)
        if rejected:
            self.on_rejected(thread, rejected.reason)
        for register in swerror.unreported(outcome, origin.node.wq.index, origin.pasid):
            self._software_error(origin.node, register)
        if self.trace:
            end = self.trace.now()
            self.trace.on_queue(origin.queue, outcome.operation, origin.begin, end, status=hex(outcome.status_byte), bytes=outcome.moved)

    def _software_error(self, node: WqNode, register: int) -> None:
        """idxd_misc_thread(), irq.c: the driver keeps the register and wakes who polls the queue."""
        self.software_errors[node.device.label] = register
        self.on_software_error(node)

    def _schedule(self) -> None:
        """See to it that what is due next is carried out in time."""
        due = [at for at in (queue.next_due() for queue in self.queues.values()) if at is not None]
        if due and self._timer is None:
            wait = self.tick or max(0.0, min(due) - self.clock.now())
            self._timer = self.loop.after(wait, self._pump)

    def _pump(self) -> None:
        self._timer = None
        now = self.clock.now()
        for queue in tuple(self.queues.values()):
            for one in queue.due(now):
                self._carry_out(queue, one)
        self._schedule()

    def drain(self, node: WqNode, mm: AddressSpace, tid: int) -> None:
        """Return when nothing of ``mm`` is outstanding on the queue, or when it may end by execve(2). Return too when ``tid``, which
        waits, must die (0: nobody waits).
        """
        queue = self.queues.get(node.wq.label)
        if queue is None:
            return
        for one in queue.drain(mm):
            if not mm.dma.gone():
                self._carry_out(queue, one)
        while queue.busy(mm) and not mm.in_exec and not _must_die(tid):
            self.loop.after(_PATIENCE, self._job_over.open)
            self._job_over.wait()

    def abort(self, mm: AddressSpace) -> None:
        """Forget what ``mm`` has outstanding: its memory is gone."""
        for queue in self.queues.values():
            queue.abort(mm)
        for job in self._jobs:
            job.aborted |= job.mm is mm
        mm.way_found()

    def software_error(self, node: WqNode) -> bool:
        """Whether the queue's device has recorded an error it could not report otherwise (idxd_cdev_poll())."""
        return node.device.label in self.software_errors

    def breathe(self) -> None:
        """Let others have their turn."""
        self.loop.breathe()

    def occupancy(self, label: str) -> int:
        """Descriptors accepted and not yet completed."""
        return self.queues[label].occupancy if label in self.queues else 0


def _must_die(tid: int) -> bool:
    """Whether a thread is exiting, or has been sent SIGKILL, as all threads are when one of them exits for all.

    It is exiting when it has no memory: do_exit() gives that up before the files. /proc/PID/stat is not asked, which
    some kernels do not answer in the middle of an exec.
    """
    try:
        pending = signals_of(status_of(tid), "SigPnd")
    except OSError:
        return True
    return without_memory(tid) or bool(pending >> (signal.SIGKILL - 1) & 1)


def _model(device: DeviceConfig) -> Accelerator:
    gencap = device.capabilities.gencap
    return Accelerator(gencap, IAX) if device.kind == "iax" else Accelerator(gencap)


def _limits(wq: WqConfig, device: DeviceConfig) -> accelerator.WqLimits:
    operations = device.capabilities.operations
    if "op_config" in wq.attributes:
        operations &= op_bits(wq.attributes["op_config"])
    return accelerator.WqLimits(
        shared=wq.mode == "shared", size=wq.size, threshold=wq.threshold, block_on_fault=bool(wq.block_on_fault),
        max_batch_size=wq.max_batch_size, max_transfer_size=wq.max_transfer_size, operations=operations,
    )  # fmt: skip
