"""The JSON Schemas of the documents pasidlab prints, kept beside this file under the name and version of each.

A version only ever gains fields. Any other change makes a new version.
"""

from __future__ import annotations

from importlib.resources import files

VERSIONS = {"check": 1, "path": 1, "designs": 1, "zoo": 1, "proof": 1}
"""Document -> the version that is printed."""


def identifier(document: str) -> str:
    """What a document says it follows: the ``$id`` of its schema."""
    return f"urn:pasidlab:{document}:{VERSIONS[document]}"


def schema_text(document: str) -> str:
    """The schema of a document, JSON Schema 2020-12."""
    return files("pasidlab.report").joinpath("schemas", f"{document}-{VERSIONS[document]}.json").read_text(encoding="utf-8")
