"""Who belongs to whom: the pairing of two sets that gains most."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment


def match(gains: NDArray[np.float32]) -> list[tuple[int, int]]:
    """Pairs that maximise the summed gain (Hungarian algorithm); pairs without gain stay unmatched.

    Args:
        gains: ``(N, M)``, 0 where a pair is not allowed.
    """
    rows, columns = linear_sum_assignment(gains, maximize=True)
    return [(int(r), int(c)) for r, c in zip(rows, columns, strict=True) if gains[r, c] > 0]
