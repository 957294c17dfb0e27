"""Work queues: acceptance, occupancy, and completions that a scheduler performs when they are due.

Time is a number of seconds that the caller passes in; nothing here reads a clock. Every chance is drawn from generators seeded by
``Perturbation.seed``, one per purpose and submitter. So a submitter's n-th submission meets the same fate in every run. The order of
reordered completions is one of submissions, not of moments.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from random import Random

from pasidlab.accelerator.abi import Op, Status, operation_name
from pasidlab.accelerator.device import Accelerator
from pasidlab.accelerator.legality import WqLimits
from pasidlab.accelerator.transfer import DescriptorOutcome, Memory
from pasidlab.errors import PasidlabError

REORDER_SPREAD = 8  # submissions by which a reordered completion may come late
QUIET = 2e-3  # seconds without a submission after which no later one is waited for


class Submission(Enum):
    """What the submitting instruction sees. ``DROPPED`` is silent: MOVDIR64B has no answer (DSA spec table 9-11)."""

    ACCEPTED = "accepted"
    RETRY = "retry"
    DROPPED = "dropped"


@dataclass(frozen=True)
class Perturbation:
    """Trouble on demand.

    ``retry`` is the probability that a shared queue says retry although it has room; ``delay`` seconds pass before a
    descriptor completes; ``reorder`` scatters completions; ``errors`` maps the n-th accepted descriptor (from 1) to the
    status it completes with; ``strict_faults`` reports pages that are not present.
    """

    retry: float = 0.0
    delay: float = 0.0
    reorder: bool = False
    errors: dict[int, int] = field(default_factory=dict)
    strict_faults: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.retry < 1:
            raise PasidlabError(f"retry probability {self.retry}", hint="from 0 up to, but not including, 1")
        if self.delay < 0:
            raise PasidlabError(f"delay {self.delay} s is negative")

    @staticmethod
    def parse_errors(options: tuple[str, ...]) -> dict[int, int]:
        """``STATUS@N`` texts, for example 0x83@5: the fifth accepted descriptor completes with a write page fault."""
        errors = {}
        for option in options:
            status, at, number = option.partition("@")
            try:
                code, index = int(status, 0), int(number, 0)
            except ValueError:
                code, index = 0, 0
            if not at or not 1 <= code & 0x7F <= 0x3F or code > 0xFF or index < 1:
                hint = "STATUS@N, for example 0x83@5: status 0x01 to 0x3f, 0x80 added for a write, N from 1"
                raise PasidlabError(f"--error {option}", hint=hint)
            errors[index] = code
        return errors


@dataclass(slots=True, eq=False)
class Completion:
    """An accepted descriptor, to be performed from ``due`` (seconds) on, in the order of ``rank``.

    A rank is a position among the submissions. ``label`` is whatever the submitter attached. ``begun`` members of a batch are carried out.
    """

    due: float
    rank: float
    number: int
    descriptor: bytes
    memory: Memory
    client: object
    label: object
    begun: int
    _run: Callable[[Completion], DescriptorOutcome]

    def perform(self) -> DescriptorOutcome:
        """Run the descriptor and write its completion record."""
        return self._run(self)

    @property
    def opcode(self) -> int:
        """The operation code."""
        return self.descriptor[7]

    @property
    def operation(self) -> str:
        """The operation's name."""
        return operation_name(self.descriptor[7])

    def __lt__(self, other: Completion) -> bool:
        return (self.rank, self.number) < (other.rank, other.number)


