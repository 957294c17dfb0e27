"""memcpy() and memset(): of xstate images of the model, and of structs and arrays that the function has for itself."""

from __future__ import annotations

import ast

from tree_sitter import Node

from pasidlab.errors import PasidlabError
from pasidlab.lang.c.calls import Calls, Operation, takes
from pasidlab.lang.c.ctype import Array, Integer
from pasidlab.lang.c.parse import plain
from pasidlab.lang.c.values import Place, Value
from pasidlab.lang.types import Ref


def _memcpy(x: Calls, arguments: list[Node], node: Node) -> Value:
    """An image is copied in the order of its addresses, legacy region, header, extended region: who looks meanwhile sees a part."""
    to, source, length = takes(x, arguments, 3, node, "memcpy")
    value, at = x.value(to), x.at(node)
    if (own := _own(value)) is not None:
        _of_length(x, own, length)
        _copied(x, own, x.value(source), node)
        return value
    header = _whole(x, value, to, length)
    dst = _image(x, value, to)
    if plain(source).startswith("&init_fpstate"):
        x.template.run("reset_header(x)", {"x": dst}, at)
        return value
    given = x.value(source)
    if not header and _is_part(x, length):
        what = f"memcpy() of an image with the length '{plain(length)[:40]}', which is that of its beginning"
        raise PasidlabError(what, position=at, hint=f"sizeof(*dst), {', '.join(sorted(x.vocabulary.sizes))}")
    if not given.unknown and header != (given.view == _HEADER):
        raise PasidlabError(f"memcpy() of a {given.view} to a {value.view}", position=x.at(node), hint="each member alone")
    src = _image(x, given, source)
    names = {"x": dst, "y": src, "a": ast.Name(x.template.fresh("bit")), "b": ast.Name(x.template.fresh("bit"))}
    if not header:
        x.template.run("x.image_user = y.image_user", names, at)
    x.template.run("a = y.bv_user; b = y.bv_pasid", names, at, atomic=True)
    x.template.run("x.bv_user = a; x.bv_pasid = b", names, at, atomic=True)
    if not header:
        x.template.run("x.image_pasid = y.image_pasid", names, at)
    return value


def _memset(x: Calls, arguments: list[Node], node: Node) -> Value:
    to, byte, length = takes(x, arguments, 3, node, "memset")
    value = x.value(to)
    if value.opaque:
        return value  # what is not modelled
    own = _own(value)
    header = own is None and _whole(x, value, to, length)
    if own is not None:
        _of_length(x, own, length)
    if x.value(byte).operand != 0:
        raise PasidlabError("memset() with something else than 0", position=x.at(byte))
    if own is not None:
        x.clear(own, node)
    else:
        image = {"x": _image(x, value, to)}
        x.template.run("reset_header(x)", image, x.at(node))
        if not header and not _is_part(x, length):
            x.template.run("x.image_pasid = 0", image, x.at(node))
    return value


# ---- images


_IMAGES = ("fpstate", "fpregs_state", "xregs_state", "xsave_struct")
"""Structs that are a whole image, or end with one (asm/fpu/types.h; xsave_struct to v4.1)."""
_HEADER = "xstate_header"


def _is_part(x: Calls, length: Node) -> bool:
    """True for the length of the beginning of an image."""
    return plain(length) in x.vocabulary.part_sizes or x.struct_of_size(length) in x.vocabulary.part_structs


def _whole(x: Calls, value: Value, pointer: Node, length: Node) -> bool:
    """A place and a length must be those of an image, or of a header: of other parts the model has no bytes. Whether it is a header."""
    if value.unknown:
        return False
    text = plain(length)
    named = text in x.vocabulary.sizes | x.vocabulary.part_sizes or text.rpartition(">")[2].rpartition(".")[2] in x.vocabulary.sizes
    size = x.struct_of_size(length)
    if value.view == _HEADER and size == _HEADER:
        return True
    if value.view not in _IMAGES:
        what = f"'{plain(pointer)[:40]}' is {f'a {value.view}' if value.view else value.type}: a part of an image, or no image"
        raise PasidlabError(what, position=x.at(pointer), hint="each member alone")
    if not named and size not in _IMAGES:
        raise PasidlabError(
            f"'{text[:40]}' as the length of an image", position=x.at(length), hint=f"sizeof(*dst), {', '.join(sorted(x.vocabulary.sizes))}"
        )
    return False


def _image(x: Calls, value: Value, node: Node) -> ast.expr:
    if value.unknown or not isinstance(value.domain, Ref) or value.domain.struct != "Task" or value.view in ("", "task_struct"):
        raise PasidlabError(f"'{plain(node)[:40]}' is no xstate image that the model has", position=x.at(node))
    return x.argument(value, value.domain, x.at(node))


# ---- the function's own structs and arrays


def _own(value: Value) -> Place | None:
    """The variable that a pointer leads to, if it is one of the function's own."""
    place = value.place
    return place if place is not None and (place.aggregate is not None or place.variable is not None) else None


def _of_length(x: Calls, place: Place, length: Node) -> None:
    """A length must be that of the whole."""
    size, given = x.size_of_type(place.type), x.value(length)
    if size is None or given.operand != size:
        what = f"'{plain(length)[:40]}' is not the length of a whole {place.type}"
        raise PasidlabError(what, position=x.at(length), hint="its sizeof; or each part alone")


def _copied(x: Calls, to: Place, value: Value, node: Node) -> None:
    source = _own(value)
    if source is None or source.type != to.type:
        raise PasidlabError(f"memcpy() of something that is no {to.type} of this function", position=x.at(node), hint="each part alone")
    _each(x, to, source, node)


def _each(x: Calls, to: Place, source: Place, node: Node) -> None:
    if isinstance(to.type, Array) and to.aggregate is not None:
        for number in range(to.type.count or 0):
            _each(x, x.element_numbered(to, number), x.element_numbered(source, number), node)
    elif isinstance(to.type, Integer) or to.aggregate is not None:
        x.store(to, x.load(source, node), node)
    else:
        raise PasidlabError(f"memcpy() of a {to.type}", position=x.at(node), hint="an assignment")


MEMORY: dict[str, Operation] = {"memcpy": _memcpy, "memset": _memset}
"""By their names in C."""
