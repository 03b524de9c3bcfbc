"""Who belongs to whom: the pairing of two sets that gains most."""

from __future__ import annotations

from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray


def match(gains: NDArray[np.float32]) -> list[tuple[int, int]]:
    """Pairs that maximise the summed gain (Hungarian algorithm); pairs without gain stay unmatched.

    Args:
        gains: ``(N, M)``, 0 where a pair is not allowed.
    """
    rows, columns = linear_sum_assignment(gains, maximize=True)
    return [(int(r), int(c)) for r, c in zip(rows, columns, strict=True) if gains[r, c] > 0]


def _solver() -> Any:
    """`scipy.optimize.linear_sum_assignment`; the extension that it is in, without the package, which takes 0.5 s."""
    found = PathFinder.find_spec("scipy.optimize._lsap", [f"{folder}/optimize" for folder in scipy.__path__])
    if found is None or found.loader is None:  # another SciPy
        from scipy.optimize import linear_sum_assignment

        return linear_sum_assignment
    module = module_from_spec(found)
    found.loader.exec_module(module)
    return module.linear_sum_assignment


linear_sum_assignment = _solver()
