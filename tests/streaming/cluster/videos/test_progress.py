"""What a person sees of many videos: at a terminal and in a log."""

import io

import pytest
from rich.console import Console

from streaming.cluster.videos import progress as module
from streaming.cluster.videos.ledger import Identity
from streaming.cluster.videos.plan import Beat, Doing, Outcome, Video, View
from streaming.cluster.videos.progress import MOST_WORKERS, FleetProgress, workers

VIDEOS = [Video(name, name, Identity(name, size, "1")) for name, size in (("a", 300), ("b", 100), ("c", None))]


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def test_a_log_gets_a_line_a_minute(clock):
    said = []
    with FleetProgress(VIDEOS, 2, said.append) as progress:
        for second in range(0, 130, 5):
            clock[0] = float(second)
            progress.seen(View(beats=(Beat("node/1", "ready", second * 10, (Doing("a", second, 300),)),)))
        progress.ended(Outcome("b", error="damaged"))
        progress.ended(Outcome("c", interrupted=True))
        clock[0] = 200.0
        progress.seen(View())
    first, _, last = said
    assert first.startswith("2 of 5 videos, 10.0 frames/s, 1 workers")
    assert last.startswith("3 of 5 videos, 1 failed, ")


def test_frames_of_a_worker_that_died_and_of_the_next_one_are_summed(clock):
    progress = FleetProgress(VIDEOS, 0, lambda _: None)
    for second, (worker, frames) in enumerate([("node/1", 0), ("node/1", 100), ("node/2", 0), ("node/2", 60)]):
        clock[0] = float(second * 2)
        progress.seen(View(beats=(Beat(worker, "ready", frames),)))
    assert progress._rate() == pytest.approx(160 / 6)


def test_each_worker_has_a_line_up_to_a_number():
    beats = [Beat("node/2", "ready", 9, (Doing("door", 30, 120), Doing("yard", 7, None))), Beat("node/1", "loading", 0)]
    assert workers(beats) == ["  node/1: loads the model", "  node/2: door 25%, yard 7 frames"]
    lines = workers([Beat(f"node/{number:03d}", "ready", 0) for number in range(100)])
    assert len(lines) == MOST_WORKERS + 1
    assert lines[0] == "  node/000: waits"
    assert lines[-1] == f"  and {100 - MOST_WORKERS} more workers"


def test_a_terminal_shows_one_bar_and_the_workers(clock, monkeypatch):
    screen = io.StringIO()
    monkeypatch.setattr(module, "Console", lambda **_: Console(file=screen, force_terminal=True, width=120))
    said = []
    with FleetProgress(VIDEOS, 0, said.append) as progress:
        progress.ended(Outcome("a"))
        progress.seen(View(beats=(Beat("node/1", "ready", 10, (Doing("b", 50, 100),)),)))
        progress._live.refresh()
    shown = screen.getvalue()
    assert "1 of 3 videos" in shown
    assert "58%" in shown  # 300 and half of 100 of 600: that of unknown size is as large as the others
    assert "node/1: b 50%" in shown
    assert not said
