"""The benchmarks run: they stand in for parts of the pipeline, and must change with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests import media
from tests.broker import executable
from tests.paths import ROOT
from tests.patience import patient


def test_io_compares_with_ffmpeg(tmp_path):
    clip = media.make(tmp_path / "clip.mp4", size="320x240", seconds=1)
    command = [sys.executable, "benchmarks/io.py", str(clip), "--preset", "ultrafast", "--runs", "1", "--json"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=patient(60), check=False)
    assert ended.returncode == 0, ended.stderr
    measured = json.loads(ended.stdout.splitlines()[-1])
    assert measured["frames"] == 10
    assert all(side["wall"] > 0 and side["size"] > 0 for side in measured["sides"].values())


def test_styles_are_compared_with_outlines():
    command = [sys.executable, "benchmarks/styles.py", "--frames", "3", "--width", "320", "--height", "180", "--json"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=patient(60), check=False)
    assert ended.returncode == 0, ended.stderr
    measured = json.loads(ended.stdout.splitlines()[-1])["ms_per_frame"]
    assert all(value > 0 for value in measured.values())
    assert measured["nothing"] < measured["blur"]


def test_the_page_is_compared_with_pictures_that_the_server_draws(tmp_path):
    clip = media.make(tmp_path / "clip.mp4", size="320x240", seconds=1)
    options = "--width 320 --viewers 2 --seconds 0.3 --runs 1 --no-browser --json"
    command = [sys.executable, "benchmarks/page.py", str(clip), *options.split()]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=patient(60), check=False)
    assert ended.returncode == 0, ended.stderr
    runs = json.loads(ended.stdout.splitlines()[-1])["runs"]
    assert list(runs) == ["nobody", "page, 1", "page, 2", "mjpeg, 1", "mjpeg, 2"]
    assert all(run["frames"] > 0 and run["latency"] > 0 for name, run in runs.items() if name != "nobody")


def test_messages_arrive():
    command = [sys.executable, "benchmarks/messages.py", "--streams", "1", "--seconds", "0.2", "--json"]
    executable()
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=patient(60), check=False)
    assert ended.returncode == 0, ended.stderr
    runs = json.loads(ended.stdout.splitlines()[-1])["runs"]
    assert list(runs) == ["1 at 30/s", "flood"]
    assert all(side["frames"] > 0 and side["median"] > 0 for sides in runs.values() for side in sides.values())


def test_detection_finds_the_same_as_the_reference():
    command = [sys.executable, "benchmarks/detection.py", "--prompts", "8", "--runs", "1", "--json"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=patient(60), check=False)
    assert ended.returncode == 0, ended.stderr
    encoder, decoder = json.loads(ended.stdout.splitlines()[-1])["measured"]
    assert encoder["ours"] > 0
    assert decoder["prompts"] == 8
    assert decoder["present"] == 2
    assert decoder["ratio"] > 1


@pytest.mark.long
def test_gpu_runs_on_a_cpu_and_without_what_a_bare_machine_lacks():
    arguments = "--config tiny --objects 1 --prompts --streams 2 --modes eager graphs --seconds 0 --threads 1 --json"
    program = f"""
