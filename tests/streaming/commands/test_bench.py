"""`maskcast bench`: it keeps to its time, measures what it says, and judges no better than that."""

import json
import re

import pytest

from streaming.commands.bench import Measured, run_bench
from streaming.commands.bench_media import Around
from streaming.commands.bench_report import as_json, table, verdict
from tests import forked
from tests.paths import ROOT
from trackers.options import EngineOptions
from trackers.pace import Pace, Peer
from trackers.stage_times import STAGES, Spent

AROUND = Around(decode=0.004, convert=0.001, message=0.005, draw=0.03)


def measured(*paces, cores=64, cpu=0.0):
    """With ten objects: the frames a second of all streams together, by the number of streams."""
    stages = {stage: Spent(0.001, 1) for stage in STAGES} | {"encode": Spent(0.05, 1)}
    listed = [Pace(streams, 10, streams / rate, cpu * streams, 5, rate) for streams, rate in paces]
    return Measured("model x", "cuda", cores, 2, 10, 1.0, 0.1, stages, AROUND, listed)


@pytest.mark.parametrize(
    ("paces", "cameras", "at_least"),
    [
        ([(1, 20.0), (2, 30.0), (4, 32.0), (8, 31.0)], 6, False),
        ([(1, 20.0), (2, 30.0), (4, 32.0)], 4, True),
        ([(1, 20.0), (2, 30.0), (4, 15.0)], 3, False),
        ([(1, 5.0), (2, 5.0)], 1, False),
    ],
)
def test_cameras_at_five_frames_a_second(paces, cameras, at_least):
    judged = verdict(measured(*paces))
    assert (judged.cameras, judged.frames_per_second, judged.at_least) == (cameras, 5.0, at_least)
    more = "at least " if at_least else ""
    assert judged.text.startswith(f"this machine serves {more}{cameras} camera")
    assert ("what limits is the image encoder" in judged.text) == (not at_least)


def test_a_machine_that_serves_none():
    judged = verdict(measured((1, 3.2), (2, 3.3)))
    assert (judged.cameras, judged.frames_per_second) == (1, 3.2)
    assert "no camera at 5 frames/s with 10 objects: one at 3.2 frames/s" in judged.text


def test_the_processors_decode_and_publish_too():
    """The model alone would serve eight: 10 ms around it and 40 of its own, five times a second, on one processor."""
    judged = verdict(measured((8, 100.0), cores=1, cpu=0.04))
    assert (judged.cameras, judged.at_least) == (4, False)
    assert "what limits are the processors" in judged.text


def test_what_was_not_measured_is_not_guessed():
    found = measured((1, 20.0), (2, 30.0))
    found.paces.append(Pace(1, 0, 0.02, 0.02, 5, 50.0))
    lines = list(table(found))
    assert ["2", "-", "30.0"] in [line.split() for line in lines]
    found.paces.clear()
    assert verdict(found).cameras == 0
    assert "takes 0.1 s for a frame" in verdict(found).text


@pytest.mark.long
def test_the_command(tmp_path):
    folder = tmp_path / "here"
    folder.mkdir()
    arguments = ["bench", "--model", "nano", "--device", "cpu", "--tracker", "memory", "-p", "star", "-p", "circle"]
    done = forked.run(*arguments, "--streams", "2", "--objects", "2", "--seconds", "5", "--json", folder=folder)
    assert done.returncode == 0, done.stderr
    *lines, last = done.stdout.splitlines()
    assert lines[0].startswith("model nano, cpu (")
    found = json.loads(last)
    stages = {stage["stage"]: stage for stage in found["stages"]}
    assert list(stages) == list(STAGES)
    assert (stages["encode"]["units"], stages["decode"]["units"]) == (1, 2)
    assert all(value > 0 for value in found["around"].values())
    if found["paces"]:  # on a machine that is not very busy
        assert stages["propagate"]["units"] == 2
        first = found["paces"][0]
        assert (first["streams"], first["objects"]) == (1, 2)
        assert first["frames_per_second"] > 0
        assert first["rounds"] >= 3
    assert lines[-1] == found["verdict"]["text"]
    assert re.search(r"this machine .+; ", lines[-1]) or found["verdict"]["at_least"]
    assert not list(folder.iterdir()), "it leaves nothing behind"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--threshold", "1"), "threshold must be at least 0 and below 1"),
        (("--context-tokens", "64"), "'16', '32', '77'"),
    ],
)
def test_options_of_the_model_reach_it(given, said, tmp_path):
    done = forked.run("bench", "--model", "nano", "--device", "cpu", *given, folder=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr


def test_a_model_that_is_too_slow_is_told_after_the_first_frame(tiny_checkpoint):
    said = []
    options = EngineOptions(str(tiny_checkpoint), "cpu")
    found = run_bench(options, ["person"], streams=4, objects=2, seconds=1e-3, say=said.append)
    assert found.slow
    assert found.stages["encode"].units == 1
    assert found.first_seconds > 0
    assert any("nothing else is measured" in line for line in said)
    assert "the first frame:" in "\n".join(table(found))
    assert verdict(found).cameras == 0


def test_every_field_is_documented():
    page = (ROOT / "docs" / "bench.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"`([a-z_]+)(?:\[\])?`", page))
    whole = measured((1, 20.0))
    whole.peer = Peer(10, 5, 0.2, 0.1)

    def names(value):
        if isinstance(value, dict):
            yield from value
            for inner in value.values():
                yield from names(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from names(inner)

    printed = as_json(whole)
    assert printed["peer"]["ratio"] == 2.0
    assert set(names(printed)) <= documented
