"""Lowered models kept between runs: lowering one takes a second or two, reading it back some hundredths.

Three things determine a lowered model: the texts it is made of, what is asked of the compiler, and the compiler's own text. A model is
kept under a checksum of all three. Models with functions that were compiled elsewhere (out of C) are not kept.
"""

from __future__ import annotations

import hashlib
import pickle
import zlib
from collections.abc import Iterable

from pasidlab.lang import cache, source
from pasidlab.lang.functions import ARRIVALS
from pasidlab.lang.ir import Model, Property
from pasidlab.lang.lowering.lower import build_model
from pasidlab.lang.scope import Bounds

SUFFIX = ".model"
QUICKLY = 1  # zlib's level: a fifth of the size in a hundredth of a second


def kept_or_built(
    name: str, files: Iterable[source.File], bounds: Bounds, properties: tuple[Property, ...], *, whole: source.File,
    fixed: frozenset[str] = frozenset(), merged: bool = True, optimised: bool = True, local_first: bool = False,
) -> Model:  # fmt: skip
    """What ``build_model`` makes of the same arguments; ``whole`` is one of the files. Raises what ``build_model`` raises."""
    texts = [_text(file) for file in files]
    asked = (
        name, sorted(bounds.sizes.items()), sorted(bounds.events), sorted(bounds.limits.items()), sorted(bounds.known or ()),
        bounds.known is None, properties, str(whole), sorted(fixed), merged, optimised, local_first,
    )  # fmt: skip
    compiler = cache.fingerprint("errors.py", "lang")
    key = hashlib.sha256(compiler + repr((asked, _text(ARRIVALS), texts)).encode()).digest()
    if stored := cache.kept(key, SUFFIX):
        found = pickle.loads(zlib.decompress(stored))
        assert isinstance(found, Model)
        return found
    model = build_model(
        name, texts, bounds, properties, merged=merged, optimised=optimised, local_first=local_first,
        whole=next(text for text in texts if text.name == str(whole)), fixed=fixed,
    )  # fmt: skip
    cache.keep(key, SUFFIX, zlib.compress(pickle.dumps(model), QUICKLY))
    return model


def _text(file: source.File) -> source.Text:
    """The file as it is now: what is lowered is what the key is of, whatever happens to the file meanwhile."""
    return file if isinstance(file, source.Text) else source.Text(str(file), source.read_text(file))
