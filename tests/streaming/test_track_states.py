"""Snapshots of streams that are gone are deleted; what only looks like one is not."""

import json

import numpy as np
from safetensors.numpy import save_file

from streaming.track_states import remove_other_snapshots, remove_snapshot, snapshot_file


def snapshot(folder, stream):
    folder.mkdir(exist_ok=True)
    file = snapshot_file(folder, stream)
    save_file({"ids": np.zeros(3)}, file, {"snapshot": json.dumps({"format": "maskcast.snapshot/3"})})
    for name in (f".{file.name}.partial", f"{file.name}.damaged"):
        (folder / name).write_bytes(b"")
    return file


def test_those_of_other_streams_go_with_all_that_lies_beside_them(tmp_path):
    names = ["door", "yard", "\u9580" * 128, "a.safetensors"]
    files = {name: snapshot(tmp_path / "snapshots", name) for name in names}
    foreign = tmp_path / "snapshots" / "model.safetensors"
    save_file({"weights": np.zeros(3)}, foreign)
    (tmp_path / "snapshots" / "notes.txt").touch()
    remove_other_snapshots(tmp_path / "snapshots", {"door", "\u9580" * 128})
    kept = {path.name for path in (tmp_path / "snapshots").iterdir()}
    wanted = {files["door"].name, files["\u9580" * 128].name}
    assert kept == {
        "model.safetensors",
        "notes.txt",
        *wanted,
        *(f".{name}.partial" for name in wanted),
        *(f"{name}.damaged" for name in wanted),
    }
    remove_snapshot(tmp_path / "snapshots", "door")
    assert not [path for path in (tmp_path / "snapshots").iterdir() if "door" in path.name]
    remove_snapshot(tmp_path / "snapshots", "door")


def test_no_folder_is_no_error(tmp_path):
    remove_other_snapshots(tmp_path / "none", {"door"})
    remove_snapshot(tmp_path / "none", "door")
