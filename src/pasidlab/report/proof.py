"""A proof for any number of CPUs and tasks as JSON, or what stops it. ``schemas/proof-1.json`` describes it."""

from __future__ import annotations

from pasidlab.designs import AnyScope, Design
from pasidlab.errors import Position
from pasidlab.prove.induction import Unproved
from pasidlab.prove.obligation import Obligation
from pasidlab.prove.proof import Proof
from pasidlab.prove.words import sentence, state_in_words
from pasidlab.report.account import Account
from pasidlab.report.json import Json, heading, named, scope_json

MODEL_ERROR = "model error"
"""In the place of a property: a mistake of the model itself remains possible."""


def proof_json(design: Design, scope: AnyScope, proof: Proof, command: tuple[str, ...] = ()) -> Json:
    """The document ``check --prove --json`` prints. ``scope`` is the first instance; no instance violates anything."""
    return _ProofParts(Account((), command=command)).proof(design, scope, proof)


class _ProofParts:
    """The parts of the document. Files are named as in all documents."""

    def __init__(self, account: Account) -> None:
        self.account = account

    def proof(self, design: Design, scope: AnyScope, proof: Proof) -> Json:
        found = not (proof.stopped or proof.out_of_time)
        return {
            **heading("proof", self.account.command),
            "directory": self.account.directory.as_posix(),
            "design": design.name,
            "file": named(self.account, design.origin or str(design.path)),
            "verdict": "proved" if proof.proved else "not proved",
            "properties": [{"name": name, "verdict": _verdict(name, proof, found)} for name in proof.asked],
            "scope": scope_json(scope),
            "instances": [{"scope": scope_json(i.scope), "states": i.states, "complete": i.complete} for i in proof.instances],
            "invariant": [sentence(proof.views, clause) for clause in proof.clauses] if found else None,
            "obligations": [self.obligation(obligation) for obligation in proof.obligations],
            "given_up": proof.given_up,
            "queries": proof.queries,
            "seconds": round(proof.seconds, 3),
            "stopped": self.stopped(proof.stopped, proof) if proof.stopped else None,
            "out_of_time": proof.out_of_time,
        }

    def obligation(self, obligation: Obligation) -> Json:
        claims = dict.fromkeys((goal.property, goal.sentence) for goal in obligation.goals)
        return {
            "step": obligation.name,
            **self.place(obligation.site.position),
            "keeps_invariant": obligation.keeps,
            "impossible": [{"property": name or MODEL_ERROR, "sentence": said} for name, said in claims],
        }

    def stopped(self, stopped: Unproved, proof: Proof) -> Json:
        return {
            "property": stopped.goal.property or MODEL_ERROR,
            "sentence": stopped.goal.sentence,
            "step": stopped.obligation.name,
            **self.place(stopped.obligation.site.position),
            "state": state_in_words(proof.views, stopped.state.seen),
        }

    def place(self, position: Position) -> Json:
        return {"file": named(self.account, position.file), "line": position.line}


def _verdict(name: str, proof: Proof, found: bool) -> str:
    """What the proof says of a property that was asked for."""
    if name in proof.not_covered:
        return "not covered"
    if not found:
        return "not proved"
    return "not tested" if name in proof.not_tested else "proved"
