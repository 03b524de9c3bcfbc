"""A process that is killed and started again goes on with the same ids."""

import json
import shutil

import pytest
from safetensors import safe_open

from tests import forked, sinks_media, tiny
from tests.patience import eventually
from tests.tracking import command, one_line, run

pytestmark = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg on this machine")


def state(file):
    with safe_open(file, "pt") as opened:
        return json.loads(opened.metadata()["track_state"])


def ids(path):
    return [{item["id"] for item in json.loads(line)["tracks"]} for line in path.read_text().splitlines()]


def test_ids_survive_a_kill(tmp_path, video_checkpoint):
    clip = sinks_media.clip(tmp_path / "clip.mp4", seconds=20)
    track_states, first, second = tmp_path / "tracks", tmp_path / "first.jsonl", tmp_path / "second.jsonl"
    shared = ("--prompt", "cat", "--stream", "door", "--state", track_states, "--save-seconds", 0.5)
    file, partial, log = track_states / "door.safetensors", tmp_path / "first.partial.jsonl", tmp_path / "log"
    arguments = command(clip, *shared, "--out", first, model=video_checkpoint)
    with forked.running(*arguments, folder=tmp_path, log=log) as process:

        def kept_and_told():
            assert process.poll() is None, log.read_text()
            return file.exists() and partial.exists() and '"id"' in partial.read_text()

        eventually(kept_and_told)
        process.kill()
    before = ids(partial)
    assert any(before), "a run that tracks nothing shows nothing"

    kept = state(file)
    assert kept["next_id"] > max(set.union(*before)) + 1000, "ids given after the track state are left out too"

    done = forked.run(*command(clip, *shared, "--out", second, "--max-frames", 10, model=video_checkpoint))
    assert done.returncode == 0, done.stderr
    assert len(second.read_text().splitlines()) == 10
    gone_on = state(file)
    assert gone_on["step"] == kept["step"] + 10, "the second process began where the first one was killed"
    assert gone_on["next_id"] >= kept["next_id"], "no id is used again"


def test_a_track_state_of_another_model_is_refused(tmp_path, video_checkpoint, tmp_path_factory):
    clip = sinks_media.clip(tmp_path / "clip.mp4", seconds=1)
    shared = (clip, "--prompt", "cat", "--max-frames", 3, "--state", tmp_path, "--out", tmp_path / "x.jsonl", "--force")
    assert run(*shared, model=video_checkpoint).exit_code == 0
    other = tiny.save_video(tmp_path_factory.mktemp("other"), seed=1)
    done = run(*shared, model=other)
    assert done.exit_code == 5
    assert "another model" in one_line(done)


def test_association_has_no_track_states(tmp_path, tiny_checkpoint):
    clip = sinks_media.clip(tmp_path / "clip.mp4", seconds=1)
    done = run(clip, "--prompt", "cat", "--state", tmp_path, model=tiny_checkpoint)
    assert done.exit_code == 2
    assert "track states need the memory tracker" in one_line(done)


def test_a_full_disk_stops_the_track_states_but_not_the_tracking(tmp_path, video_checkpoint):
    clip = sinks_media.clip(tmp_path / "clip.mp4", seconds=1)
    blocked = tmp_path / "blocked"
    blocked.touch()  # a file where the folder should be
    out = tmp_path / "out.jsonl"
    done = run(clip, "--prompt", "cat", "--state", blocked, "--out", out, model=video_checkpoint)
    assert done.exit_code == 4
    assert len(out.read_text().splitlines()) == 25
    assert "track state" in one_line(done)


def test_hot_start_delays_results_and_loses_none(tmp_path, video_checkpoint):
    clip = sinks_media.clip(tmp_path / "clip.mp4", seconds=1)
    out = tmp_path / "out.jsonl"
    done = run(clip, "--prompt", "cat", "--hot-start", 15, "--out", out, model=video_checkpoint)
    assert done.exit_code == 0, done.stderr
    assert [json.loads(line)["frame"] for line in out.read_text().splitlines()] == list(range(25))
