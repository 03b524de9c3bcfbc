"""Pairs that gain most, by SciPy's solver alone."""

import numpy as np
import scipy.optimize

from trackers import assignment


def test_pairs_are_scipys():
    random = np.random.default_rng(3)
    for _ in range(50):
        shape = random.integers(0, 7, 2)
        gains = (random.random(shape) * (random.random(shape) < 0.6)).astype(np.float32)
        rows, columns = scipy.optimize.linear_sum_assignment(gains, maximize=True)
        expected = [(r, c) for r, c in zip(rows, columns, strict=True) if gains[r, c] > 0]
        assert assignment.match(gains) == expected


def test_another_scipy_is_asked_for_the_whole(monkeypatch):
    monkeypatch.setattr("scipy.__path__", ["/nowhere"])
    assert assignment._solver() is scipy.optimize.linear_sum_assignment
