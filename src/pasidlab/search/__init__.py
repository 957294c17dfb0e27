"""Explores every state that a successor function reaches. Knows nothing of languages, kernels or devices: usable alone."""
