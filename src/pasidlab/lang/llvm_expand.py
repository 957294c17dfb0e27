"""The function the search calls, as LLVM IR text: predicates of the state, then every action."""

from __future__ import annotations

from collections.abc import Iterable

from pasidlab.lang.llvm_text import AGAIN, ERROR, PENDING, STATE_BROKEN, STEP_BROKEN, WHEN_STUCK


def expand_text(
    words: int, actions: Iterable[tuple[str, int]], predicates: Iterable[tuple[str, int, int]], cpus: int
) -> str:
    """The function ``expand``: predicates (function, observed word, bit), then every action (function, CPU).

    An action on another CPU than the first is given the state in which that CPU is the first; there are ``cpus`` of them.
    """
    lines = ["define i64 @expand(ptr noalias %state, ptr noalias %out, ptr noalias %seen) {"]
    for word in (STATE_BROKEN, STEP_BROKEN, ERROR, PENDING, AGAIN):
        lines += [f"  %z{word} = getelementptr i64, ptr %seen, i64 {word}", f"  store i64 0, ptr %z{word}"]
    for cpu in range(2, cpus + 1):
        lines += [f"  %state{cpu} = alloca [{words} x i64]", f'  call void @"first.{cpu}"(ptr %state, ptr %state{cpu})']
    predicates = list(predicates)
    lines += _predicate_lines([p for p in predicates if p[1] != WHEN_STUCK], "p")
    lines += [f"  %asked = load i64, ptr %z{ERROR}", f"  store i64 0, ptr %z{ERROR}"]
    total = "0"
    for n, (name, cpu) in enumerate(actions):
        state = f"%state{cpu}" if cpu > 1 else "%state"
        lines += [
            f"  %m{n} = mul i64 {total}, {words}", f"  %a{n} = getelementptr i64, ptr %out, i64 %m{n}",
            f'  %n{n} = call i64 @"{name}"(ptr {state}, ptr %a{n}, ptr %seen)', f"  %tot{n} = add i64 {total}, %n{n}",
        ]  # fmt: skip
        total = f"%tot{n}"
    lines += [  # a step that ends in an error, or follows NULL, is a step nevertheless
        f"  %failed = load i64, ptr %z{ERROR}", "  %errors = or i64 %asked, %failed", f"  store i64 %errors, ptr %z{ERROR}",
        f"  %step = load i64, ptr %z{STEP_BROKEN}", f"  %left = or i64 {total}, %failed", "  %any = or i64 %left, %step",
        "  %none = icmp eq i64 %any, 0", "  br i1 %none, label %stuck, label %done", "stuck:",
    ]  # fmt: skip
    lines += _predicate_lines([(name, STATE_BROKEN, bit) for name, word, bit in predicates if word == WHEN_STUCK], "e")
    return "\n".join([*lines, "  br label %done", "done:", f"  ret i64 {total}", "}"])


def _predicate_lines(predicates: list[tuple[str, int, int]], prefix: str) -> list[str]:
    """Evaluate predicates and set their bits in the observed words."""
    lines: list[str] = []
    for n, (name, word, bit) in enumerate(predicates):
        v = f"{prefix}{n}"
        lines += [
            f'  %{v} = call i64 @"{name}"(ptr %state, ptr %out, ptr %seen)', f"  %{v}.true = icmp ne i64 %{v}, 0",
            f"  %{v}.bit = select i1 %{v}.true, i64 {1 << bit}, i64 0", f"  %{v}.old = load i64, ptr %z{word}",
            f"  %{v}.new = or i64 %{v}.old, %{v}.bit", f"  store i64 %{v}.new, ptr %z{word}",
        ]  # fmt: skip
    return lines
