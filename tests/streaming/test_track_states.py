"""Track states of streams that are gone are deleted; what only looks like one is not."""

import json

import numpy as np
from safetensors.numpy import save_file

from streaming.track_states import remove_other_track_states, remove_track_state, track_state_file


def track_state(folder, stream):
    folder.mkdir(exist_ok=True)
    file = track_state_file(folder, stream)
    save_file({"ids": np.zeros(3)}, file, {"track_state": json.dumps({"format": "maskcast.track_state/1"})})
    for name in (f".{file.name}.partial", f"{file.name}.damaged"):
        (folder / name).write_bytes(b"")
    return file


def test_those_of_other_streams_go_with_all_that_lies_beside_them(tmp_path):
    names = ["door", "yard", "\u9580" * 128, "a.safetensors"]
    files = {name: track_state(tmp_path / "tracks", name) for name in names}
    foreign = tmp_path / "tracks" / "model.safetensors"
    save_file({"weights": np.zeros(3)}, foreign)
    (tmp_path / "tracks" / "notes.txt").touch()
    remove_other_track_states(tmp_path / "tracks", {"door", "\u9580" * 128})
    kept = {path.name for path in (tmp_path / "tracks").iterdir()}
    wanted = {files["door"].name, files["\u9580" * 128].name}
    assert kept == {
        "model.safetensors",
        "notes.txt",
        *wanted,
        *(f".{name}.partial" for name in wanted),
        *(f"{name}.damaged" for name in wanted),
    }
    remove_track_state(tmp_path / "tracks", "door")
    assert not [path for path in (tmp_path / "tracks").iterdir() if "door" in path.name]
    remove_track_state(tmp_path / "tracks", "door")


def test_no_folder_is_no_error(tmp_path):
    remove_other_track_states(tmp_path / "none", {"door"})
    remove_track_state(tmp_path / "none", "door")
