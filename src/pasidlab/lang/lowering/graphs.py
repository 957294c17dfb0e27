"""Strongly connected components of a graph of a program's places."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def components(sources: Sequence[int], targets: Sequence[int], size: int) -> NDArray[np.int32]:
    """The number of each place's component; edge n leads from ``sources[n]`` to ``targets[n]``, places count from 0.

    SciPy is imported here and not above: `pasidlab run` compiles functions without it, and saves 25 MB and its loading.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    matrix = csr_array((np.ones(len(sources), dtype=np.int8), (np.asarray(sources), np.asarray(targets))), shape=(size, size))
    _, label = connected_components(matrix, directed=True, connection="strong")
    return np.asarray(label, dtype=np.int32)
