"""Between a portal and the accelerator model: work queues, and the memory that each descriptor's PASID reaches."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from pasidlab.live.bulk import Borrower, BulkMemory
from pasidlab.live.chrometrace import ChromeTrace
from pasidlab.live.clock import Clock, ProgramClock, WallClock
from pasidlab.live.config import DeviceConfig, WqConfig
from pasidlab.live.diagnosis import Diagnosis
from pasidlab.live.driver import op_bits
from pasidlab.live.nodes import WqNode
from pasidlab.live.state import Iommu, Mm, Thread
from pasidlab.machine import accelerator
from pasidlab.machine.accelerator import (
    Accelerator,
    Completion,
    Memory,
    Perturbation,
    Status,
    Submission,
    WorkQueue,
    swerror,
)

_TICK = 5e-4  # seconds


@dataclass(slots=True)
class _Origin:
    """Where a descriptor came from: kept until it completes."""

    thread: Thread
    ip: int
    node: WqNode
    pasid: int
    begin: float  # microseconds, of the trace

    @property
    def queue(self) -> str:
        """The queue's name."""
        return self.node.wq.label


class Engine:
    """The queues of all devices. Every method holds ``lock``; completions that are not due at once are pumped by a
    thread.
    """

    def __init__(
        self, devices: list[DeviceConfig], perturbation: Perturbation, iommu: Iommu, diagnosis: Diagnosis,
        trace: ChromeTrace | None, lock: threading.RLock, borrower: Borrower,
    ) -> None:  # fmt: skip
        self.iommu, self.diagnosis, self.trace = iommu, diagnosis, trace
        self.clock: Clock = ProgramClock() if perturbation.reorder else WallClock()
        self.tick = _TICK if perturbation.reorder else None  # how often to look, where no clock can wake us
        self.deferred = bool(perturbation.delay or perturbation.reorder)
        self.borrower = borrower
        self.borrow = not (self.deferred or perturbation.strict_faults or perturbation.errors)
        self._lock, self._stopping, self._perturbation = lock, False, perturbation
        self._models: dict[str, Accelerator] = {}
        self.queues: dict[str, WorkQueue] = {}
        self.software_errors: dict[str, int] = {}  # SWERROR as the driver last read it (irq.c), by device; 0 or absent: none
        self.on_software_error: Callable[[WqNode], None] = lambda node: None
        for device in devices:
            self._models[device.label] = Accelerator(device.capabilities.gencap)
        self._changed = threading.Condition(lock)
        self._pump = threading.Thread(target=self._run_pump, name="accelerator", daemon=True)

    def start(self) -> None:
        """After the fork: threads may exist now."""
        if self.deferred:
            self._pump.start()

    def stop(self) -> None:
        """End the pump; what is still outstanding is forgotten."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._pump.is_alive():
            self._pump.join()

    def enable(self, wq: WqConfig, device: DeviceConfig) -> None:
        """The queue accepts descriptors, as it is configured now."""
        with self._lock:
            model = self._models[device.label]
            self.queues[wq.label] = WorkQueue(_limits(wq, device), model, self._perturbation)

    def disable(self, wq: WqConfig) -> None:
        """Drain WQ: what is outstanding completes; then the queue accepts no more."""
        with self._lock:
            for one in self.queues.pop(wq.label).drain():
                if not one.memory.gone():  # type: ignore[attr-defined]
                    self._finish(one)

    def submit(self, node: WqNode, pasid: int, descriptor: bytes, thread: Thread, via: str, ip: int) -> bool:
        """False: retry, which only ENQCMD can see."""
        label = node.wq.label
        with self._lock:
            begin = self.trace.now() if self.trace else 0.0
            mm = self.iommu.table.get(pasid)
            if mm is None:
                self.diagnosis.dropped(thread, ip, f"{label}: PASID {pasid} has no entry in the PASID table")
                return False
            if mm is not thread.mm:
                self.diagnosis.dropped(
                    thread, ip, f"{label}: the CPU sent PASID {pasid}, which is another process's: isolation is broken"
                )
                return False
            mm.dma.pid = thread.tid
            if label not in self.queues:
                self.diagnosis.dropped(thread, ip, f"{label}: the queue is disabled")
                return False
            queue, now = self.queues[label], 0.0
            if self.deferred:
                self.clock.watch(thread.process.pid)
                now = self.clock.now()
            origin = _Origin(thread, ip, node, pasid, begin)
            enqueue = via == "enqcmd" or (via == "write" and node.wq.mode == "shared")
            memory: Memory = mm.dma
            if self.borrow and via != "write" and BulkMemory.pays(descriptor):
                memory = BulkMemory(mm.dma, thread, self.borrower)
            answer = queue.submit(descriptor, memory, now, enqueue=enqueue, client=mm, label=origin, submitter=thread.lineage)
            if answer is Submission.ACCEPTED:
                self.diagnosis.submitted(thread, label, via)
                if not self.deferred:
                    for one in queue.due(now):
                        self._finish(one)
                else:
                    self._changed.notify()
            else:
                self._not_accepted(answer, node, thread, ip)
            if self.trace:
                self.trace.on_thread(
                    thread.process.pid, thread.tid, f"{via} {answer.value}", begin, self.trace.now(), ip=hex(ip)
                )
            return answer is Submission.ACCEPTED

    def _not_accepted(self, answer: Submission, node: WqNode, thread: Thread, ip: int) -> None:
        label, wq = node.wq.label, node.wq
        if answer is Submission.DROPPED:
            self._software_error(node, swerror.lost(wq.index, 0 if wq.mode == "shared" else Status.QUEUE_OVERFLOW))
            why = (
                "MOVDIR64B to a shared queue: use ENQCMD"
                if wq.mode == "shared"
                else f"the queue was full ({wq.size} descriptors)"
            )
            self.diagnosis.dropped(thread, ip, f"{label}: {why}; the descriptor is lost")
        elif wq.mode == "dedicated":
            self._software_error(node, swerror.lost(wq.index, 0))
            self.diagnosis.dropped(thread, ip, f"{label}: ENQCMD to a dedicated queue is never accepted: use MOVDIR64B")
        else:
            self.diagnosis.retried(thread, ip, label)

    def _finish(self, one: Completion) -> None:
        origin = one.label
        assert isinstance(origin, _Origin)
        outcome = one.perform()
        if outcome.status == Status.BAD_OPERATION and origin.node.device.kind == "iax":
            outcome.reason += "; of IAX only no-op, drain and memory move are carried out here"
        self.diagnosis.completed(origin.thread, origin.ip, origin.queue, outcome)
        for register in swerror.unreported(outcome, origin.node.wq.index, origin.pasid):
            self._software_error(origin.node, register)
        if self.trace:
            end = self.trace.now()
            self.trace.on_queue(
                origin.queue, outcome.operation, origin.begin, end, status=hex(outcome.status_byte), bytes=outcome.moved
            )

    def _software_error(self, node: WqNode, register: int) -> None:
        """idxd_misc_thread(), irq.c: the driver keeps the register and wakes who polls the queue."""
        self.software_errors[node.device.label] = register
        self.on_software_error(node)

    def _run_pump(self) -> None:
        """Performs what is due; sleeps until the next completion or submission."""
        with self._changed:
            while not self._stopping:
                now = self.clock.now()
                for queue in self.queues.values():
                    for one in queue.due(now):
                        self._finish(one)
                due = [at for at in (queue.next_due() for queue in self.queues.values()) if at is not None]
                self._changed.wait((self.tick or max(0.0, min(due) - self.clock.now())) if due else None)

    def drain(self, node: WqNode, mm: Mm) -> None:
        """Perform at once what ``mm`` still has on the queue."""
        with self._lock:
            queue = self.queues.get(node.wq.label)
            outstanding = queue.drain(mm) if queue else []
            if outstanding and not mm.dma.gone():
                for one in outstanding:
                    self._finish(one)

    def drain_all(self, mm: Mm) -> None:
        """The same on all queues: before the address space goes away with exec(2)."""
        with self._lock:
            for queue in self.queues.values():
                for one in queue.drain(mm):
                    self._finish(one)

    def abort(self, mm: Mm) -> None:
        """Forget what ``mm`` has outstanding: its memory is gone."""
        with self._lock:
            for queue in self.queues.values():
                queue.abort(mm)

    def software_error(self, node: WqNode) -> bool:
        """Whether the queue's device has recorded an error it could not report otherwise (idxd_cdev_poll())."""
        return node.device.label in self.software_errors

    def occupancy(self, label: str) -> int:
        """Descriptors accepted and not yet completed."""
        return self.queues[label].occupancy if label in self.queues else 0


def _limits(wq: WqConfig, device: DeviceConfig) -> accelerator.WqConfig:
    operations = device.capabilities.operations
    if "op_config" in wq.attributes:
        operations &= op_bits(wq.attributes["op_config"])
    return accelerator.WqConfig(
        shared=wq.mode == "shared", size=wq.size, threshold=wq.threshold, block_on_fault=bool(wq.block_on_fault),
        max_batch_size=wq.max_batch_size, max_transfer_size=wq.max_transfer_size, operations=operations,
    )  # fmt: skip
