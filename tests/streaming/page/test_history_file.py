"""The file of the page's events: bounded without ever being rewritten, and whole whenever the process is killed."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

from streaming.page.history_file import HistoryFile, Picture, find_events, find_picture
from streaming.page.kept_event import EventFilter
from tests import processes
from tests.histories import event
from tests.paths import ROOT


def test_the_oldest_events_and_pictures_go_first_and_the_file_stops_growing(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    file = HistoryFile(path, most_events=100, most_picture_bytes=50 * 5000)
    sizes = []
    for number in range(1, 600, 3):
        # The first two share a picture, the third has none.
        file.save([event(number), event(number + 1), event(number + 2)], [])
        file.save([], [Picture(number + 1, "door", (number, number + 1), "outline", bytes(5000))])
        sizes.append(path.stat().st_size + path.with_name("history.sqlite-wal").stat().st_size)
    newest = find_events(path, EventFilter(limit=200))
    assert [one.id for one in newest] == list(range(600, 500, -1))
    assert [one.picture for one in newest[:3]] == [None, 599, 599]
    assert find_picture(path, 598) == bytes(5000)
    assert max(sizes[100:]) <= max(sizes[:100])
    file.close()

    file = HistoryFile(path, most_events=50, most_picture_bytes=10 * 5000)  # what was counted is what is there
    file.save([event(601)], [])
    newest = find_events(path, EventFilter(limit=200))
    assert [one.id for one in newest] == list(range(601, 551, -1))
    assert len({one.picture for one in newest} - {None}) == 10
    assert find_picture(path, 600 - 31) is None
    file.close()
    with sqlite3.connect(path) as database:
        assert database.execute("SELECT COUNT(*), SUM(size) FROM picture").fetchone() == (10, 50_000)
    database.close()


CHILD = """
import sys
from pathlib import Path
from streaming.page.history_file import HistoryFile, Picture
from tests.histories import event
file = HistoryFile(Path(sys.argv[1]), 60, 100_000)
while True:
    number = file.last + 1
    file.save([event(number)], [Picture(number, "door", (number,), "outline", bytes(3000))])
    print(number, flush=True)
"""


def test_a_killed_process_leaves_a_whole_file_with_all_that_was_saved(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    last = 0
    for _ in range(3):
        command = [sys.executable, "-c", CHILD, str(path)]
        with processes.running(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            first = int(child.stdout.readline())
            assert first in {last + 1, last + 2}
            time.sleep(random.uniform(0, 0.3))
            child.kill()
            said = [first, *map(int, child.stdout.read().split())]
        with sqlite3.connect(path) as database:
            assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        database.close()
        found = find_events(path, EventFilter(limit=200))
        last = found[0].id
        assert last - said[-1] in {0, 1}
        assert [one.id for one in found] == list(range(last, max(0, last - 60), -1))
        assert all(find_picture(path, one.id) == bytes(3000) for one in found[:30])
