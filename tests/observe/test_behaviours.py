"""Ways of a sane kernel that are rare, each explained by the model; and what is a contradiction beside each."""

import pytest

from pasidlab.observe.assumptions import excluded
from pasidlab.observe.automaton import Letter
from pasidlab.observe.derived import derived
from pasidlab.observe.explanations import ANY_RUNNING, IMPOSSIBLE, MISSING, Explanations
from pasidlab.observe.kinds import Kind

AWAY, STOPPED = "away", "stopped"
"""The task is switched out, and comes back; the second time its prev_state is that of a traced task."""


def letter(kind, load=False, irqs_off=False, bh_off=False):
    return Letter(int(kind), True, load, irqs_off, bh_off)


def call(name):
    return letter(Kind[name])


HANDLED = letter(Kind.signal_deliver, load=True)
SEGV = letter(Kind.signal_deliver, irqs_off=True)
SEGV_HANDLED = letter(Kind.signal_deliver, load=True, irqs_off=True)
SIGRETURN = letter(Kind.sys_enter_rt_sigreturn)
SWITCHES = {AWAY: letter(Kind.sched_switch), STOPPED: letter(Kind.sched_switch, load=True)}
EXEC, EXIT = letter(Kind.sched_process_exec), letter(Kind.sched_process_exit)
MARK, MARK_LOAD = (letter(Kind.x86_fpu_regs_activated, load=load, bh_off=True) for load in (False, True))
LOAD, UNLOAD = letter(Kind.kvm_fpu, load=True), letter(Kind.kvm_fpu)
MARKED = [call("fpregs_mark_activate"), MARK]
RESTORED = [call("fpu__restore_sig"), *MARKED]
CLEARED = [call("fpu__restore_sig"), call("fpu__clear_user_states"), *MARKED]


@pytest.fixture(scope="module")
def automata():
    """One without calls, and one with them."""
    return {(6, 18): derived((6, 18)), (6, 12): derived((6, 12), calls=True)}


def explained(automaton, letters, assumed=()):
    """True if a task of which nothing is known may show these events, one after the other."""
    known = Explanations(automaton, excluded=excluded(assumed))
    number = ANY_RUNNING
    for one in letters:
        shown = int(known.column[known.code(SWITCHES.get(one, one))])
        for column in (shown, known.leave, known.enter + 17) if one in SWITCHES else (shown,):
            if column == IMPOSSIBLE:
                return False
            if known.table[number, column] == MISSING:
                known.fill(number, column)
            number = known.table[number, column]
            if number == IMPOSSIBLE:
                return False
    return True


def test_a_tracer_may_take_the_signal_that_follows_a_frame_that_cannot_be_written(automata):
    """ptrace_signal() stops the task before the event signal_deliver."""
    assert explained(automata[6, 18], [HANDLED, SEGV_HANDLED])
    assert not explained(automata[6, 18], [HANDLED, HANDLED])
    for after in (HANDLED, SIGRETURN):
        assert explained(automata[6, 18], [HANDLED, STOPPED, after])
        assert not explained(automata[6, 18], [HANDLED, AWAY, after])
        assert not explained(automata[6, 18], [HANDLED, STOPPED, after], ["no-tracer"])
    assert not explained(automata[6, 18], [HANDLED, SIGRETURN])


def test_no_event_tells_of_a_sigreturn_of_a_32_bit_program(automata):
    rest = ("no-softirq-fpu", "no-syscall-fpu", "no-failed-fork")
    twice = [SIGRETURN, MARK, MARK_LOAD]
    assert explained(automata[6, 18], twice, rest)
    assert not explained(automata[6, 18], twice, (*rest, "no-ia32"))
    returned = [SIGRETURN, *RESTORED, call("fpu__restore_sig"), call("fpregs_mark_activate")]
    assert explained(automata[6, 12], [*returned, MARK_LOAD])
    assert not explained(automata[6, 12], [*returned, MARK])


def test_a_frame_may_have_no_registers(automata):
    """fpstate is NULL: fpu__clear_user_states(), and all is well. A frame that is bad ends in SIGSEGV."""
    assert explained(automata[6, 12], [SIGRETURN, *CLEARED, SEGV])
    assert explained(automata[6, 12], [SIGRETURN, *CLEARED, SIGRETURN])
    assert not explained(automata[6, 12], [SIGRETURN, call("fpu__restore_sig"), SIGRETURN])


def test_an_exec_may_fail_after_the_registers_were_reset(automata):
    assert explained(automata[6, 12], [call("fpu_flush_thread"), EXEC])
    assert explained(automata[6, 12], [call("fpu_flush_thread"), SEGV, EXIT])
    assert not explained(automata[6, 12], [call("fpu_flush_thread"), SEGV_HANDLED])
    assert not explained(automata[6, 12], [call("fpu_flush_thread"), SIGRETURN])


def test_a_frame_may_be_where_nothing_can_be_written(automata):
    """__clear_user() of the xstate header fails before anything is done with registers."""
    assert explained(automata[6, 12], [HANDLED, call("copy_fpstate_to_sigframe"), SEGV_HANDLED])
    assert not explained(automata[6, 12], [HANDLED, call("copy_fpstate_to_sigframe"), SIGRETURN])


@pytest.mark.parametrize("preempted", [False, True])
def test_a_thread_of_io_uring_may_be_undone(automata, preempted):
    """It copies nothing; with v6.12 the event tells of its fpu all the same."""
    dropped = Letter(int(Kind.x86_fpu_dropped), False, preempted, False, False)
    assert explained(automata[6, 12], [call("fpu_clone"), *([AWAY] * preempted), call("fpu__drop"), dropped])
    assert not explained(automata[6, 12], [call("fpu_clone"), *([AWAY] * preempted), dropped])


def test_a_guest_has_its_registers_from_one_event_to_the_other(automata):
    assert explained(automata[6, 18], [MARK, LOAD, MARK, UNLOAD, MARK, LOAD])
    assert explained(automata[6, 18], [LOAD, AWAY, MARK_LOAD, UNLOAD])
    for wrong in ([LOAD, UNLOAD], [LOAD, MARK, LOAD], [MARK, LOAD, SIGRETURN], [UNLOAD, LOAD]):
        assert not explained(automata[6, 18], wrong)
    swapped = [call("fpu_swap_kvm_fpstate"), *MARKED]
    assert explained(automata[6, 12], [*swapped, LOAD, *swapped, UNLOAD, SIGRETURN])
    assert not explained(automata[6, 12], [LOAD, *MARKED, UNLOAD])
    assert not explained(automata[6, 12], [*swapped, LOAD, *swapped, SIGRETURN])
