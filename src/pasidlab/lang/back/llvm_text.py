"""Lowered actions -> LLVM IR text. Tables from operation to mnemonic; everything else is bit fields and the choice odometer."""

from __future__ import annotations

from pasidlab.lang.back.layout import Layout, PackedField, Plane
from pasidlab.lang.back.llvm_lines import Lines
from pasidlab.lang.interpreter import CHOICE_DEPTH, FUEL, MOST_OUTCOMES, loop_labels
from pasidlab.lang.ir import DIVISIONS, OWNER, SHIFTS, SOUND, TERMINATORS, Action, Instr, Operand
from pasidlab.lang.types import Field, Int, Mask
from pasidlab.search.observed import AGAIN, ERROR, LABELS, REACHED, STEP_BROKEN

ARITHMETIC = {
    "add": "add",
    "sub": "sub",
    "mul": "mul",
    "div": "sdiv",
    "mod": "srem",
    "and": "and",
    "or": "or",
    "xor": "xor",
    "shl": "shl",
    "shr": "ashr",
    "udiv": "udiv",
    "umod": "urem",
    "ushr": "lshr",
}
COMPARISON = {"eq": "eq", "ne": "ne", "lt": "slt", "le": "sle", "ult": "ult", "ule": "ule"}
SMALL = 80
"""Instructions below which an action is worth repeating at its call."""

LABEL_BITS, LABEL_CHOICES = 16, 4
"""A label: the number of the action with its parameters, then five bits for each of its first choices (0: not made)."""
WHEN_STUCK = -1
"""Marks predicates that break a property of a state only if it has no successor."""


