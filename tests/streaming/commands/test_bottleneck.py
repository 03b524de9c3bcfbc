"""What a run says of its speed: what each part took, and which one the others waited for."""

import re

import pytest

from streaming.commands.bottleneck import explained
from streaming.pipeline.report import Report
from tests import forked
from tests.tracking import command
from trackers.stage_times import STAGES, Spent


def spent(**stages):
    """Times and units of some stages."""
    return {stage: Spent(*stages.get(stage, (0.0, 0))) for stage in STAGES}


MODEL = spent(encode=(8.0, 100), decode=(1.0, 300), propagate=(0.5, 50))


def limit(report, device="cpu", stages=MODEL):
    *_, line = explained([report], stages, device)
    return line.removeprefix("what limits: ")


def test_times_are_those_of_a_frame_and_of_its_units():
    report = Report("a", frames=100, seconds=10.0, source_seconds=2.0, model_seconds=9.5, sink_seconds={"a.mp4": 3.0})
    times, stages, _ = explained([report, Report("empty")], MODEL, "cpu")
    assert times == "time a frame: source 20.0 ms, model 95.0 ms, a.mp4 30.0 ms"
    expected = "encode 80.0 ms, decode 10.0 ms (3.3 a prompt), propagate 5.0 ms (10.0 an object)"
    assert stages == f"of the model: {expected}"


def test_the_slowest_part_limits():
    fast = {"frames": 100, "seconds": 10.0}
    # 80 of 90 hundredths of the time that the model's longer half takes are the image encoder's.
    assert limit(Report("a", **fast, model_seconds=9.0)) == "the image encoder, 80% of the time; use a GPU"
    assert limit(Report("a", **fast, model_seconds=9.0), "cuda").startswith("the image encoder, 80% of the time; fewer")
    assert limit(Report("a", **fast, source_seconds=9.0, model_seconds=4.0)) == "reading the source, 90% of the time"
    writing = Report("a", **fast, source_seconds=2.0, model_seconds=4.0, sink_seconds={"b.jsonl": 1.0, "a.mp4": 9.0})
    assert limit(writing) == "writing a.mp4, 90% of the time"


@pytest.mark.parametrize(
    ("stage", "words"),
    [("decode", "looking for the prompts"), ("propagate", "following the objects"), ("publish", "cutting the masks")],
)
def test_the_stage_that_takes_most_is_named(stage, words):
    report = Report("a", frames=10, seconds=10.0, model_seconds=9.0)
    said = limit(report, "cuda", spent(encode=(1.0, 10), associate=(1.0, 10), **{stage: (3.0, 10)}))
    assert said.startswith(words)
    assert "68% of the time; fewer" in said, "three quarters of its half, which takes nine tenths"


def test_a_camera_that_loses_nothing_has_no_limit_here():
    camera = Report("a", live=True, frames=100, seconds=10.0, source_seconds=9.9, model_seconds=9.0)
    assert limit(camera) == "nothing here, the source delivers 10.0 frames/s"
    camera.dropped_before_model = 50
    camera.source_seconds = 5.0
    assert limit(camera).startswith("the image encoder")


def test_nothing_is_said_of_nothing():
    assert explained([], spent(), "cpu") == []
    assert explained([Report("", interrupted=True)], spent(), "cpu") == []


def test_a_run_says_what_runs_where_and_what_took_the_time(tmp_path):
    """On stderr: stdout is a sink."""
    out = tmp_path / "a.jsonl"
    clip = "streaming/commands/demo.mp4"
    arguments = command(clip, "-p", "star", "--max-frames", 3, "--out", out, "--verbose", model="nano")
    done = forked.run(*arguments)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    *logs, start, summary, times, stages, limit, wrote = done.stderr.splitlines()
    assert all(re.match(r"\S+ INFO [a-z_.]+: ", log) for log in logs)
    assert re.fullmatch(r"\S+ INFO streaming\.pipeline\.model_thread: the model is loaded, after [\d.]+ s", logs[-1])
    assert re.fullmatch(r"model nano, cpu \(\d+ threads?\), float32, memory tracker", start)
    assert summary.startswith("demo: 3 frames")
    assert re.fullmatch(rf"time a frame: source [\d.]+ ms, model [\d.]+ ms, {re.escape(str(out))} [\d.]+ ms", times)
    assert re.match(r"of the model: preprocess [\d.]+ ms, encode [\d.]+ ms, decode [\d.]+ ms, ", stages)
    assert re.match(r"what limits: .+, \d+% of the time", limit)
    assert re.fullmatch(rf"wrote {re.escape(str(out))} \([\d.]+ (bytes|kB), 3 frames\)", wrote)
