"""Changes of a function that mean nothing by the rules of C, so whatever the model has of it: both texts have one form.

The form leaves out brackets, braces around one statement, hints (``likely()``) and names of locals. Of an
``if`` with an ``else`` both may change places with the condition negated. ``false`` is 0 and so is ``NULL`` where
it is assigned, compared or returned; ``x == 0`` is ``!x``; ``x != 0`` is ``x`` where only its truth counts. A pointer that is
declared for the condition that follows, and for nothing else, is what it is given. ``guard()`` and
``scoped_guard()`` are the calls at both ends of their scope (linux/cleanup.h). Whatever else differs is a change.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

from tree_sitter import Node

from pasidlab.designs.intake.for_condition import for_conditions
from pasidlab.lang.c.conditions import constant
from pasidlab.lang.c.declarators import text_of
from pasidlab.lang.c.parse import syntax
from pasidlab.lang.c.vocabulary import vocabulary

Form = tuple[object, ...]
_ZERO: Form = ("0",)
_HINTS = ("inline", "__always_inline", "noinline")
_SCOPED = "__scoped_guard"


class _Differs(Exception):
    """A construct without a form: whatever stands there counts as changed."""


def means_the_same(was: str, now: str) -> bool:
    """True if two texts of a function mean the same by the rules of C."""
    if was == now:
        return True
    try:
        return _form(was) == _form(now)
    except _Differs:
        return False


def _form(text: str) -> Form:
    """The form of a function."""
    text = re.sub(r"\bscoped_guard\s*\(([^()]*)\)", rf"while ({_SCOPED}(\1))", text)
    root = syntax(re.sub(r"(?m)^(\s*(?:asm|__asm__)\b.*);$", lambda one: f"__assembler({json.dumps(one.group(1))});", text))
    if root.has_error:
        raise _Differs
    return _Forms(root).of(root)


class _Forms:
    """Forms of the nodes of one function. Locals are numbered as they are declared, each in its block."""

    def __init__(self, root: Node) -> None:
        self.scopes: list[dict[str, str]] = [{}]
        self.declared = 0
        self.given = for_conditions(root)
        types = (text_of(node.child_by_field_name("type")) for node in _inside(root) if node.type == "function_definition")
        self.truthful = "bool" in types  # the function returns a bool

    def of(self, node: Node) -> Form:
        """The form of a node. What a block, a loop or a function declares is known up to its end."""
        if node.type not in ("compound_statement", "for_statement", "function_definition"):
            return self._form(node)
        self.scopes.append({})
        found = self._form(node)
        self.scopes.pop()
        return found

    def _name(self, node: Node) -> Form:
        """An identifier: what it stands for, the number of a local, or a name of all the file."""
        name = text_of(node)
        if name in self.given.values:
            return self.of(self.given.values[name])
        return (next((scope[name] for scope in reversed(self.scopes) if name in scope), name),)

    def _declaration(self, node: Node) -> Form:
        """A declaration. A variable that is static is told apart: its value outlives the function."""
        sort = "static %" if any(one.type == "storage_class_specifier" and text_of(one) == "static" for one in node.children) else "%"
        found: list[Form] = []
        for n, one in enumerate(node.children):
            name = _declared(one) if node.field_name_for_child(n) == "declarator" else ""
            if name:
                self.scopes[-1][name] = f"{sort}{self.declared}"
                self.declared += 1
            if one.type != "comment":
                found.append(self.of(one))
        return (node.type, *found)

    def _form(self, node: Node) -> Form:
        match node.type:
            case "parenthesized_expression" if _is_mere_bracket(node):
                return self.of(_named(node)[0])
            case "identifier":
                return self._name(node)
            case "declaration" | "parameter_declaration":
                return self._declaration(node)
            case "number_literal" | "true" | "false":
                return _number(text_of(node))
            case "unary_expression" if text_of(node.child_by_field_name("operator")) == "!":
                return _negated(self._field(node, "argument"))
            case "binary_expression":
                return self._binary(node)
            case "call_expression" if text_of(node.child_by_field_name("function")) in ("likely", "unlikely"):
                return _truth_of(self.of(_named(node.children[1])[0]))
            case "assignment_expression" | "init_declarator":
                return self._each(node, zero=True)
            case "compound_statement":
                return ("block", *self.statements(_named(node)))
            case "return_statement":
                return self._returned(node)
            case "if_statement" | "while_statement" | "do_statement" | "for_statement" | "conditional_expression" | "else_clause":
                return self._branches(node)
        return self._each(node) if node.child_count else (text_of(node),)

    def _each(self, node: Node, zero: bool = False) -> Form:
        """A node by its parts. ``zero``: NULL among them is 0."""
        inner = [one for one in node.children if one.type != "comment" and text_of(one) not in _HINTS]
        return (node.type, *(_ZERO if zero and _is_null(one) else self.of(one) for one in inner))

    def _field(self, node: Node, name: str) -> Form:
        found = node.child_by_field_name(name)
        if found is None:
            raise _Differs
        return _ZERO if _is_null(found) else self.of(found)

    def _binary(self, node: Node) -> Form:
        operator = text_of(node.child_by_field_name("operator"))
        if operator not in ("==", "!=", "&&", "||"):
            return self._each(node)
        left, right = self._field(node, "left"), self._field(node, "right")
        if operator in ("&&", "||"):
            return (operator, _truth(left), _truth(right))
        if _ZERO in (left, right):
            other = right if left == _ZERO else left
            return _negated(other) if operator == "==" else _truth_of(other)
        return (operator, left, right)

    def _branches(self, node: Node) -> Form:
        """What depends on a condition: of the condition its truth counts, and braces around one statement do not."""
        found: list[Form] = []
        for n, one in enumerate(node.children):
            if one.type == "comment":
                continue
            name = node.field_name_for_child(n)
            if name == "condition":
                found.append(_truth(self.of(one)) if not _is_its_value(node) else self.of(one))
            elif one.type.endswith("statement") and node.type != "conditional_expression":
                found.append(("block", *self.statements([one])))
            else:
                found.append(self.of(one))
        return _turned((node.type, *found))

    def _returned(self, node: Node) -> Form:
        (value,) = _named(node) or (None,)
        if value is None:
            return ("return",)
        form = _ZERO if _is_null(value) else self.of(value)
        return ("return", _truth(form) if self.truthful else form)

    def statements(self, nodes: Sequence[Node]) -> list[Form]:
        """Statements in turn: blocks without declarations stand for what is in them, guards for calls at both ends."""
        found: list[Form] = []
        for n, node in enumerate(nodes):
            if node.type == "compound_statement" and not any(map(_declares, _named(node))):
                found += self.statements(_named(node))
            elif node.id in self.given.declarations:
                continue
            elif (guard := _guarded(node)) is not None:
                inner = nodes[n + 1 :] if node.type == "expression_statement" else [node.children[-1]]
                found += self._scope(guard, inner)
                if node.type == "expression_statement":
                    break
            elif text_of(node) != ";":
                found.append(self.of(node))
        return found

    def _scope(self, guard: tuple[str, str], nodes: Sequence[Node]) -> list[Form]:
        """The calls of a guard around the statements of its scope."""
        if any(one.type in ("goto_statement", "break_statement", "continue_statement") for node in nodes for one in _inside(node)):
            raise _Differs
        take, give = (self.of(syntax(f"{call};").named_children[0]) for call in guard)
        rest = [one for form in self.statements(nodes) for one in self._given_back(form, give)]
        return [take, *rest] if rest and rest[-1][0] == "return" else [take, *rest, give]

    def _given_back(self, form: Form, give: Form) -> Iterator[Form]:
        """A statement of the scope: before it returns, the guard is given back. What is returned must not depend on which comes first."""
        if form[0] in _NESTING:
            inner = (inner for one in form[1:] if isinstance(one, tuple) for inner in self._given_back(one, give))
            yield (form[0], *inner)
            return
        if form[0] == "return":
            if len(form) > 1 and not self._is_settled(form[1]):
                raise _Differs
            yield give
        elif _returns(form):
            raise _Differs
        yield form

    @staticmethod
    def _is_settled(form: object) -> bool:
        """True for a local, a number, the name of an error."""
        match form:
            case ("0",) | ("number", _, _):
                return True
            case ("unary_expression", ("-",), (str(name),)):
                return name.isupper()
            case (str(name),):
                return name.startswith("%")  # a local whose value goes with the function
        return False


def _returns(form: object) -> bool:
    return isinstance(form, tuple) and (form[:1] == ("return",) or any(map(_returns, form)))


_NESTING = (
    "block", "if_statement", "else_clause", "while_statement", "for_statement", "do_statement", "switch_statement", "case_statement",
    "labeled_statement",
)  # fmt: skip


def _guarded(node: Node) -> tuple[str, str] | None:
    """The calls at both ends of the scope of a guard; None for other statements."""
    text = "".join(text_of(node).split()) if node.type == "expression_statement" else ""
    if node.type == "while_statement":
        condition = "".join(text_of(node.child_by_field_name("condition")).split())
        match = re.fullmatch(rf"\({_SCOPED}\((\w+),?(&?\w+)?\)\)", condition)
        if match is None and _SCOPED in condition:
            raise _Differs
    else:
        match = re.fullmatch(r"guard\((\w+)\)\((&?\w+)?\);", text)
        if match is None and text.startswith("guard("):
            raise _Differs
    if match is None:
        return None
    take, give = vocabulary().guards.get(match.group(1), ("=", ""))
    if take.startswith("=") or take in vocabulary().guards:
        raise _Differs
    return f"{take}({match.group(2) or ''})", f"{give}({match.group(2) or ''})"


def _turned(form: Form) -> Form:
    """``if (!x) f(); else g();`` is ``if (x) g(); else f();``."""
    match form:
        case ("if_statement", word, ("!", condition), ("block", *one), ("else_clause", other, ("block", *two))):
            return ("if_statement", word, condition, ("block", *two), ("else_clause", other, ("block", *one)))
    return form


def _negated(form: Form) -> Form:
    """``!x``."""
    inner = _truth(form)
    return ("!!", inner[1]) if inner[0] == "!" else ("!", inner)


def _truth_of(form: Form) -> Form:
    """``x != 0``, where its value counts: 0 or 1."""
    inner = _truth(form)
    return inner if inner[0] == "!" else ("!!", inner)


def _truth(form: Form) -> Form:
    """A form of which only the truth counts."""
    return form[1] if form[0] == "!!" and isinstance(form[1], tuple) else form


def _number(text: str) -> Form:
    """A constant by its value and its type."""
    found = constant({"true": "1", "false": "0"}.get(text, text))
    if found is None:  # with a sign, which the grammar takes for a part of it
        return ("number", text, "")
    value, type_ = found
    return _ZERO if not value and str(type_) == "int" else ("number", value, str(type_))


def _is_null(node: Node) -> bool:
    while node.type == "parenthesized_expression" and len(_named(node)) == 1:
        node = _named(node)[0]
    return text_of(node) == "NULL"


def _is_mere_bracket(node: Node) -> bool:
    """True for brackets that change nothing: neither those of ``({ })`` nor those that keep a macro from being one."""
    found = _named(node)
    called = node.parent is not None and node.parent.child_by_field_name("function") == node
    return len(found) == 1 and found[0].type != "compound_statement" and not called


def _is_its_value(node: Node) -> bool:
    """True for ``x ?: y``: the condition is the value."""
    return node.type == "conditional_expression" and node.child_by_field_name("consequence") is None


def _declares(node: Node) -> bool:
    """True for a declaration, and for a macro that is one, with a destructor maybe: ``CLASS(fd, f)(n);``. A guard is known by itself."""
    call = node.named_children[0] if node.type == "expression_statement" and node.named_children else None
    function = call.child_by_field_name("function") if call is not None and call.type == "call_expression" else None
    return node.type == "declaration" or (function is not None and function.type == "call_expression" and _guarded(node) is None)


def _named(node: Node) -> list[Node]:
    return [one for one in node.named_children if one.type != "comment"]


def _inside(node: Node) -> Iterator[Node]:
    """A node, and all below it, in the order of the text."""
    yield node
    for one in node.children:
        yield from _inside(one)


def _declared(node: Node) -> str:
    """The name that a declarator declares; empty for that of a function."""
    inner: Node | None = node
    while inner is not None and inner.type != "identifier":
        if inner.type == "function_declarator":
            return ""
        inner = inner.child_by_field_name("declarator")
    return text_of(inner)
