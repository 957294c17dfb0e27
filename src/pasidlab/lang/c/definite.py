"""What C leaves without a value is never read: of a variable before it is set, and of a function that ends without ``return``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pasidlab.errors import PasidlabError
from pasidlab.lang.ir import Instr
from pasidlab.lang.lowering.flow import forward, reachable


def check_values(code: Sequence[Instr], watched: Mapping[str, str], begins: Mapping[str, str], needs_value: str) -> None:
    """Raise PasidlabError where a local may be read before it is set.

    ``watched``: locals and their names in C. ``begins``: labels at which a local's life begins anew. ``needs_value``: the name of the
    function if it has a result, whose last instruction then must not be reached.
    """
    flat = list(code)

    def step(instr: Instr, known: frozenset[str]) -> frozenset[str]:
        if instr.op == "label" and instr.args[0] in begins:
            return known - {begins[str(instr.args[0])]}
        return known | {instr.dst} if instr.dst is not None and instr.dst in watched else known

    def both(a: frozenset[str], b: frozenset[str]) -> frozenset[str]:
        return a & b

    if needs_value and reachable(flat, [0])[-1]:
        raise PasidlabError(
            f"{needs_value}() may end here without a value", position=flat[-1].site.position, hint="return one, or BUG() where it cannot"
        )
    if not watched:
        return
    before = forward(flat, {0: frozenset[str]()}, step, both)
    for instr, known in zip(flat, before, strict=True):
        for operand in instr.operands() if known is not None else ():
            if isinstance(operand, str) and operand in watched and operand not in (known or ()):
                what = f"'{watched[operand]}' may be used before it has a value"
                raise PasidlabError(what, position=instr.site.position, hint="give it one where it is declared")
