"""Restricted Python to the IR."""
