import pytest

from maskcast.errors import SourceError
from streaming.api import _read_ahead
from tests.pipelines import Frames


@pytest.mark.parametrize("number", [1, 2, 5])
def test_the_last_frame_of_a_live_source_is_not_lost_to_its_end(number):
    for _ in range(20):
        indices = [frame.index for frame in _read_ahead(Frames(number, live=True))]
        assert indices[-1] == number - 1


def test_all_frames_come_before_the_error():
    frames = _read_ahead(Frames(6, error=SourceError("broke")))
    assert [next(frames).index for _ in range(6)] == list(range(6))
    with pytest.raises(SourceError, match="broke"):
        next(frames)


def test_leaving_the_loop_stops_the_reader():
    source = Frames(None)
    for frame in _read_ahead(source):
        if frame.index == 3:
            break
    read = source.read
    assert read <= 12
