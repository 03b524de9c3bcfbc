"""What every file system of `streaming.cluster.videos.storage` does, whatever is behind its URLs."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from maskcast.errors import SourceError
from streaming.cluster.videos.storage import RemoteFile, existing, listed
from streaming.cluster.videos.transfer import fetched, upload

CONTENTS = os.urandom(300_000)


def videos_in(folder: Any) -> list[str]:
    names = ["b10.mp4", "b9.mp4", "a.MKV", ".hidden.mp4", "notes.txt", "half.mp4.part"]
    for name in names:
        (folder / name).write_bytes(name.encode())
    (folder / "deeper").mkdir()
    (folder / "deeper" / "c.mp4").write_bytes(b"c")
    return ["a.MKV", "b9.mp4", "b10.mp4"]


def check_listing(root: str, folder: Any) -> None:
    """Whatever the file system, a folder, a glob and a name stand for the same as on a disk."""
    names = videos_in(folder)
    assert [one.url for one in listed(root)] == [f"{root}/{name}" for name in names]
    assert [one.url for one in listed(f"{root}/")] == [f"{root}/{name}" for name in names]
    assert [one.url for one in listed(f"{root}/**/*.mp4") if "/." not in one.url] == [
        f"{root}/{name}" for name in ("b9.mp4", "b10.mp4", "deeper/c.mp4")
    ]
    (one,) = listed(f"{root}/b9.mp4")
    assert (one.url, one.size) == (f"{root}/b9.mp4", 6)
    assert one.version
    assert listed(f"{root}/b9.mp4") == [one]
    assert listed(f"{root}/missing.mp4") == [RemoteFile(f"{root}/missing.mp4")]
    with pytest.raises(SourceError, match="no videos: it names none"):
        listed(f"{root}/*.webm")
    wanted = [f"{root}/{name}" for name in ("b9.mp4", "missing.mp4", "deeper/c.mp4", "nowhere/c.mp4")]
    assert existing(wanted) == {f"{root}/b9.mp4", f"{root}/deeper/c.mp4"}


def check_transfers(root: str, tmp_path: Path, read: Callable[[str], bytes], names: Callable[[], set[str]]) -> None:
    """Whatever the file system, what is uploaded is there whole under its name alone, and comes back the same."""
    local = tmp_path / "a.mp4"
    local.write_bytes(CONTENTS)
    upload(local, f"{root}/new/x.mp4")
    assert read("new/x.mp4") == CONTENTS
    local.write_bytes(CONTENTS[:1000])
    upload(local, f"{root}/new/x.mp4")
    assert read("new/x.mp4") == CONTENTS[:1000]
    assert names() == {"x.mp4"}
    with fetched(f"{root}/new/x.mp4") as copy:
        assert copy.name == "x.mp4"
        assert copy.read_bytes() == CONTENTS[:1000]
        assert copy.is_relative_to(tempfile.gettempdir())
    assert not copy.parent.exists()
    with pytest.raises(SourceError, match="no such file") as missing, fetched(f"{root}/new/y.mp4"):
        pass
    assert "new/y.mp4" in str(missing.value)
