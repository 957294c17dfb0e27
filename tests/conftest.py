"""What all tests share."""

import gc

gc.set_threshold(50_000, 20, 50)
"""Models are millions of small objects without circles: Python looks for circles among them less often."""
