"""What the bars show of the notices of a stream."""

from dataclasses import replace

from maskcast.errors import SinkError
from maskcast.notices import Problem, StreamBegan
from streaming.commands.progress import ProgressDisplay
from tests.frames import tracked
from tests.pipelines import Frames


def test_a_bar_a_stream_counts_its_results_up_to_what_is_wanted():
    info = Frames(10).info
    with ProgressDisplay(max_frames=7) as display:
        display.notify(StreamBegan(info))
        display.notify(StreamBegan(replace(info, stream="live", live=True, frame_count=None)))
        for _ in range(3):
            display.notify(tracked(1))
        display.notify(Problem(SinkError("no bar shows this")))
        bars = {task.description: (task.completed, task.total) for task in display._progress.tasks}
    assert bars == {"test": (3, 7), "live": (0, 7)}
