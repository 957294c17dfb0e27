"""Kernel C -> IR: functions in C replace functions of the kernel around a design by name."""

from pasidlab.lang.c.link import Program, link, load, parse_source, program
from pasidlab.lang.c.tokens import Source
from pasidlab.lang.c.unknown import Stub, read_stubs

__all__ = ["Program", "Source", "Stub", "link", "load", "parse_source", "program", "read_stubs"]
