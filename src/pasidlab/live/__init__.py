"""Runs real programs: process control, a fake device tree, and ENQCMD carried out on the program's own memory."""
