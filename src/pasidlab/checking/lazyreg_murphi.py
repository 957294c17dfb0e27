"""LazyReg in Murphi: the model that `pasidlab bench` has Rumur explore."""

from __future__ import annotations

_TEXT = """\
type
  Cpu: 1..{cpus}; Task: 1..{tasks};
  CpuOrNone: 0..{cpus}; TaskOrNone: 0..{tasks};
  Value: 0..3; Step: 0..4;
var
  cur, owner: array [Cpu] of TaskOrNone;
  msr: array [Cpu] of Value;
  need, act: array [Task] of boolean;
  last: array [Task] of CpuOrNone;
  mem: array [Task] of Value;
  pc: array [Task] of Step;
  pasid: Value;

startstate begin clear cur; clear owner; clear msr; clear last; clear mem; clear pc; clear need; clear act; clear pasid;
  for c: Cpu do cur[c] := 0; owner[c] := 0; end;
  for t: Task do last[t] := 0; end;
end;

ruleset c: Cpu; t: Task do
  rule cur[c] = 0 & forall d: Cpu do cur[d] != t end ==> begin cur[c] := t; need[t] := owner[c] != t | last[t] != c; end;
  rule cur[c] = t ==> begin if !need[t] then mem[t] := msr[c]; end; cur[c] := 0; end;
  rule cur[c] = t & need[t] & pc[t] = 0 ==> begin msr[c] := mem[t]; owner[c] := t; last[t] := c; need[t] := false; end;
  rule cur[c] = t & !need[t] & pc[t] = 0 & msr[c] = 0 ==> begin pc[t] := 1; end;
  rule cur[c] = t & pc[t] = 1 ==> begin pc[t] := pasid = 0 ? 0 : 2; end;
  rule cur[c] = t & pc[t] = 2 ==> begin pc[t] := act[t] ? 0 : 3; end;
  rule cur[c] = t & pc[t] = 3 ==> begin act[t] := true; pc[t] := 4; end;
  rule cur[c] = t & pc[t] = 4 ==> begin
    if need[t] then mem[t] := pasid; last[t] := 0; else msr[c] := pasid; end;
    pc[t] := 0;
  end;
end;
ruleset value: 1..3 do
  rule pasid = 0 ==> begin pasid := value; end;
end;

invariant forall c: Cpu do forall t: Task do cur[c] = t & !need[t] -> owner[c] = t & last[t] = c end end;
invariant forall c: Cpu do msr[c] = 0 | msr[c] = pasid end;
invariant forall c: Cpu do forall t: Task do cur[c] = t & !need[t] & act[t] & pc[t] != 4 -> msr[c] = pasid end end;
"""


def lazyreg_murphi(tasks: int, cpus: int) -> str:
    """The text of LazyReg. Tasks and CPUs are numbered from 1; 0 is none."""
    return _TEXT.format(tasks=tasks, cpus=cpus)
