"""Between a portal and the accelerator model: work queues, and the memory that each descriptor's PASID reaches."""

from __future__ import annotations

from pasidlab.live.chrometrace import ChromeTrace
from pasidlab.live.diagnosis import Diagnosis
from pasidlab.live.state import Iommu, Thread
from pasidlab.live.tree import WqNode
from pasidlab.machine.accelerator.transfer import Outcome


class Engine:
    """Temporary stand-in."""

    def __init__(self, iommu: Iommu, diagnosis: Diagnosis, trace: ChromeTrace | None) -> None:
        self.iommu, self.diagnosis, self.trace = iommu, diagnosis, trace

    def submit(self, node: WqNode, pasid: int, descriptor: bytes, thread: Thread, via: str, ip: int) -> bool:
        """False: retry."""
        mm = self.iommu.table.get(pasid)
        if mm is None:
            return False
        memory = mm.memory
        memory.pid = thread.tid
        opcode = descriptor[7]
        source, target = int.from_bytes(descriptor[16:24], "little"), int.from_bytes(descriptor[24:32], "little")
        size = int.from_bytes(descriptor[32:36], "little")
        outcome = Outcome(opcode=opcode)
        if opcode == 3:
            memory.write(target, memory.read(source, size))
            outcome.moved = size
        elif opcode != 0:
            outcome.status, outcome.reason = 0x10, "not there yet"
        completion = int.from_bytes(descriptor[8:16], "little")
        if completion:
            memory.write_record(completion, outcome.record())
        self.diagnosis.submitted(thread, node.wq.label, via)
        self.diagnosis.completed(thread, ip, node.wq.label, outcome)
        return True

    def drain(self, node: WqNode, pasid: int) -> None:
        """Nothing is outstanding."""

    def software_error(self, node: WqNode) -> bool:
        """None."""
        return False

    def occupancy(self, label: str) -> int:
        """Descriptors outstanding."""
        return 0
