"""A function of the language as a Python generator that stops at each access to state and at each primitive.

What Python means is left to Python: scopes, arithmetic, truth, and the order of evaluation. Expressions are only taken apart where
they access state: each access becomes a statement of its own, so that a generator that stands still has all that matters in its locals.
Temporaries are cleared when their statement is done, so that two generators that go on alike look alike.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
from typing import Any

from reference import requests
from reference.declared import Declared, Function
from reference.values import Element, NoMeaning

AMBIENT = ("current", "this_cpu")
MASKS = {
    "local_irq_disable": ("irqs_off", True), "local_irq_enable": ("irqs_off", False),
    "preempt_disable": ("preempt_count", True), "preempt_enable": ("preempt_count", False),
    "local_bh_disable": ("softirq_count", True), "local_bh_enable": ("softirq_count", False),
}  # fmt: skip
PURE = ("event", "at", "index")
REQUESTS = {
    "choose": "choose_number", "pick": "choose_element", "require": "Require", "reached": "Reached", "take": "Take", "release": "Release",
    "sleeping": "Sleeping", "pause": "Pause",
}  # fmt: skip


def index(element: Element) -> int:
    """The number of an element."""
    if not isinstance(element, Element):
        raise NoMeaning(f"index({element!r})")
    return element.number


def generators(declared: Declared, events: frozenset[str]) -> dict[str, Callable[..., Any]]:
    """Every function of the model as a generator function, by name."""
    names: dict[str, Any] = {name: getattr(requests, name) for name in vars(requests) if not name.startswith("_")}
    names = {f"_{name}": value for name, value in names.items()}
    names |= declared.constants()
    names |= {"event": lambda name: name in events, "index": index, "at": lambda struct, number: struct.element(number), "NULL": None}
    body: list[ast.stmt] = [Rewriter(function, declared).rewritten() for function in declared.functions.values()]
    exec(compile(ast.fix_missing_locations(ast.Module(body, [])), "<model>", "exec"), names)
    return {name: names[name] for name in declared.functions}


def mentions_cpu(function: Function, declared: Declared, seen: frozenset[str] = frozenset()) -> bool:
    """Whether a function, or one it calls, names ``current`` or ``this_cpu`` or changes a mask."""
    used = {node.id for node in ast.walk(function.node) if isinstance(node, ast.Name)}
    if used & {*AMBIENT, *MASKS, "enter"}:
        return True
    called = [declared.functions[name] for name in used - seen if name in declared.functions]
    return any(mentions_cpu(other, declared, seen | used) for other in called)


def accesses(code: ast.AST, declared: Declared, free: bool, seen: frozenset[str] = frozenset()) -> bool:
    """Whether an access stands in a piece of code, or in a function it calls; with ``free`` also one that needs no boundary."""
    for node in ast.walk(code):
        if isinstance(node, ast.Attribute):
            own = isinstance(node.value, ast.Name) and node.value.id == "this_cpu" and node.attr in {*requests.OWN, "current"}
            if (free or not own or not isinstance(node.ctx, ast.Load)) and not _is_member(node, declared):
                return True
        if free and isinstance(node, ast.Name) and node.id in AMBIENT:
            return True
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            name = node.func.id
            if name in MASKS or name in ("take", "release", "enter", "start", "wait_until"):
                return True
            called = declared.functions.get(name) if name not in seen else None
            if called and accesses(called.node, declared, free, seen | {name}):
                return True
    return False


def _is_member(node: ast.Attribute, declared: Declared) -> bool:
    """An enumeration's member."""
    return isinstance(node.value, ast.Name) and declared.is_enumeration(node.value.id)


