import threading

import pytest

from maskcast.errors import SourceError
from maskcast.read_ahead import read_ahead
from tests.patience import patient
from tests.pipelines import Frames


@pytest.mark.parametrize("number", [1, 2, 5])
def test_the_last_frame_of_a_live_source_is_not_lost_to_its_end(number):
    for _ in range(20):
        indices = [frame.index for frame in read_ahead(Frames(number, live=True), "read", newest=True)]
        assert indices[-1] == number - 1


def test_all_frames_come_before_the_error():
    frames = read_ahead(Frames(6, error=SourceError("broke")), "read", ahead=4)
    assert [next(frames).index for _ in range(6)] == list(range(6))
    with pytest.raises(SourceError, match="broke"):
        next(frames)


def test_leaving_the_loop_stops_the_reader():
    source = Frames(None)
    for frame in read_ahead(source, "read", ahead=4):
        if frame.index == 3:
            break
    read = source.read
    assert read <= 12


def test_whatever_the_thread_raises_is_an_exception_for_the_one_who_reads():
    def items():
        yield 1
        raise SystemExit(3)

    ahead = read_ahead(items(), "read")
    assert next(ahead) == 1
    with pytest.raises(RuntimeError, match="SystemExit: 3"):
        next(ahead)


def test_anybody_may_end_it_and_the_thread_closes_what_it_reads():
    over, closed = threading.Event(), []

    def items():
        try:
            while True:
                yield threading.current_thread()
        finally:
            closed.append(threading.current_thread())

    ahead = read_ahead(items(), "read", over=over)
    thread = next(ahead)
    assert thread.daemon
    over.set()
    assert list(ahead) == []
    thread.join(patient(30))
    assert closed == [thread]
