"""Holds a document to its published schema."""

from __future__ import annotations

import json
from typing import Any

import jsonschema

from pasidlab.report.schema import VERSIONS, schema_text


def strict(schema: Any) -> Any:
    """The schema, without the fields that a later tool may add: a field that is printed but not described is a mistake here."""
    if isinstance(schema, list):
        return [strict(entry) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: strict(value) for key, value in schema.items()}
    return made | {"additionalProperties": False} if "properties" in made and made.get("type") == "object" else made


def valid(document: Any, name: str) -> None:
    schema = json.loads(schema_text(name))
    jsonschema.Draft202012Validator.check_schema(schema)
    assert document["schema"] == schema["$id"] == f"urn:pasidlab:{name}:{VERSIONS[name]}"
    jsonschema.Draft202012Validator(schema).validate(document)
    jsonschema.Draft202012Validator(strict(schema)).validate(document)
