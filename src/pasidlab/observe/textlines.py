"""The lines of ftrace, trace-cmd report and perf script, and what each event prints (its ``print fmt``): two tables."""

from __future__ import annotations

import re
from collections.abc import Callable

from pasidlab.observe.kinds import EVENTS, TRACED, Kind

EventRow = tuple[int, int, int, int, int, int, int, int, int]
"""An event as ``pages.Events`` has it."""
_Values = tuple[int, int, int, int]

_NAME = r".{0,64}"  # of a task, 16 bytes: without a bound a line takes time that grows with a power of its length
_SPACE = r"\s{1,64}"
_TIME = rf"(?P<time>\d{{1,10}}\.\d{{6,9}}):{_SPACE}"
_NAMED = r"(?P<event>\w+):\s*(?P<rest>.*)$"
_PLACE = rf"{_NAME}?-(?P<pid>\d{{1,7}}){_SPACE}(?:\(\s{{0,64}}[-\d]{{1,16}}\){_SPACE})?\[(?P<cpu>\d{{1,4}})\]{_SPACE}"
_FLAGGED = rf"(?:(?P<flags>\S{{4,6}}){_SPACE})?{_TIME}"
_CALL = r"(?P<call>[A-Za-z_][\w.]*) <-\S+$"
PERF = re.compile(
    rf"\s{{0,64}}\S{_NAME}?{_SPACE}(?:-?\d{{1,7}}/\s{{0,64}})?(?P<pid>-1|\d{{1,7}}){_SPACE}\[(?P<cpu>\d{{1,4}})\]{_SPACE}{_TIME}"
    rf"(?:\d{{1,20}}{_SPACE})?\w+:{_NAMED}"
)
"""A line of perf script."""
LINES = (
    PERF,
    # trace_print_context() and trace_print_lat_fmt(), kernel/trace/trace_output.c, v6.12; trace-cmd report leaves the flags out
    re.compile(_PLACE + _FLAGGED + _NAMED),
    # trace-cmd report -l
    re.compile(rf"{_NAME}?-(?P<pid>\d{{1,7}}){_SPACE}(?P<cpu>\d{{1,4}})(?P<flags>[dDbX.]\S{{3,5}}){_SPACE}{_TIME}{_NAMED}"),
)
CALL = re.compile(_PLACE + _FLAGGED + _CALL)
"""A line of the function tracer: print_trace_fmt() of kernel/trace/trace_output.c, trace_fn_trace()."""
SYSCALL = re.compile(CALL.pattern.removesuffix(_CALL) + r"sys_(?P<name>\w+)(?P<enter>\()?")
"""A line of a system call: print_syscall_enter(), print_syscall_exit(), kernel/trace/trace_syscalls.c, v6.12."""
NO_EVENT = re.compile(
    r"\s*$|cpus=\d+$|version = |\s*(?:=>|<stack trace>|[0-9a-f]{8,16} )|trace-cmd: |Buffer: |\s*\w+ event stat|CPU \d+ is empty$"
)
"""Heads, and stacks below an event."""

_COMM_BYTES = 16


def _comm(name: str) -> tuple[int, int]:
    data = name.encode("utf-8", "backslashreplace")[:_COMM_BYTES].ljust(_COMM_BYTES, b"\0")
    return int.from_bytes(data[:8], "little", signed=True), int.from_bytes(data[8:], "little", signed=True)


def _hex(text: str) -> int:
    value = int(text, 16)
    return value - (1 << 64) if value >> 63 else value


def _fpu(m: re.Match[str]) -> _Values:
    return (_hex(m[1]), int(m[2]), _hex(m[3]), _hex(m[4]))


def _numbers(*order: int) -> Callable[[re.Match[str]], _Values]:
    """Decimal groups, in the order of the event's columns."""

    def found(m: re.Match[str]) -> _Values:
        values = [int(m[group]) for group in order] + [0] * (4 - len(order))
        return values[0], values[1], values[2], values[3]

    return found


def _signal(m: re.Match[str]) -> _Values:
    return int(m[1]), _hex(m[2]), 0, 0


