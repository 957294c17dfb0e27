"""Scope, properties and the search of every state: what `pasidlab check` does."""
