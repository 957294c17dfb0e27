"""Scopes, the exploration of designs and what they find: what ``pasidlab check`` does."""
