"""The median of what was seen: flicker leaves no trace, a walk does."""

import numpy as np
import pytest

from streaming.zones.path import MOST_SIGHTINGS, Path


def followed(rate, sightings):
    path, found = Path(1), []
    for index, value in enumerate(sightings):
        path.add(index / rate, np.array([float(value)]))
        if path.known:
            time, row = path.now()
            found.append((time, row[0]))
    return path, found


@pytest.mark.parametrize(("rate", "frames"), [(1, 1), (5, 1), (10, 2), (15, 3), (30, 6), (60, 12), (240, 12)])
def test_flicker_leaves_no_trace(rate, frames):
    _, found = followed(rate, [0] * 40 + [9] * frames + [0] * 40)
    assert found
    assert {value for _, value in found} == {0.0}


@pytest.mark.parametrize("rate", [1, 5, 12.5, 30, 60])
def test_a_steady_walk_is_half_a_window_late(rate):
    path, found = followed(rate, range(100))
    for time, value in found[5:]:
        assert value == pytest.approx(time * rate)
    late = 99 / rate - found[-1][0]
    assert late == pytest.approx(max(0.25, 1 / rate), abs=1 / rate)
    assert path.first()[0] == path.times[0]
    assert path.last()[0] == 99 / rate
    assert len(path.times) <= MOST_SIGHTINGS


def test_a_path_begins_with_three_sightings_and_a_quarter_of_a_second():
    assert not followed(1, range(2))[0].known
    assert followed(1, range(3))[0].known
    assert not followed(30, range(8))[0].known
    assert followed(30, range(9))[0].known
    assert followed(240, range(MOST_SIGHTINGS))[0].known
