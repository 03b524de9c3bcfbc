"""A highest rate: which frames are left out, and where their sound goes."""

from dataclasses import replace
from fractions import Fraction

import pytest

from streaming.pipeline.thinning import ThinnedSource
from tests.frames import frame
from tests.pipelines import Frames


class Timed(Frames):
    """Frames at these times, each with a packet of sound of its own where it is said."""

    def __init__(self, times, sound=()):
        super().__init__(len(times))
        self.times, self.sound = times, sound

    def __iter__(self):
        for index, pts in enumerate(self.times):
            yield replace(frame(index, pts=pts), audio=(index,) if index in self.sound else ())


def kept(times, rate, sound=()):
    return [(one.index, one.audio) for one in ThinnedSource(Timed(times, sound), rate)]


@pytest.mark.parametrize(
    ("fps", "rate", "every"), [(30, 10, 3), (30, 15, 2), (25, 5, 5), (30, 30, 1), (30, 100, 1), (50, 0.5, 100)]
)
@pytest.mark.parametrize("digits", [3, 9])
def test_a_whole_part_of_the_rate_takes_every_nth_frame(fps, rate, every, digits):
    """Also where a container rounds its time stamps to milliseconds."""
    times = [round(index / fps, digits) for index in range(600)]
    assert [index for index, _ in kept(times, rate)] == list(range(0, 600, every))


def test_any_other_rate_is_kept_on_average():
    assert len(kept([index / 30 for index in range(300)], 7)) == 70
    assert len(kept([index / 29.97 for index in range(2997)], 23.5)) == pytest.approx(2350, abs=1)


def test_after_a_gap_nothing_is_made_up_for():
    times = [0, 0.5, 1, 1.5, 60, 60.5, 61, 61.5, 62]
    assert [index for index, _ in kept(times, 1)] == [0, 2, 4, 6, 8]


def test_sound_goes_with_the_next_frame_and_none_is_lost_at_the_end():
    times = [index / 10 for index in range(10)]
    assert kept(times, 2, sound=range(10)) == [(0, (0,)), (5, (1, 2, 3, 4, 5)), (9, (6, 7, 8, 9))]
    assert kept(times, 2) == [(0, ()), (5, ())]


def test_what_is_known_of_the_stream_is_known_of_what_is_left():
    source = Frames(100)
    info = ThinnedSource(source, 2.5).info
    assert (info.frame_rate, info.frame_count) == (Fraction(5, 2), 10)
    assert ThinnedSource(source, 60).info == source.info
    thinned = ThinnedSource(source, 2.5)
    thinned.close()
    assert source.closed.is_set()
