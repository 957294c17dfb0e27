"""The kernel around a design, in the protocol of v6.12, under the kernel's own function names."""
