"""Acceptance, occupancy, order of completions, and trouble on demand."""

import pytest
from dsa_descriptors import describe, record
from dsa_memory import FakeMemory, Region

from pasidlab.accelerator import Accelerator, Op, Perturbation, Submission, WorkQueue, WqLimits
from pasidlab.errors import PasidlabError

ACCEPTED, RETRY, DROPPED = Submission.ACCEPTED, Submission.RETRY, Submission.DROPPED
NOOP = describe(Op.NOOP)


@pytest.fixture
def memory():
    return FakeMemory(Region(0x1000, bytearray(0x4000)))


def queue(config=None, **trouble):
    return WorkQueue(config or WqLimits(), Accelerator(), Perturbation(**trouble))


def noop(at):
    return describe(Op.NOOP, record=0x1000 + 32 * at)


def test_a_descriptor_is_due_at_once_and_leaves_the_queue(memory):
    q = queue()
    assert q.submit(NOOP, memory, 5.0, label="where") is ACCEPTED and q.occupancy == 1 and q.next_due() == 5.0
    (one,) = q.due(5.0)
    assert (one.label, one.operation, one.opcode, q.occupancy, q.next_due()) == ("where", "no-op", 0, 0, None)
    assert record(memory).status == 0 and one.perform().ok and record(memory).status == 1


def test_shared_queue_says_retry_at_its_threshold(memory):
    q = queue(WqLimits(size=4, threshold=2), delay=1.0)
    answers = [q.submit(NOOP, memory, 0.0) for _ in range(3)]
    assert answers == [ACCEPTED, ACCEPTED, RETRY] and (q.accepted, q.retries) == (2, 1)
    assert [q.submit(NOOP, memory, 0.0, limited=False) for _ in range(3)] == [ACCEPTED, ACCEPTED, RETRY]
    assert q.due(0.5) == [] and len(q.due(1.0)) == 4 and q.submit(NOOP, memory, 1.0) is ACCEPTED


def test_dedicated_queue_loses_what_does_not_fit(memory):
    q = queue(WqLimits(shared=False, size=2), delay=1.0)
    answers = [q.submit(NOOP, memory, 0.0, enqueue=False) for _ in range(3)]
    assert answers == [ACCEPTED, ACCEPTED, DROPPED] and q.overflowed and q.dropped == 1


def test_the_wrong_instruction_for_the_queue(memory):
    assert queue(WqLimits(shared=False)).submit(NOOP, memory, 0.0, enqueue=True) is RETRY
    q = queue()
    assert q.submit(NOOP, memory, 0.0, enqueue=False) is DROPPED and not q.overflowed and q.occupancy == 0


def test_retries_on_demand_come_from_the_seed_alone(memory):
    def answers(seed):
        q = queue(retry=0.3, seed=seed)
        result = []
        for at in range(200):
            result.append(q.submit(NOOP, memory, float(at)) is RETRY)
            q.due(float(at))
        return result

    assert answers(1) == answers(1) != answers(2) and 30 < sum(answers(1)) < 90


def test_reordered_completions_come_from_the_seed_alone(memory):
    def order(seed):
        q = queue(WqLimits(size=64), reorder=True, seed=seed)
        for at in range(20):
            q.submit(noop(at), memory, at * 1e-5)
        return [one.number for one in q.due(1.0)]

    assert order(1) == order(1) != order(2) and sorted(order(1)) == list(range(1, 21)) != order(1)


def test_drain_waits_for_the_earlier_ones_of_its_client(memory):
    q = queue(WqLimits(size=64), reorder=True, delay=1.0, seed=3)
    for at in range(10):
        q.submit(noop(at), memory, 0.0, client=at % 2)
    q.submit(describe(Op.DRAIN), memory, 0.0, client=1)
    order = [(one.client, one.opcode) for one in q.due(10.0)]
    assert order.index((1, Op.DRAIN)) > max(at for at, one in enumerate(order) if one == (1, Op.NOOP))


def test_drain_of_a_dedicated_queue_waits_for_all(memory):
    q = queue(WqLimits(shared=False, size=64), reorder=True, seed=3)
    for at in range(10):
        q.submit(noop(at), memory, 0.0, client=at, enqueue=False)
    q.submit(describe(Op.DRAIN), memory, 0.0, client=99, enqueue=False)
    assert q.due(10.0)[-1].opcode == Op.DRAIN


def test_closing_drains_and_exit_aborts_one_client(memory):
    q = queue(WqLimits(size=64), delay=1.0)
    for at in range(6):
        q.submit(noop(at), memory, at * 0.1, client=at % 2)
    assert [one.number for one in q.drain(0)] == [1, 3, 5] and q.occupancy == 3
    assert q.abort(1) == 3 and q.occupancy == 0 and q.due(9.0) == []


def test_the_nth_descriptor_fails_as_asked(memory):
    q = queue(errors=Perturbation.parse_errors(("0x83@2", "0x20@3")))
    statuses = []
    for _ in range(4):
        q.submit(describe(Op.FILL, second=0x2000, size=8), memory, 0.0)
        (one,) = q.due(0.0)
        one.perform()
        statuses.append(record(memory).status)
    assert statuses == [0x01, 0x83, 0x20, 0x01]


@pytest.mark.parametrize("option", ["0x83", "@1", "x@1", "0@1", "0x40@1", "3@0", "0x103@1", "3@-1"])
def test_bad_error_options_are_explained(option):
    with pytest.raises(PasidlabError) as caught:
        Perturbation.parse_errors((option,))
    assert caught.value.what == f"--error {option}" and caught.value.hint.startswith("STATUS@N, for example 0x83@5")


@pytest.mark.parametrize("trouble", [{"retry": 1.0}, {"retry": -0.1}, {"delay": -1.0}])
def test_impossible_trouble_is_refused(trouble):
    with pytest.raises(PasidlabError):
        Perturbation(**trouble)


def test_strict_faults_reach_the_device(memory):
    memory.absent = {2}
    q = queue(strict_faults=True)
    q.submit(describe(Op.FILL, second=0x2000, size=8), memory, 0.0)
    assert q.due(0.0)[0].perform().status == 3


def test_perturbed_queues_shuffle_batches(memory):
    """Two members that write the same word: which of them is last depends on the seed."""
    members = b"".join(describe(Op.FILL, flags=0, record=0, first=at, second=0x3000, size=8) for at in range(8))
    last = set()
    for seed in range(20):
        memory.put(0x2000, members)
        q = queue(reorder=True, seed=seed)
        q.submit(describe(Op.BATCH, first=0x2000, size=8), memory, 0.0)
        assert q.due(1.0)[0].perform().ok
        last.add(memory.get(0x3000, 1))
    assert len(last) > 3


def test_a_full_queue_has_room_for_as_many_batches_that_go_on(memory):
    for shared, refused in ((True, RETRY), (False, DROPPED)):
        q = queue(WqLimits(shared=shared, size=2), delay=1.0)
        answers = [q.submit(NOOP, memory, 0.0, enqueue=shared, begun=begun) for begun in (0, 0, 0, 1, 1, 1)]
        assert answers == [ACCEPTED, ACCEPTED, refused, ACCEPTED, ACCEPTED, refused]
