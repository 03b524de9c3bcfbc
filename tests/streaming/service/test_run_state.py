"""`maskcast run` with a state folder that cannot be used, or holds what nobody has written there."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from tests.patience import eventually
from tests.rtsp import camera
from tests.service import service


@pytest.mark.long
def test_a_disk_that_is_away_at_the_start_is_used_when_it_comes_back(tmp_path, still_scene):
    state = tmp_path / "maskcast-state"
    state.write_text("no folder: what cannot be written by anyone", encoding="utf-8")
    with camera(still_scene, "--loop") as door:
        table = f'[streams.door]\nsource = "{door.url()}"\nprompts = ["object"]\n'
        with service(tmp_path, "[state]\nsave_seconds = 0.5\n" + table) as running:
            eventually(lambda: running.metric("maskcast_frames_total", stream="door") > 3, 60, "tracked all the same")
            assert json.loads(running.get("/readyz")[1])["state"].startswith("in memory: ")
            eventually(lambda: running.metric("maskcast_state_in_memory") == 1, 60, "said to the metrics")
            state.unlink()
            files = [state / "journal.sqlite", state / "tracks" / "door.safetensors"]
            eventually(lambda: all(file.exists() for file in files), 60, "the disk is used")
            eventually(lambda: running.metric("maskcast_state_in_memory") == 0, 60, "and that is said")
            assert json.loads(running.get("/readyz")[1])["state"] == "on disk"
            assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
            assert {stat.S_IMODE(file.parent.stat().st_mode) for file in files} == {0o700}
            assert running.stop() == 0
    messages = [line["message"] for line in map(json.loads, running.text().splitlines()) if line["level"] != "INFO"]
    said = [message for message in messages if "kept in memory" in message]
    assert sorted(Path(message.partition(":")[0]).name for message in said) == ["history.sqlite", "journal.sqlite"]
    assert "Traceback" not in running.text()