def _switch(m: re.Match[str]) -> _Values:
    return int(m[4]), TRACED if m[2] == "t" else 0, int(m[1]), _comm(m[3])[0]


def _newtask(m: re.Match[str]) -> _Values:
    return (int(m[1]), int(m[3], 16), *_comm(m[2]))


def _rename(m: re.Match[str]) -> _Values:
    return (int(m[1]), 0, *_comm(m[2]))


def _kvm(m: re.Match[str]) -> _Values:
    return int(m[1] == "load"), 0, 0, 0


def _msr(m: re.Match[str]) -> _Values:
    return int(m[1], 16), _hex(m[2]), 0, 0


_HEX = r"(?:0x)?([0-9a-f]{1,16})"
_FPU_TEXT = re.compile(rf"x86/fpu: {_HEX} load: (\d) xfeatures: {_HEX} xcomp_bv: {_HEX}")
_PREV = r"prev_pid=(\d{1,7}) prev_prio=-?\d{1,9} prev_state=(\S{1,64})"
_BY_PID = re.compile(rf"comm={_NAME} pid=(\d{{1,7}}) prio=-?\d+(?: group_dead=\w+)?$")
_VEC = re.compile(r"vec=(\d{1,3})\b")
_TEXTS: dict[Kind, tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], _Values]], ...]] = {
    Kind.sched_switch: (
        (re.compile(rf"prev_comm={_NAME} {_PREV} ==> next_comm=({_NAME}) next_pid=(\d{{1,7}}) next_prio=-?\d+"), _switch),
        # trace-cmd's plugin
        (re.compile(rf"{_NAME}:(\d{{1,7}}) \[-?\d{{1,9}}\] (\S{{1,64}}) ==> ({_NAME}):(\d{{1,7}}) \[-?\d+\]"), _switch),
    ),
    Kind.sched_migrate_task: (
        (re.compile(rf"comm={_NAME} pid=(\d{{1,7}}) prio=-?\d{{1,9}} orig_cpu=(\d{{1,9}}) dest_cpu=(\d{{1,9}})$"), _numbers(1, 2, 3)),
    ),
    Kind.sched_process_fork: ((re.compile(rf"comm={_NAME} pid=(\d{{1,7}}) child_comm={_NAME} child_pid=(\d{{1,7}})$"), _numbers(2, 1)),),
    Kind.sched_process_exec: ((re.compile(r".* pid=(\d{1,7}) old_pid=(\d{1,7})$"), _numbers(1, 2)),),
    Kind.sched_process_exit: ((_BY_PID, _numbers(1)),),
    Kind.sched_process_wait: ((_BY_PID, _numbers(1)),),
    Kind.task_newtask: ((re.compile(rf"pid=(\d{{1,7}}) comm=({_NAME}) clone_flags=([0-9a-f]{{1,15}}) oom_score_adj=-?\d+$"), _newtask),),
    Kind.task_rename: ((re.compile(rf"pid=(\d{{1,7}}) oldcomm={_NAME} newcomm=({_NAME}) oom_score_adj=-?\d+$"), _rename),),
    Kind.signal_deliver: ((re.compile(r"sig=(\d{1,3}) errno=-?\d+ code=-?\d+ sa_handler=([0-9a-f]{1,16})\b"), _signal),),
    Kind.sys_enter_rt_sigreturn: ((re.compile(""), _numbers()),),
    Kind.softirq_entry: ((_VEC, _numbers(1)),),
    Kind.softirq_exit: ((_VEC, _numbers(1)),),
    Kind.kvm_fpu: ((re.compile(r"(load|unload)$"), _kvm),),
    Kind.write_msr: ((re.compile(r"([0-9a-f]{1,8}), value ([0-9a-f]{1,16})(?: #GP)?$"), _msr),),
}
FIELDS = {event.kind.name: event.kind for event in EVENTS}
"""The events that are looked at, by their names."""


def fields_of_text(kind: Kind, text: str) -> _Values | None:
    """The fields of an event, as ``kinds.EVENTS`` orders them; None for a text that is none of that event."""
    for pattern, values in _TEXTS.get(kind, ((_FPU_TEXT, _fpu),)):
        if match := pattern.match(text.rstrip()):
            return values(match)
    return None