import runpy, sys
sys.modules |= dict.fromkeys(("av", "aiomqtt", "pydantic", "typer", "streaming", "sources", "sinks"))
sys.argv = ["gpu.py", *{arguments.split()}]
runpy.run_path("benchmarks/gpu.py", run_name="__main__")
"""
    command = [sys.executable, "-c", program]
    hidden = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    ended = subprocess.run(
        command, cwd=ROOT, env=hidden, capture_output=True, text=True, timeout=patient(120), check=False
    )
    assert ended.returncode == 0, ended.stderr
    measured = json.loads(ended.stdout.splitlines()[-1])
    assert measured["roofline"]["tflops"] > 0
    assert [(row["streams"], row["prompts"], row["objects"]) for row in measured["rows"]] == [(1, 1, 1), (2, 1, 5)]
    for row in measured["rows"]:
        assert row["launches"] > 100
        assert all(row[name] > 0 for name in ("ms", "frames_per_second", "in_two_stages", "gflop", "floor_ms")), row
        assert all(spent > 0 for stage, spent in row["stages_ms"].items() if stage != "publish"), row
    assert [row["faster"] is not None for row in measured["rows"]] == [True, False]  # the reference has one stream
    assert measured["skipped"] == ["graphs: only CUDA has graphs"]


def test_resolutions_are_counted():
    command = [sys.executable, "benchmarks/resolution.py", "--resolutions", "336", "--json"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=patient(120), check=False)
    assert ended.returncode == 0, ended.stderr
    ours = json.loads(ended.stdout.splitlines()[-1])["gflop"]["336"]
    assert all(count > 0 for count in ours.values())
    # What the two encoders do is the same but for the necks, of which ours are folded.
    assert ours["image encoder, a frame"] / ours["image encoder of Transformers, a frame"] > 0.9


def test_zones_count_where_others_do_not():
    command = [sys.executable, "benchmarks/zones.py", "--scenarios", "10", "--json"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=patient(120), check=False)
    assert ended.returncode == 0, ended.stderr
    measured = json.loads(ended.stdout.splitlines()[-1])
    assert set(measured["scenarios"].values()) == {1}
    assert not any(measured["wrong"]["maskcast"].values())
    assert sum(measured["wrong"]["supervision 1"].values()) > 2
    assert all(spent > 0 for spent in measured["milliseconds"].values())


@pytest.mark.slow
def test_a_checkout_computes_what_it_computes():
    command = [sys.executable, "benchmarks/exactness.py", str(ROOT), "--frames", "2", "--json"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=patient(240), check=False)
    assert ended.returncode == 0, ended.stderr
    measured = json.loads(ended.stdout.splitlines()[-1])
    assert measured["lines"] == measured["same"] == 2
    assert measured["masks"] > 0


@pytest.mark.slow
def test_a_checkout_is_measured_beside_itself():
    command = [sys.executable, "benchmarks/commits.py", str(ROOT), "--frames", "30", "--runs", "1", "--json"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=patient(240), check=False)
    assert ended.returncode == 0, ended.stderr
    [(before, now)] = json.loads(ended.stdout.splitlines()[-1])["rates"]
    assert before > 0
    assert now > 0


def test_a_fleet_is_used_up_to_the_tail_of_a_folder():
    command = [
        sys.executable,
        "benchmarks/scheduling.py",
        "--videos",
        "200",
        "--workers",
        "8",
        "--folders",
        "2",
        "--json",
    ]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=patient(60), check=False)
    assert ended.returncode == 0, ended.stderr
    measured = json.loads(ended.stdout.splitlines()[-1])
    for row in measured["rows"]:
        if row["order"] == "longest first":
            assert row["least_used"] >= 0.95
            assert row["at_once"] > 1 or row["most_over_best"] <= measured["bound"]
        elif row["order"] == "shared out before":
            assert row["used"] < 0.95


def test_failures_move_what_they_must_in_weeks_of_a_fleet():
    command = [sys.executable, "benchmarks/placement.py", "--cameras", "40", "--workers", "8", "--weeks", "1", "--json"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=patient(60), check=False)
    assert ended.returncode == 0, ended.stderr
    sides = json.loads(ended.stdout.splitlines()[-1])["sides"]
    ours, theirs = sides["maskcast"], sides["rendezvous hashing"]
    assert ours["failures"] > 0
    assert ours["of which moved"] == 1
    assert ours["others moved with them"] == 0
    assert ours["moves to a worker that came, most"] <= ours["allowed"]
    assert ours["seconds away a camera and week, most"] < 600
    assert ours["fullest worker / mean, median"] < theirs["fullest worker / mean, median"]


@pytest.mark.slow
def test_workers_give_what_the_plain_command_does():
    command = [sys.executable, "benchmarks/scale.py", "--videos", "2", "--frames", "10", "--runs", "1", "--json"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=patient(240), check=False)
    assert ended.returncode == 0, ended.stderr
    measured = json.loads(ended.stdout.splitlines()[-1])
    assert measured["equal"]
    assert set(measured["ratios"]) == {"held to cores", "free"}
    assert all(run["wall"] > run["tracking"] > 0 for runs in measured["seconds"].values() for run in runs)
