"""``pasidlab check MODEL --prove``: a proof for any number of CPUs and tasks, or what stops it."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from pasidlab.commands.asked import Asked
from pasidlab.errors import PasidlabError
from pasidlab.output import must_be_writable, write

if TYPE_CHECKING:
    from pasidlab.designs import AnyScope, Design
    from pasidlab.prove.induction import Unproved
    from pasidlab.prove.proof import Proof

NOT_PROVED = 3


def proved(asked: Asked) -> tuple[int, Asked]:
    """Proves, and tells. The exit code; with 1, what to check instead: the scope in which a property is violated."""
    _alone(asked)
    try:
        import z3  # noqa: F401
    except ImportError:
        raise PasidlabError("--prove needs z3", hint="pip install 'pasidlab[prove]'") from None
    from pasidlab.checking.api import wanted_properties
    from pasidlab.prove.proof import prove

    if len(asked.names) != 1:
        raise PasidlabError(f"--prove takes one model, {len(asked.names)} are named", hint="pasidlab check FILE.py --prove")
    if asked.smt:
        must_be_writable(asked.smt)
    design = asked.opening(asked.names[0]).design()
    scope = _scope(asked, design)
    wanted = wanted_properties(asked.properties, design)
    deadline = time.monotonic() + asked.timeout if asked.timeout else None
    proof = prove(design, scope, wanted, jobs=asked.jobs, deadline=deadline)
    if not asked.as_json:
        _tell(design, proof, asked)
    if proof.broken is not None:
        others = tuple(size for size in asked.size if not size.startswith(("cpus=", "tasks=")))
        return 1, replace(asked, prove=False, cpus=proof.broken.cpus or None, tasks=proof.broken.tasks or None, size=others)
    if asked.as_json:
        from pasidlab.report.proof import proof_json

        click.echo(json.dumps(proof_json(design, scope, proof, click.get_current_context().obj or ()), indent=2))
    if proof.proved and asked.smt:
        from pasidlab.prove.smtlib import script

        write(asked.smt, script(design.name, proof.views, proof.clauses, proof.obligations))
    return 0 if proof.proved else NOT_PROVED, asked


def _alone(asked: Asked) -> None:
    """PasidlabError for an option that has no meaning in a proof."""
    others = {
        "--matrix": asked.matrix, "--thorough": asked.thorough, "--compare": asked.compare, "--simulate": asked.simulate,
        "--evidence": asked.evidence,
        "--checkpoint": asked.checkpoint, "--output": asked.outputs, "--kernel": asked.kernel,
        "--max-states": asked.max_states, "--max-memory": asked.max_memory,
    }  # fmt: skip
    for option, given in others.items():
        if given:
            raise PasidlabError(f"{option} says nothing about a proof for any number", hint=f"leave out {option}, or --prove")


def _scope(asked: Asked, design: Design) -> AnyScope:
    """The small instance to begin with: that asked for; of a design, else part race with one mm."""
    scope = asked.scope().of(design)
    if scope is not None:
        return scope
    if design.own:
        return design.own.scope()
    from pasidlab.model.scope import DEFAULT_PARTS

    return replace(DEFAULT_PARTS["race"], mms=1, pasids=1)


def _tell(design: Design, proof: Proof, asked: Asked) -> None:
    for instance in proof.instances:
        click.echo(f"  {instance.scope}: {'all' if instance.complete else 'the first'} {instance.states:,} states")
    if proof.broken is not None:
        click.echo(f"{design.name}: violated in a small instance, {proof.broken}")
        return
    what = f"{len(proof.clauses)} clauses, {proof.given_up} given up, {proof.queries:,} queries, {proof.seconds:.1f} s"
    if proof.stopped or proof.out_of_time:
        click.echo(f"{design.name}: not proved ({len(proof.obligations)} obligations, {what})")
        for line in _stopped(proof.stopped, proof) if proof.stopped else [f"  the time of --timeout {asked.timeout:g} is over"]:
            click.echo(line)
    else:
        _invariant(design, proof, what)
    for name in proof.not_tested:
        click.echo(f"not put to the test: {name}: in no small instance does anything happen that it is about")
    for name in proof.not_covered:
        click.echo(f"not proved: {name}: it needs more than an invariant (liveness, or that something can happen)")


def _invariant(design: Design, proof: Proof, what: str) -> None:
    from pasidlab.prove.words import sentence

    told = [name for name in proof.wanted if name not in proof.not_tested]
    if told:
        click.echo(f"{design.name}: proved for any number of CPUs and tasks: {', '.join(told)}")
    else:
        click.echo(f"{design.name}: nothing is proved: nothing that is asked for is put to the test")
    click.echo(f"  {len(proof.obligations)} obligations, {what}, checked again")
    click.echo("The invariant:")
    for n, clause in enumerate(proof.clauses, start=1):
        click.echo(f"  {n:2}. {sentence(proof.views, clause)}")


def _stopped(stopped: Unproved, proof: Proof) -> list[str]:
    """What stays possible, and the state before it."""
    from pasidlab.prove.words import state_in_words

    goal, obligation = stopped.goal, stopped.obligation
    name = goal.property or "model error"
    lines = [f"  {name}: {goal.sentence}", f"  remains possible by {obligation.name} ({obligation.place})", "  from a state with"]
    return lines + [f"    {line}" for line in state_in_words(proof.views, stopped.state.seen)]
