"""The clock of a medium, repaired."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sources.clock import MediaClock


@given(st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6)), min_size=2), st.one_of(st.none(), st.floats(0, 100)))
def test_the_clock_always_goes_forward(raws, gap):
    clock = MediaClock(None, 0.04, 1e-3, gap)
    stamps = [clock.stamp(raw) for raw in raws]
    assert stamps[0] == 0
    assert all(later > earlier for earlier, later in itertools.pairwise(stamps))


@pytest.mark.parametrize(
    ("raws", "expected"),
    [
        ([5, 5.1, 5.2], [0, 0.1, 0.2]),
        ([0, 0, 0.1, 0.1, 0.2], [0, 0.001, 0.1, 0.101, 0.2]),  # a repeat delays nothing that follows
        ([0, 0.1, 0.05, 0.2], [0, 0.1, 0.101, 0.2]),
        ([None, None, 7, 7.1], [0, 0.1, 0.2, 0.3]),
        ([0, None, 0.2], [0, 0.1, 0.2]),
        ([100, 100.1, 3, 3.1], [0, 0.1, 0.2, 0.3]),  # the camera restarted
        ([0, 0.1, 500, 500.1], [0, 0.1, 0.2, 0.3]),  # the camera set its clock
        ([0, 0.1, 9, 9.1], [0, 0.1, 9, 9.1]),  # the picture stood still
    ],
)
def test_repairs_of_the_clock(raws, expected):
    clock = MediaClock(None, 0.1, 0.001, longest_gap=60)
    assert [clock.stamp(raw) for raw in raws] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("raws", "expected"),
    [
        ([5, 5.1, 5.2], [0, 0.1, 0.2]),
        ([0, 0.1, 0.1, 0.2], [0, 0.1, 0.101, 0.2]),  # a repeat delays nothing that follows
        ([0, 0.1, 9, 9.1], [0, 0.1, 0.2, 0.3]),  # a camera's clock was set while time went on
        ([9, 9.1, 3, 3.1], [0, 0.1, 0.2, 0.3]),
        ([0, 0.1, None, 0.3], [0, 0.1, 0.2, 0.3]),
    ],
)
def test_a_live_clock_is_held_against_real_time(raws, expected):
    clock = MediaClock(None, 0.1, 0.001, longest_gap=60)
    times = [clock.stamp(raw, 0.1 if index else None) for index, raw in enumerate(raws)]
    assert times == pytest.approx(expected)


def test_a_live_clock_believes_a_gap_that_was_one():
    clock = MediaClock(None, 0.1, 0.001, longest_gap=60)
    assert [clock.stamp(0), clock.stamp(0.1, 0.1), clock.stamp(90, 89.9)] == pytest.approx([0, 0.1, 90])


def test_a_live_clock_goes_on_where_the_cameras_stands_still():
    clock = MediaClock(None, 0.1, 0.001, longest_gap=60)
    times = [clock.stamp(7, 0.1 if index else None) for index in range(101)]
    assert times[-1] == pytest.approx(10, abs=1.2)
    assert all(later > earlier for earlier, later in itertools.pairwise(times))