class WorkQueue:
    """One enabled work queue of an accelerator."""

    def __init__(self, config: WqLimits, device: Accelerator, perturbation: Perturbation | None = None) -> None:
        self.config, self.device = config, device
        self.perturbation = perturbation or Perturbation()
        self.accepted = self.retries = self.dropped = 0
        self.overflowed = False  # SWERROR: a descriptor for a full dedicated queue (status 0x53)
        self._pending: list[Completion] = []
        self._begun: set[Completion] = set()  # taken out, and still being performed
        seed = self.perturbation.seed
        self._retry: dict[object, dict[str, Random]] = {}  # by client, then by submitter
        self._last = 0.0  # when something was last accepted
        self._ranks, self._order = (Random(f"{seed} {purpose}") for purpose in ("rank", "order"))
        self._shuffle = self._order if self.perturbation.reorder else None

    @property
    def occupancy(self) -> int:
        """Descriptors accepted and not yet performed."""
        return len(self._pending) + len(self._begun)

    def submit(
        self,
        descriptor: bytes,
        memory: Memory,
        now: float,
        *,
        enqueue: bool = True,
        client: object = None,
        label: object = None,
        limited: bool = True,
        submitter: str = "",
        begun: int = 0,
    ) -> Submission:
        """Offer 64 bytes by ENQCMD (``enqueue``) or MOVDIR64B, through a limited or an unlimited portal (DSA spec 5.3).

        ``client`` stands for the PASID: a drain on a shared queue waits for the descriptors of its own client.
        ``submitter`` names whose submissions are counted for the chance of a retry, among those of the client. A batch of which
        ``begun`` members are carried out had been accepted before: there is room for as many of these again.
        """
        wq = self.config
        if enqueue != wq.shared:
            return self._refuse(Submission.RETRY if enqueue else Submission.DROPPED)
        more = wq.size if begun else 0
        if wq.shared:
            room = wq.threshold or wq.size if limited else wq.size
            chance = self.perturbation.retry
            if self.occupancy >= room + more or (chance and not begun and self._unlucky(client, submitter, chance)):
                return self._refuse(Submission.RETRY)
        elif self.occupancy >= wq.size + more:
            self.overflowed = True
            return self._refuse(Submission.DROPPED)
        self.accepted += 1
        self._last = now
        due, rank = now + self.perturbation.delay, self._rank(descriptor, client)
        one = Completion(
            due, rank, self.accepted, descriptor=descriptor, memory=memory, client=client, label=label, begun=begun, _run=self._perform
        )  # fmt: skip
        heapq.heappush(self._pending, one)
        return Submission.ACCEPTED

    def _unlucky(self, client: object, submitter: str, chance: float) -> bool:
        mine = self._retry.setdefault(client, {})
        if submitter not in mine:
            mine[submitter] = Random(f"{self.perturbation.seed} retry {submitter}")
        return mine[submitter].random() < chance

    def _refuse(self, answer: Submission) -> Submission:
        if answer is Submission.RETRY:
            self.retries += 1
        else:
            self.dropped += 1
        return answer

    def _rank(self, descriptor: bytes, client: object) -> float:
        rank = float(self.accepted)
        if self.perturbation.reorder:
            rank += self._ranks.random() * REORDER_SPREAD
        if descriptor[7] == Op.DRAIN:  # after every earlier one (DSA spec 3.12)
            earlier = [one.rank for one in self._pending if not self.config.shared or one.client == client]
            rank = max([rank, *earlier])
        return rank

    def _ready_at(self, one: Completion) -> float:
        """When the first in order may be performed: a submission still to come might have to go before it."""
        return one.due if one.rank < self.accepted + 1 else max(one.due, self._last + QUIET)

    def due(self, now: float) -> list[Completion]:
        """Take out what is to be performed by ``now``, in order. The caller performs each of them."""
        ready = []
        while self._pending and self._ready_at(self._pending[0]) <= now:
            ready.append(heapq.heappop(self._pending))
        return ready

    def begin(self, one: Completion) -> None:
        """What was taken out will take its time: it occupies the queue until ``end``."""
        self._begun.add(one)

    def end(self, one: Completion) -> None:
        """Whether or not it was performed, it is over."""
        self._begun.discard(one)

    def busy(self, client: object = None) -> bool:
        """Whether descriptors of ``client``, or of anybody, have begun and not ended."""
        return any(client is None or one.client == client for one in self._begun)

    def must_wait(self, one: Completion) -> bool:
        """A drain waits for the earlier descriptors of its client, or of all on a dedicated queue (DSA spec 3.12)."""
        return one.descriptor[7] == Op.DRAIN and self.busy(one.client if self.config.shared else None)

    def next_due(self) -> float | None:
        """When the next completion is due; None while the queue is empty."""
        return self._ready_at(self._pending[0]) if self._pending else None

    def drain(self, client: object = None) -> list[Completion]:
        """Take out everything of ``client``, or of all, in order, to be performed now: what closing waits for."""
        return self._take(client)

    def abort(self, client: object) -> int:
        """Forget everything of ``client`` (Abort PASID: no completion record is written); how many there were."""
        self._retry.pop(client, None)
        return len(self._take(client))

    def _take(self, client: object) -> list[Completion]:
        taken = sorted(one for one in self._pending if client is None or one.client == client)
        self._pending = [one for one in self._pending if one not in taken]
        heapq.heapify(self._pending)
        return taken

    def _perform(self, one: Completion) -> DescriptorOutcome:
        status = self.perturbation.errors.get(one.number)
        if status is not None and status != Status.SUCCESS:
            return self.device.fail(one.descriptor, one.memory, status)
        strict = self.perturbation.strict_faults
        return self.device.execute(one.descriptor, one.memory, self.config, strict_faults=strict, rng=self._shuffle, begun=one.begun)
