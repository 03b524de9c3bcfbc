"""`maskcast track --workers` as a user runs it: a real Ray, real videos, the small model."""

import json
import os
import shutil
import signal

import pytest

from tests import forked, sinks_media
from tests.paths import ROOT
from tests.patience import eventually, patient
from tests.tracking import command, run

DEMO = ROOT / "streaming" / "commands" / "demo.mp4"
PLACES = "[lines.middle]\npoints = [[0.5, 0.0], [0.5, 1.0]]\n[zones.all]\npoints = [[0, 0], [1, 0], [1, 1], [0, 1]]\n"

needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg on this machine")


def messages(path):
    """The frames of a file of JSON Lines, without the moment at which their source was opened."""
    return [{**json.loads(line), "time": None} for line in path.read_text().splitlines()]


@pytest.fixture
def folder(tmp_path):
    """A folder of videos: good ones, one that is damaged from its middle on, one that is none, and one without end."""
    videos = tmp_path / "videos"
    for number, part in enumerate(("a", "b"), 1):
        (videos / part).mkdir(parents=True)
        arguments = ("-t", str(number), "-c", "copy")
        sinks_media.ffmpeg("-i", str(DEMO), *arguments, str(videos / part / "star.mp4"))
    (videos / "a" / "none.mp4").write_bytes(b"no video at all" * 100)
    os.mkfifo(videos / "b" / "endless.mp4")
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    sinks_media.ffmpeg("-i", str(DEMO), "-frames:v", "5", str(pictures / "%d.png"))
    return tmp_path


@pytest.mark.long
@needs_ffmpeg
def test_a_folder_over_two_workers(folder, monkeypatch):
    """Each video once and as without Ray; what fails is told and is not the end of the rest; a second run is short."""
    (folder / "places.toml").write_text(PLACES)
    asked = ("--prompt", "star", "--zones", folder / "places.toml")
    monkeypatch.chdir(folder)  # where the workers are not
    sources = ["videos/a", folder / "videos" / "b", "pictures"]
    summary, report = folder / "summary.json", folder / "report.jsonl"
    outs = ("--out", "out/{stream}.jsonl", "--out", folder / "out" / "{stream}.mp4")
    arguments = (*sources, folder / "videos" / "b" / "endless.mp4", *asked, *outs, "--summary", summary)
    many = ("--workers", 2, "--report", report)
    done = run(*arguments, *many, model="nano")
    assert done.exit_code == 3, done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("maskcast: error: ")]
    assert len(errors) == 2
    assert any("none.mp4" in line for line in errors)
    assert any("endless.mp4: is no regular file" in line for line in errors)

    written = {path.name for path in (folder / "out").iterdir()}
    assert written == {f"{name}.{kind}" for name in ("star", "star-2", "pictures") for kind in ("jsonl", "mp4")} | {
        ".maskcast"
    }
    alone = folder / "alone"
    for name, source in (("star", "videos/a/star.mp4"), ("star-2", "videos/b/star.mp4"), ("pictures", "pictures")):
        plain = run(folder / source, *asked, "--stream", name, "--out", alone / "{stream}.jsonl", model="nano")
        assert plain.exit_code == 0, plain.stderr
        assert messages(folder / "out" / f"{name}.jsonl") == messages(alone / f"{name}.jsonl")
    assert len(sinks_media.times(folder / "out" / "star-2.mp4")) == len(messages(alone / "star-2.jsonl"))
    counted = {stream["stream"]: stream for stream in json.loads(summary.read_text())["streams"]}
    assert set(counted) == {"star", "star-2", "pictures"}
    assert counted["star-2"]["zones"]["all"]["star"] > 0
    rows = {row["id"]: row for row in map(json.loads, report.read_text().splitlines())}
    assert set(rows) == {"star", "star-2", "pictures", "none", "endless"}
    assert rows["star"]["outputs"] == [str(folder / "out" / f"star.{kind}") for kind in ("jsonl", "mp4")]
    assert rows["none"]["status"] == rows["endless"]["status"] == "failed"

    # The same again without what failed does nothing, and starts no Ray.
    before = {path: path.stat().st_mtime_ns for path in (folder / "out").iterdir() if path.is_file()}
    (folder / "videos" / "a" / "none.mp4").unlink()
    again = run(*sources, *asked, *outs, "--summary", summary, *many, model="nano")
    assert again.exit_code == 0, again.stderr
    assert "3 of 3 videos are done already" in again.stderr
    assert before == {path: path.stat().st_mtime_ns for path in (folder / "out").iterdir() if path.is_file()}

    # Other prompts would replace what is there, and are refused.
    other = run(*sources, "--prompt", "disc", *outs, *many, model="nano")
    assert other.exit_code == 2
    assert "exists already" in other.stderr


@pytest.mark.long
@needs_ffmpeg
def test_an_interrupt_keeps_what_was_found_for_the_next_run(tmp_path):
    """Ctrl-C: nothing half stands there, and the same command again makes what one without a break would have."""
    sinks_media.ffmpeg("-i", str(DEMO), "-t", "4", "-c", "copy", str(tmp_path / "star.mp4"))
    out = tmp_path / "out" / "{stream}.jsonl"
    arguments = (tmp_path / "star.mp4", "--prompt", "star", "--out", out, "--workers", 1, "--save-seconds", 1)
    spool, log = tmp_path / "out" / ".maskcast" / "spool" / "star.spool", tmp_path / "log"
    with forked.running(*command(*arguments, model="nano"), folder=tmp_path, log=log) as process:

        def found():
            assert process.poll() is None, log.read_text()
            return spool.exists() and spool.stat().st_size > 0

        eventually(found, 120)
        process.send_signal(signal.SIGINT)
        assert process.wait(patient(90)) == 130
    assert "1 interrupted" in log.read_text()
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".maskcast"]
    assert spool.stat().st_size > 0

    done = run(*arguments, model="nano")
    assert done.exit_code == 0, done.stderr
    assert not spool.exists()
    plain = run(tmp_path / "star.mp4", "--prompt", "star", "--out", tmp_path / "alone.jsonl", model="nano")
    assert plain.exit_code == 0, plain.stderr
    assert messages(tmp_path / "out" / "star.jsonl") == messages(tmp_path / "alone.jsonl")
