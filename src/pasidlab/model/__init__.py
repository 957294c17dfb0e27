"""The machine and the kernel around a design, and what is asked of both."""
