"""What is locked is locked until it is closed, for other openings of this process too."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from maskcast.lock import open_locked


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_one_opening_at_a_time_has_the_lock(tmp_path: Path, kind: str) -> None:
    path, flags = (tmp_path, os.O_RDONLY) if kind == "folder" else (tmp_path / "file", os.O_RDWR | os.O_CREAT)
    first = open_locked(path, flags)
    assert first is not None
    assert open_locked(path, flags) is None
    os.close(first)
    second = open_locked(path, flags)
    assert second is not None
    os.close(second)


def test_what_cannot_be_opened_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_locked(tmp_path / "missing", os.O_RDONLY)