class ActionText(Lines):
    """Emits one LLVM function for an action with constant parameters."""

    in_place = False
    """The successor is written over the state it was made of."""

    def __init__(
        self,
        name: str,
        action: Action,
        params: tuple[int, ...],
        layout: Layout,
        bits: dict[str, int],
        cover: dict[int, int],
        after: tuple[str, ...] = (),
        label: int | None = None,
    ) -> None:
        super().__init__()
        self.label = label
        self.name, self.action, self.layout, self.bits, self.cover, self.after = name, action, layout, bits, cover, after
        self.constants = {local: value for (local, _), value in zip(action.params, params, strict=True)}
        self.flags: set[str] = set()  # of broken, reached, again: those some instruction may set
        self.chooses = any(i.op == "choose" for i in action.code)
        self.returns = any(i.op == "return" for i in action.code)
        self.locals = sorted({i.dst for i in action.code if i.dst} | {o for i in action.code for o in i.operands() if isinstance(o, str)})
        self.loops = loop_labels(action)

    def local(self, operand: Operand) -> str:
        """The value of an operand: a literal or a loaded local."""
        if isinstance(operand, int):
            return str(operand)
        if operand in self.constants:
            return str(self.constants[operand])
        return self.op(f'load i64, ptr %"l.{operand}"')

    def set(self, name: str, value: str) -> None:
        """Assign a local."""
        self.put(f'store i64 {value}, ptr %"l.{name}"')

    def text(self) -> str:
        """The whole function: i64 name(state, successors, observed) -> number of successors (or the result of a predicate)."""
        inline = "alwaysinline " if not self.chooses and len(self.action.code) < SMALL else ""
        alias = "" if self.in_place else "noalias "
        self.lines = [f'define internal i64 @"{self.name}"(ptr {alias}%state, ptr {alias}%out, ptr noalias %seen) {inline}{{']
        for slot in (
            [f"l.{local}" for local in self.locals]
            + [f"w{w}" for w in range(self.layout.words)]
            + ["broken", "reached", "fuel", "count", "again"]
        ):
            self.put(f'%"{slot}" = alloca i64')
        self.put("store i64 0, ptr %count")
        if self.chooses:
            for slot, kind in (
                ("digits", f"[{CHOICE_DEPTH} x i64]"),
                ("limits", f"[{CHOICE_DEPTH} x i64]"),
                ("depth", "i64"),
                ("used", "i64"),
            ):
                self.put(f"%{slot} = alloca {kind}")
            self.put("store i64 0, ptr %depth")
        self.put("br label %start")
        self.block("start")
        self._prepare()
        self._body()
        self._endings()
        self.lines.append("}")
        return "\n".join(self.lines)

    def _prepare(self) -> None:
        for w in range(self.layout.words):
            value = self.get(self.index("%state", w))
            self.put(f"store i64 {value}, ptr %w{w}")
        for slot in ("broken", "reached", "again"):
            self.put(f"store i64 0, ptr %{slot}")
        self.put(f"store i64 {FUEL}, ptr %fuel")
        for local in self.locals:
            if local not in self.constants:
                self.set(local, "0")
        if self.chooses:
            self.put("store i64 0, ptr %used")

    def _body(self) -> None:
        open_block = True
        for number, instr in enumerate(self.action.code):
            if instr.op == "label":
                if open_block:
                    self.put(f'br label %"L.{instr.args[0]}"')
                self.block(f"L.{instr.args[0]}")
                open_block = True
                if instr.args[0] in self.loops:
                    self._burn()
            else:
                self._instruction(instr)
                open_block = instr.op not in TERMINATORS
            if number in self.cover and open_block:
                self.put(f"store i64 1, ptr {self.op(f'getelementptr i64, ptr %seen, i64 {self.cover[number]}')}")

    def _burn(self) -> None:
        left = self.do("sub", self.get("%fuel"), 1)
        self.put(f"store i64 {left}, ptr %fuel")
        self._require(self.op(f"icmp sgt i64 {left}, 0"), "error")

    def _require(self, condition: str, otherwise: str) -> None:
        go = f"go{self.temp()[1:]}"
        self.put(f"br i1 {condition}, label %{go}, label %{otherwise}")
        self.block(go)

    def _instruction(self, instr: Instr) -> None:
        op, args = instr.op, instr.args
        if op in ARITHMETIC:
            self._arithmetic(instr)
        elif op in COMPARISON:
            test = self.op(f"icmp {COMPARISON[op]} i64 {self.local(args[1])}, {self.local(args[2])}")
            self.set(str(args[0]), self.op(f"zext i1 {test} to i64"))
        elif op == "not":
            self.set(str(args[0]), self.op(f"zext i1 {self.op(f'icmp eq i64 {self.local(args[1])}, 0')} to i64"))
        elif op == "sext":
            left = 64 - int(args[2])
            self.set(str(args[0]), self.do("ashr", self.do("shl", self.local(args[1]), left), left))
        elif op == "inv":
            self.set(str(args[0]), self.op(f"xor i64 {self.local(args[1])}, -1"))
        elif op == "copy":
            self.set(str(args[0]), self.local(args[1]))
        elif op == "load":
            self._load(instr)
        elif op == "store":
            self._store(instr)
        elif op == "deref":
            self._exists(self.local(args[0]), args[0], int(args[1]))
        elif op in ("require", "wait"):
            self._require(self.op(f"icmp ne i64 {self.local(args[0])}, 0"), "disabled")
        elif op == "check":
            self._flag("broken", self.bits[str(args[0])], self.op(f"icmp eq i64 {self.local(args[1])}, 0"))
        elif op in ("reach", "repeat"):
            self._flag("reached" if op == "reach" else "again", self.bits[str(args[0])], "true")
        else:
            self._control(instr)

    def _control(self, instr: Instr) -> None:
        op, args = instr.op, instr.args
        if op == "jump":
            self.put(f'br label %"L.{args[0]}"')
        elif op == "branch":
            test = self.op(f"icmp ne i64 {self.local(args[0])}, 0")
            self.put(f'br i1 {test}, label %"L.{args[1]}", label %"L.{args[2]}"')
        elif op == "switch":
            cases = " ".join(f'i64 {n}, label %"L.{label}"' for n, label in enumerate(args[1:]))
            self.put(f'switch i64 {self.local(args[0])}, label %"L.{args[1]}" [ {cases} ]')
        elif op == "choose":
            self._choose(instr)
        elif op == "crash":
            self.put("br label %null")
        elif op == "end":
            self.put("br label %done")
        elif op == "return":
            self.put(f"store i64 {self.do('or', self.get('%count'), self.local(args[0]))}, ptr %count")  # true for some choice
            self.put("br label %next")
        elif op not in ("pause", "atomic"):
            raise AssertionError(op)

    def _flag(self, slot: str, bit: int, condition: str) -> None:
        if self.returns:  # a predicate is no step: what it finds is noted at once
            word = {"broken": STEP_BROKEN, "reached": REACHED, "again": AGAIN}[slot]
            self._observe(word, self.op(f"select i1 {condition}, i64 {1 << bit}, i64 0"))
            return
        self.flags.add(slot)
        old = self.get(f"%{slot}")
        new = self.op(f"or i64 {old}, {1 << bit}")
        self.put(f"store i64 {self.op(f'select i1 {condition}, i64 {new}, i64 {old}')}, ptr %{slot}")

    def _arithmetic(self, instr: Instr) -> None:
        a, b = self.local(instr.args[1]), self.local(instr.args[2])
        if instr.op in DIVISIONS:
            self._require(self.op(f"icmp ne i64 {b}, 0"), "error")
        elif instr.op in SHIFTS and not (b.isdigit() and int(b) < 64):
            self._require(self.op(f"icmp ult i64 {b}, 64"), "error")
        if instr.op in ("div", "mod") and not b.isdigit():
            self._divide_by_any(instr, a, b)
            return
        self.set(str(instr.args[0]), self.op(f"{ARITHMETIC[instr.op]} i64 {a}, {b}"))

    def _divide_by_any(self, instr: Instr, a: str, b: str) -> None:
        """Division by -1 is a change of sign, which has a value for every number."""
        minus = self.op(f"icmp eq i64 {b}, -1")
        quotient = self.do(ARITHMETIC[instr.op], a, self.op(f"select i1 {minus}, i64 1, i64 {b}"))
        other = self.do("sub", 0, a) if instr.op == "div" else "0"
        self.set(str(instr.args[0]), self.op(f"select i1 {minus}, i64 {other}, i64 {quotient}"))

    def _shifts(self, place: PackedField, element: Operand) -> list[tuple[Plane, str]]:
        """The planes of a field, each with the bit position of an element; branches away when there is no such element."""
        value = self.local(element)
        there = self._exists(value, element, place.field.count)
        if value.lstrip("-").isdigit():
            return [(plane, str(plane.shift + (int(value) - 1) * plane.width if there else plane.shift)) for plane in place.planes]
        if place.field.count == 1:
            return [(plane, str(plane.shift)) for plane in place.planes]
        scaled = [(plane, self.op(f"mul i64 {value}, {plane.width}")) for plane in place.planes]
        return [(plane, self.op(f"add i64 {product}, {plane.shift - plane.width}")) for plane, product in scaled]

    def _exists(self, value: str, element: Operand, count: int) -> bool:
        """Branch away unless there is an element of that number; False if there never is."""
        if value.lstrip("-").isdigit():
            if not 1 <= int(value) <= count:
                self._require("false", "null" if value == "0" else "error")
                return False
        elif element != OWNER:
            self._require(self.op(f"icmp ne i64 {value}, 0"), "null")
            self._require(self.op(f"icmp ule i64 {value}, {count}"), "error")
        return True

    def _load(self, instr: Instr) -> None:
        place = self.layout.places[str(instr.args[1])]
        code = "0"
        for plane, shift in self._shifts(place, instr.args[2]):
            part = self.do("and", self.do("lshr", self.get(f"%w{plane.word}"), shift), plane.mask)
            code = self.do("or", code, self.do("shl", part, plane.low)) if len(place.planes) > 1 else part
        self.set(str(instr.args[0]), self._decode(place.field, code))

    def _decode(self, field: Field, code: str) -> str:
        domain = field.domain
        if isinstance(domain, Int):
            return self.op(f"add i64 {code}, {domain.low}") if domain.low else code
        if not isinstance(domain, Mask):
            return code
        total = "0"
        for at, low, width in domain.runs():
            part = self.do("and", self.do("lshr", code, low), (1 << width) - 1)
            total = self.do("or", total, self.do("shl", part, at))
        return total

    def _store(self, instr: Instr) -> None:
        place = self.layout.places[str(instr.args[0])]
        shifts = self._shifts(place, instr.args[1])
        code = self._encode(place.field, self.local(instr.args[2]))
        for plane, shift in shifts:
            part = self.do("and", self.do("lshr", code, plane.low), plane.mask) if len(place.planes) > 1 else code
            clear = self.do("xor", self.do("shl", plane.mask, shift), -1)
            kept = self.do("and", self.get(f"%w{plane.word}"), clear)
            self.put(f"store i64 {self.do('or', kept, self.do('shl', part, shift))}, ptr %w{plane.word}")

    def _encode(self, field: Field, value: str) -> str:
        domain = field.domain
        if isinstance(domain, Mask):
            self._require(self.op(f"icmp eq i64 {self.op(f'and i64 {value}, {~domain.mask}')}, 0"), "error")
            total = "0"
            for at, low, width in domain.runs():
                part = self.do("and", self.do("lshr", value, at), (1 << width) - 1)
                total = self.do("or", total, self.do("shl", part, low))
            return total
        low, high = (domain.low, domain.high) if isinstance(domain, Int) else (0, field.domain.bits and getattr(domain, "count", 0))
        code = self.op(f"sub i64 {value}, {low}") if low else value
        self._require(self.op(f"icmp ule i64 {code}, {high - low}"), "error")
        return code

    def _choose(self, instr: Instr) -> None:
        low, high = self.local(instr.args[1]), self.local(instr.args[2])
        self._require(self.op(f"icmp sle i64 {low}, {high}"), "disabled")
        used, depth = self.get("%used"), self.get("%depth")
        self._require(self.op(f"icmp ult i64 {used}, {CHOICE_DEPTH}"), "error")
        digit = self.op(f"getelementptr i64, ptr %digits, i64 {used}")
        limit = self.op(f"getelementptr i64, ptr %limits, i64 {used}")
        number = self.temp()[1:]
        self.put(f"br i1 {self.op(f'icmp eq i64 {used}, {depth}')}, label %new{number}, label %old{number}")
        self.block(f"new{number}")
        self.put(f"store i64 {low}, ptr {digit}")
        self.put(f"store i64 {high}, ptr {limit}")
        self.put(f"store i64 {self.op(f'add i64 {depth}, 1')}, ptr %depth")
        self.put(f"br label %old{number}")
        self.block(f"old{number}")
        self.put(f"store i64 {self.op(f'add i64 {used}, 1')}, ptr %used")
        self.set(str(instr.args[0]), self.op(f"load i64, ptr {digit}"))

    def _observe(self, word: int, value: str) -> None:
        pointer = self.op(f"getelementptr i64, ptr %seen, i64 {word}")
        self.put(f"store i64 {self.do('or', self.get(pointer), value)}, ptr {pointer}")

    def _endings(self) -> None:
        self.block("done")
        count = self.get("%count")
        if self.chooses:
            self._require(self.op(f"icmp ult i64 {count}, {MOST_OUTCOMES}"), "error")
        for w in range(self.layout.words):
            number = self.do("add", self.do("mul", count, self.layout.words), w)
            value = self.get(f"%w{w}")
            self.put(f"store i64 {value}, ptr {self.index('%out', number)}")
        if self.label is not None:
            self._label(self.label)
        slot = self.index("%out", self.do("mul", count, self.layout.words)) if self.after else ""
        for call in self.after:
            self.put(call.replace("SLOT", slot))
        self.put(f"store i64 {self.op(f'add i64 {count}, 1')}, ptr %count")
        self._commit()
        self.block("null")
        if self.returns or self.in_place:  # what is not a step of the kernel must not follow NULL at all
            self._observe(ERROR, "1")
        else:
            self._observe(STEP_BROKEN, str(1 << self.bits.get(SOUND, 62)))
        self._commit()
        self.block("error")
        self._observe(ERROR, "1")
        self._commit("finish")
        self.block("disabled")  # a check that failed on the way was executed nevertheless
        if "broken" in self.flags:
            self._observe(STEP_BROKEN, self.get("%broken"))
        self.put("br label %next")
        self.block("next")
        if self.chooses:
            self._advance()
        else:
            self.put("br label %finish")
        self.block("finish")
        self.put(f"ret i64 {self.get('%count')}")

    def _label(self, number: int) -> None:
        """Note the action and its first choices for this successor, where ``observed`` says that somebody wants to know."""
        at = self.index("%seen", LABELS)
        address = self.get(at)
        self.put(f"br i1 {self.op(f'icmp eq i64 {address}, 0')}, label %unlabelled, label %labelled")
        self.block("labelled")
        value: int | str = number
        for n in range(LABEL_CHOICES if self.chooses else 0):
            digit = self.do("add", self.do("and", self.get(self.index("%digits", n)), 15), 1)
            made = self.op(f"icmp ugt i64 {self.get('%used')}, {n}")
            shown = self.do("shl", self.op(f"select i1 {made}, i64 {digit}, i64 0"), LABEL_BITS + 5 * n)
            value = self.do("or", value, shown)
        self.put(f"store i64 {value}, ptr {self.op(f'inttoptr i64 {address} to ptr')}")
        self.put(f"store i64 {self.do('add', address, 8)}, ptr {at}")
        self.put("br label %unlabelled")
        self.block("unlabelled")

    def _commit(self, then: str = "next") -> None:
        for word, slot in ((STEP_BROKEN, "broken"), (REACHED, "reached"), (AGAIN, "again")):
            if slot in self.flags:
                self._observe(word, self.get(f"%{slot}"))
        self.put(f"br label %{then}")

    def _advance(self) -> None:
        """The odometer: forget choices this run did not make, drop exhausted ones, increment the last."""
        self.put(f"store i64 {self.get('%used')}, ptr %depth")
        self.put("br label %trim")
        self.block("trim")
        depth = self.get("%depth")
        self.put(f"br i1 {self.op(f'icmp eq i64 {depth}, 0')}, label %finish, label %look")
        self.block("look")
        last = self.op(f"sub i64 {depth}, 1")
        digit = self.op(f"getelementptr i64, ptr %digits, i64 {last}")
        value = self.op(f"load i64, ptr {digit}")
        limit = self.op(f"load i64, ptr {self.op(f'getelementptr i64, ptr %limits, i64 {last}')}")
        self.put(f"br i1 {self.op(f'icmp eq i64 {value}, {limit}')}, label %drop, label %again_")
        self.block("drop")
        self.put(f"store i64 {last}, ptr %depth")
        self.put("br label %trim")
        self.block("again_")
        self.put(f"store i64 {self.op(f'add i64 {value}, 1')}, ptr {digit}")
        self.put("br label %start")


class ForgetText(ActionText):
    """Emits the function that forgets contents nobody may rely on. The function is no step, and changes the state where it is."""

    in_place = True
