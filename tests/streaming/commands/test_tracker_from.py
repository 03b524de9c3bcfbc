"""The tracker of SAM 2 beside a detector, as its user meets it: fetched, tracking on a clip, checked, refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from streaming.cli.app import app
from streaming.commands.demo import CLIP
from tests import hub as stand_in
from tests import tiny_sam2
from tests.hub import Hub
from tests.tracking import one_line, run

NAME = "facebook/sam2.1-hiera-tiny"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    with stand_in.serving() as hub:
        hub.use(monkeypatch, tmp_path)
        hub.host(NAME, tiny_sam2.save(tmp_path / "sam2"))
        yield hub


def test_it_is_fetched_and_follows_on_a_clip(hub: Hub, tmp_path: Path) -> None:
    out, state = tmp_path / "tracks.jsonl", tmp_path / "state"
    options = ["--tracker-from", NAME, "--max-frames", 12, "--state", state, "--out", out]
    done = run(CLIP, "--prompt", "star", *options, model="nano")
    assert done.exit_code == 0, done.stderr
    assert "memory tracker" in done.stderr
    assert hub.count(".safetensors") >= 1
    frames = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(frames) == 12
    found = {(track["id"], track["prompt"]) for frame in frames for track in frame["tracks"]}
    assert {prompt for _, prompt in found} == {"star"}
    # What was remembered is taken up: no id comes again.
    again = tmp_path / "again.jsonl"
    done = run(CLIP, "--prompt", "star", *options[:-1], again, model="nano")
    assert done.exit_code == 0, done.stderr
    assert max(track["id"] for line in again.read_text().splitlines() for track in json.loads(line)["tracks"]) >= max(
        track for track, _ in found
    )


def test_check_describes_it(hub: Hub, tmp_path: Path) -> None:
    folder = tmp_path / "sam2"
    settings = tmp_path / "cameras.toml"
    model = f'name = "nano"\ndevice = "cpu"\ntracker_from = {json.dumps(str(folder))}\n'
    stream = f'source = {json.dumps(str(CLIP))}\nprompts = ["star"]\n'
    settings.write_text(f'[model]\n{model}[http]\nlisten = ""\n[streams.door]\n{stream}')
    done = CliRunner().invoke(app, ["check", str(settings)])
    assert f"tracker from {folder}, complete; tracker memory" in done.output
    (folder / "model.safetensors").unlink()
    done = CliRunner().invoke(app, ["check", str(settings)])
    assert done.exit_code == 5
    assert "no model.safetensors" in done.output


def test_it_is_no_model(hub: Hub) -> None:
    done = run(CLIP, "--prompt", "star", model=NAME)
    assert done.exit_code == 5
    assert "it is a sam2_video checkpoint, which finds nothing by a phrase" in one_line(done)
    assert hub.count(".safetensors") == 0


def test_edgetam_is_no_tracker(hub: Hub) -> None:
    hub.host("some/edgetam", {"config.json": b'{"model_type": "edgetam_video"}', "model.safetensors": b"weights"})
    done = run(CLIP, "--prompt", "star", "--tracker-from", "some/edgetam", model="nano")
    assert done.exit_code == 5
    assert "it is a edgetam_video checkpoint; Maskcast needs sam3_video or sam2_video" in one_line(done)
    assert hub.count(".safetensors") == 0
