"""What `maskcast run` leaves behind, however it ended: whole videos, and events that tell whole lives."""

from __future__ import annotations

import itertools
import subprocess


def readable(file):
    """The number of frames that a player finds."""
    command = ["ffprobe", "-v", "error", "-count_frames", "-select_streams", "v", "-show_entries"]
    command += ["stream=nb_read_frames", "-of", "csv=p=0", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return int(done.stdout.strip().strip(",") or 0) if done.returncode == 0 else 0


def consistent(events):
    """Whether the events of one stream, repeats dropped, tell a life for each track; and that none is missing."""
    seen, order = {}, []
    for event in events:
        if event["id"] not in seen:
            seen[event["id"]] = event
            order.append(event)
    numbers = [int(event["id"].split("-")[1]) for event in order]
    assert len({event["id"].split("-")[0] for event in order}) == 1, "one journal"
    wrong = [pair for pair in itertools.pairwise([0, *numbers]) if pair[1] != pair[0] + 1]
    assert not wrong, f"in order, and none is missing, but: {wrong[:9]}"
    lives = {}
    for event in order:
        lives.setdefault(event["track"]["id"], []).append(event["event"])
    for number, life in lives.items():
        assert life[0] == "started", (number, life)
        assert "ended" not in life[:-1], (number, life)
        for one, following in itertools.pairwise(life):
            assert (one, following) in {
                ("started", "lost"), ("lost", "recovered"), ("recovered", "lost"), ("lost", "ended"),
                ("started", "ended"), ("recovered", "ended"),
            }, (number, life)  # fmt: skip
    return order, lives
