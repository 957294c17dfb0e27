"""Kernel C -> IR: functions in C replace functions of the kernel around a design by name."""
