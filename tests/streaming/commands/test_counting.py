"""Zones and lines of a run: what is told of them, and written."""

import json
import os
import shutil
import threading

import pytest

from maskcast.result import Track, TrackState
from tests import sinks_media
from tests.clips import clip_with_results
from tests.rendering import SIZE, read, render, stored
from tests.schemas import VALIDATORS
from tests.tracking import one_line, run

pytestmark = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg on this machine")

PLACES = """
[lines.door]
points = [[0.5, 0.0], [0.5, 1.0]]
directions = ["out", "in"]

[zones.yard]
points = [[0.5, 0.0], [1.0, 0.0], [1.0, 1.0], [0.5, 1.0]]
prompts = ["person"]
"""


@pytest.fixture(scope="module")
def walk(tmp_path_factory):
    """A video, the results of a person who walks to the right in it, and places."""
    folder = tmp_path_factory.mktemp("counting")

    def walker(size, index):
        return (
            Track(1, "person", TrackState.CONFIRMED, 0.9, sinks_media.ellipse(size, (20 + 5 * index, 50), (6, 20))),
        )

    clip = sinks_media.clip(folder / "clip.mp4", seconds=1, size=f"{SIZE[1]}x{SIZE[0]}")
    (folder / "places.toml").write_text(PLACES)
    return clip, stored(folder / "in.jsonl", range(25), tracks=walker), folder / "places.toml"


def test_what_is_counted_is_said_and_written(tmp_path, walk):
    *inputs, places = walk
    lines, summary = tmp_path / "out.jsonl", tmp_path / "sum.json"
    done = render(*inputs, "--zones", places, "--summary", summary, "--out", lines)
    assert done.exit_code == 0, done.stderr
    assert done.stderr.splitlines()[-4:] == [
        "clip: line door, out: 0 person",
        "clip: line door, in: 1 person",
        "clip: zone yard, entered: 1 person",
        f"wrote {summary}",
    ]
    told = json.loads(summary.read_text())
    VALIDATORS["summary"].validate(told)
    (one,) = told["streams"]
    assert one["lines"] == {"door": {"out": {"person": 0}, "in": {"person": 1}}}
    assert (one["stream"], one["zones"]) == ("clip", {"yard": {"person": 1}})
    where = [line["tracks"][0]["zones"] for line in read(lines)]
    assert where[0] == []
    assert where[-1] == ["yard"]
    assert {line["schema"] for line in read(lines)} == {"maskcast.frame/3"}

    again = tmp_path / "again.jsonl"
    assert render(walk[0], lines, "--zones", places, "--out", again).exit_code == 0
    assert again.read_bytes() == lines.read_bytes()


@pytest.mark.parametrize(
    ("places", "options", "said"),
    [
        (None, ("--summary", "s.json"), "--summary says what was counted; say with --zones where"),
        (PLACES, ("--summary", "old.json"), "old.json: exists already"),
        (PLACES, ("--summary", "-"), "--summary - is no file; /dev/stdout is standard output"),
        (PLACES, ("--summary", "p.toml", "--force"), "--summary p.toml is an input"),
        (PLACES, ("--summary", "./o.json", "--out", "o.json"), "--summary o.json is an output too"),
        (PLACES.replace('"person"', '"cat"'), (), "p.toml: zones.yard.prompts: no prompt is named 'cat'"),
        (PLACES.replace("[0.5, 1.0]]\nd", "[0.5, 1.5]]\nd"), (), "lines.door.points"),
        (PLACES.replace(", [0.5, 1.0]]\nd", "]\nd"), (), "lines.door.points"),
        ("", (), "p.toml: no zone and no line"),
    ],
)
def test_what_cannot_be_meant(tmp_path, walk, monkeypatch, places, options, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old.json").write_text("{}")
    if places is not None:
        (tmp_path / "p.toml").write_text(places)
        options = ("--zones", "p.toml", *options)
    for done in (render(*walk[:2], *options), run(walk[0], "--prompt", "person", *options)):
        assert done.exit_code == 2, done.stderr
        assert said in one_line(done)


def test_a_summary_that_cannot_be_written(tmp_path, walk):
    summary = tmp_path / "sum.json"
    (tmp_path / "sum.partial.json").mkdir()
    done = render(*walk[:2], "--zones", walk[2], "--summary", summary, "--out", tmp_path / "out.jsonl")
    assert done.exit_code == 4
    assert "sum.json: cannot write: Is a directory" in one_line(done)
    assert len(read(tmp_path / "out.jsonl")) == 25


def test_a_summary_goes_through_a_pipe_and_does_not_replace_it(tmp_path, walk):
    pipe, got = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_text()), daemon=True)
    reader.start()
    done = render(*walk[:2], "--zones", walk[2], "--summary", pipe, "--out", tmp_path / "out.jsonl")
    assert done.exit_code == 0, done.stderr
    assert pipe.is_fifo()
    reader.join(30)
    VALIDATORS["summary"].validate(json.loads(got[0]))


# The three people who walk up the road, through its middle; they were counted by eye.
ROAD = """
[lines.road]
points = [[0.6, 0.62], [0.98, 0.62]]
directions = ["down", "up"]
"""


def test_people_who_walk_up_a_road(tmp_path):
    video, lines = clip_with_results("pedestrians")
    (tmp_path / "road.toml").write_text(ROAD)
    summary = tmp_path / "sum.json"
    done = render(
        video, lines, "--zones", tmp_path / "road.toml", "--summary", summary, "--out", tmp_path / "out.jsonl"
    )
    assert done.exit_code == 0, done.stderr
    (one,) = json.loads(summary.read_text())["streams"]
    assert one["lines"] == {"road": {"down": {"person": 0}, "up": {"person": 3}}}