class Rewriter:
    """Rewrites one function."""

    def __init__(self, function: Function, declared: Declared) -> None:
        self.function, self.declared = function, declared
        node = function.node
        stored = [n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
        self.locals = {*stored, *(a.arg for a in node.args.args)}
        self.out: list[ast.stmt] = []
        self.temps = self.most = self.counters = 0

    def rewritten(self) -> ast.FunctionDef:
        """The generator function's definition."""
        node = self.function.node
        first: list[ast.stmt] = [_statement("if False: yield")]
        if self.function.has("instruction"):
            first.append(ast.Expr(_stop("Begin", ast.Constant(accesses(node, self.declared, free=False)))))
        arguments = ast.arguments([], [ast.arg(a.arg) for a in node.args.args], None, [], [], None, [])
        body = [*first, *self.block(node.body)]
        return ast.copy_location(ast.FunctionDef(node.name, arguments, body, [], None), node)

    # Statements

    def block(self, body: Iterable[ast.stmt]) -> list[ast.stmt]:
        """The statements of a block, rewritten."""
        outer, self.out = self.out, []
        for node in body:
            getattr(self, f"do_{type(node).__name__}")(node)
            self.clear()
        done, self.out = self.out, outer
        return done or [ast.Pass()]

    def clear(self) -> None:
        """Forget the temporaries of the statement that has just been written."""
        if self.temps:
            self.out.append(ast.Assign([_name(f"_t{n}", ast.Store()) for n in range(self.temps)], ast.Constant(None), lineno=0))
        self.temps = 0

    def cleared(self, body: Iterable[ast.stmt]) -> list[ast.stmt]:
        """A block that begins by forgetting the temporaries of the condition above it."""
        count, self.temps = self.temps, 0
        forget = [ast.Assign([_name(f"_t{n}", ast.Store()) for n in range(count)], ast.Constant(None), lineno=0)] if count else []
        block: list[ast.stmt] = [*forget, *self.block(body)]
        self.temps = count
        return block

    def do_Pass(self, node: ast.Pass) -> None:
        self.out.append(ast.Pass())

    def do_Expr(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Call):
            self.out.append(ast.Expr(self.expression(node.value)))

    def do_Assign(self, node: ast.Assign) -> None:
        (target,) = node.targets
        if isinstance(target, ast.Tuple):
            assert isinstance(node.value, ast.Tuple)
            values = [self.temporary(self.expression(value)) for value in node.value.elts]
            for one, value in zip(target.elts, values, strict=True):
                self.store(one, value)
        else:
            self.store(target, self.expression(node.value))

    def do_AnnAssign(self, node: ast.AnnAssign) -> None:
        assert node.value is not None
        self.store(node.target, self.expression(node.value))

    def do_AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Name):
            value = self.expression(node.value)
            self.out.append(ast.AugAssign(node.target, node.op, value))
            return
        assert isinstance(node.target, ast.Attribute)
        element = self.temporary(self.expression(node.target.value))  # evaluated once
        old = self.temporary(_stop("Load", element, ast.Constant(node.target.attr)))
        new = ast.BinOp(old, node.op, self.expression(node.value))
        self.out.append(ast.Expr(_stop("Store", element, ast.Constant(node.target.attr), new)))

    def store(self, target: ast.expr, value: ast.expr) -> None:
        """An assignment to a name or a field."""
        if isinstance(target, ast.Name):
            self.out.append(ast.Assign([_name(target.id, ast.Store())], value, lineno=0))
            return
        assert isinstance(target, ast.Attribute)
        name = ast.Constant(target.attr)
        if self.is_ambient(target.value, "this_cpu"):
            self.out.append(ast.Expr(_stop("StoreHere", name, value)))
            return
        self.out.append(ast.Expr(_stop("Store", self.expression(target.value), name, value)))

    def do_If(self, node: ast.If) -> None:
        test = self.expression(node.test)
        self.out.append(ast.If(test, self.cleared(node.body), self.cleared(node.orelse)))
        self.meet(node)

    def do_While(self, node: ast.While) -> None:
        outer, self.out = self.out, [_statement("yield _Loop()")]
        self.meet(node)
        test = self.expression(node.test)
        self.out.append(ast.If(ast.UnaryOp(ast.Not(), test), self.cleared([ast.Break()]), []))
        round_, self.out = [*self.out, *self.cleared(node.body)], outer
        self.out.append(ast.While(ast.Constant(True), round_, []))

    def do_For(self, node: ast.For) -> None:
        assert isinstance(node.target, ast.Name) and isinstance(node.iter, ast.Call) and isinstance(node.iter.func, ast.Name)
        self.counters += 1
        at, end = f"_at{self.counters}", f"_end{self.counters}"
        if node.iter.func.id == "each":
            low, high, item = "0", f"{ast.unparse(node.iter.args[0])}.count", f"{ast.unparse(node.iter.args[0])}.elements[{at}]"
        else:
            bounds = [self.temporary(self.expression(a)) for a in node.iter.args]
            low, high, item = ("0" if len(bounds) == 1 else bounds[0].id), bounds[-1].id, at
        self.out.append(_statement(f"{at}, {end} = {low}, {high}"))
        head = [_statement(f"{node.target.id} = {item}"), _statement(f"{at} += 1")]
        meet = _statement("yield _Meet()" if accesses(node, self.declared, free=True) else "pass")
        self.out.append(ast.While(_expression(f"{at} < {end}"), [meet, *head, *self.cleared(node.body)], []))
        self.meet(node)
        self.out.append(_statement(f"{at} = {end} = None"))

    def meet(self, node: ast.AST) -> None:
        """Ways through a piece of code meet here."""
        if accesses(node, self.declared, free=True):
            self.out.append(_statement("yield _Meet()"))

    def do_Break(self, node: ast.Break) -> None:
        self.out.append(ast.Break())

    def do_Continue(self, node: ast.Continue) -> None:
        self.out.append(ast.Continue())

    def do_Return(self, node: ast.Return) -> None:
        self.out.append(ast.Return(self.expression(node.value) if node.value is not None else None))

    # Expressions: what comes back accesses nothing any more

    def temporary(self, value: ast.expr) -> ast.Name:
        """A new temporary that holds the value."""
        name = f"_t{self.temps}"
        self.temps += 1
        self.out.append(ast.Assign([_name(name, ast.Store())], value, lineno=0))
        return _name(name, ast.Load())

    def is_ambient(self, node: ast.expr, name: str) -> bool:
        """Whether the node is that ambient name, and not a local of the same name."""
        return isinstance(node, ast.Name) and node.id == name and name not in self.locals

    def expression(self, node: ast.expr) -> ast.expr:
        """An expression with its accesses taken out."""
        match node:
            case ast.Constant():
                return node
            case ast.Name():
                return self._name(node)
            case ast.Attribute():
                return self._attribute(node)
            case ast.BinOp():
                left = self.expression(node.left)
                return ast.BinOp(left, node.op, self.expression(node.right))
            case ast.UnaryOp():
                return ast.UnaryOp(node.op, self.expression(node.operand))
            case ast.Compare():
                left = self.expression(node.left)
                return ast.Compare(left, node.ops, [self.expression(c) for c in node.comparators])
            case ast.BoolOp():
                return self._joined(node)
            case ast.IfExp():
                return self._either(node)
            case ast.Call():
                return self._call(node)
        raise NoMeaning(ast.unparse(node))

    def _name(self, node: ast.Name) -> ast.expr:
        if self.is_ambient(node, "current"):
            return self.temporary(_stop("Current"))
        if self.is_ambient(node, "this_cpu"):
            return self.temporary(_stop("ThisCpu"))
        return node

    def _attribute(self, node: ast.Attribute) -> ast.expr:
        if isinstance(node.value, ast.Name) and node.value.id not in self.locals and _is_member(node, self.declared):
            return node
        name = ast.Constant(node.attr)
        if self.is_ambient(node.value, "this_cpu"):
            return self.temporary(_stop("LoadHere", name))
        return self.temporary(_stop("Load", self.expression(node.value), name))

    def _aside(self, node: ast.expr, target: ast.Name) -> list[ast.stmt]:
        """Statements that evaluate an expression into a temporary."""
        outer, self.out = self.out, []
        value = self.expression(node)
        self.out.append(ast.Assign([_name(target.id, ast.Store())], value, lineno=0))
        done, self.out = self.out, outer
        return done

    def _joined(self, node: ast.BoolOp) -> ast.expr:
        result = self.temporary(self.expression(node.values[0]))
        for value in node.values[1:]:
            more = self._aside(value, result)
            test: ast.expr = result if isinstance(node.op, ast.And) else ast.UnaryOp(ast.Not(), result)
            self.out.append(ast.If(test, more, []))
            self.meet(value)
        return result

    def _either(self, node: ast.IfExp) -> ast.expr:
        test = self.temporary(self.expression(node.test))
        yes, no = self._aside(node.body, test), self._aside(node.orelse, test)
        self.out.append(ast.If(test, yes, no))
        self.meet(node)
        return test

    def _call(self, node: ast.Call) -> ast.expr:
        assert isinstance(node.func, ast.Name)
        name = node.func.id
        if name in self.declared.functions:
            arguments = [self.expression(a) for a in node.args]
            result = self.temporary(ast.YieldFrom(ast.Call(_name(name, ast.Load()), arguments, [])))
            self.meet(node)
            return result
        if name in PURE:
            return ast.Call(node.func, [self.expression(a) for a in node.args], [])
        if name in MASKS:
            return self.temporary(_stop("Mask", *(ast.Constant(v) for v in MASKS[name])))
        if name in REQUESTS:
            return self.temporary(_stop(REQUESTS[name], *(self.expression(a) for a in node.args)))
        return getattr(self, f"_call_{name}")(node)  # type: ignore[no-any-return]

    def _call_maybe(self, node: ast.Call) -> ast.expr:
        return self.temporary(_stop("Choose", ast.Constant((False, True))))

    def _call_happens(self, node: ast.Call) -> ast.expr:
        possible = ast.Call(_name("event", ast.Load()), [node.args[0]], [])
        answer = self.temporary(_stop("Happens", node.args[0], possible))
        self.out.append(ast.If(answer, [ast.Expr(_stop("Occurs", node.args[0]))], []))
        return answer

    def _call_crash(self, node: ast.Call) -> ast.expr:
        return self.temporary(_stop("Crash"))

    def _call_repeated(self, node: ast.Call) -> ast.expr:
        return self.temporary(_stop("Reached", node.args[0], ast.Constant(True)))

    def _call_check(self, node: ast.Call) -> ast.expr:
        return self.temporary(_stop("Check", node.args[0], self.expression(node.args[1])))

    def _call_unreachable(self, node: ast.Call) -> ast.expr:
        return self.temporary(_stop("Require", ast.Constant(False)))

    def _call_enter(self, node: ast.Call) -> ast.expr:
        return self.temporary(_stop("Enter", ast.Constant(ast.unparse(node.args[0]))))

    def _call_start(self, node: ast.Call) -> ast.expr:
        task = self.expression(node.args[0])
        return self.temporary(_stop("Enter", ast.Constant(ast.unparse(node.args[1])), task, ast.Constant(True)))

    def _call_wait_until(self, node: ast.Call) -> ast.expr:
        asleep = len(node.args) == 1 or ast.literal_eval(node.args[1]) == "sleep"
        if asleep:
            self.out.append(_statement("yield _SleepCheck()"))
        self.out.append(ast.Expr(_stop("Pause", ast.Constant(asleep), ast.Constant(True))))
        return self.temporary(_stop("Waited", self.expression(node.args[0])))


def _name(name: str, context: ast.expr_context) -> ast.Name:
    return ast.Name(name, context)


def _stop(name: str, *arguments: ast.expr) -> ast.Yield:
    return ast.Yield(ast.Call(_name(f"_{name}", ast.Load()), list(arguments), []))


def _statement(text: str) -> ast.stmt:
    return ast.parse(text).body[0]


def _expression(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body
