"""Files for the next process: whole or not at all, and for their owner alone."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from maskcast.files import damaged_name, partial_name, publish, set_aside, write_whole


def fail(part: Path) -> None:
    part.write_text("half of it")
    raise OSError(28, "No space left on device")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    file = tmp_path / "state" / "kept"
    for text in ("first", "second"):
        write_whole(file, lambda part, text=text: part.write_text(text))  # type: ignore[misc]
        assert file.read_text() == text
    assert [entry.name for entry in file.parent.iterdir()] == ["kept"]
    assert (mode(file), mode(file.parent)) == (0o600, 0o700)


def test_a_file_that_cannot_be_written_leaves_the_older_one_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "kept"
    file.write_text("first")
    with pytest.raises(OSError, match="No space left"):
        write_whole(file, fail)
    assert file.read_text() == "first"
    assert [entry.name for entry in tmp_path.iterdir()] == ["kept"]


def test_what_a_killed_process_left_is_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "kept"
    partial_name(file).write_text("half of an older one, which was longer")
    write_whole(file, lambda part: part.write_text("whole"))
    assert file.read_text() == "whole"
    assert not partial_name(file).exists()


def test_what_is_published_takes_the_place_of_the_older_file(tmp_path: Path) -> None:
    part, file = tmp_path / "out.partial.txt", tmp_path / "out.txt"
    part.write_text("new")
    file.write_text("old")
    publish(part, file)
    assert file.read_text() == "new"
    assert not part.exists()


def test_what_is_damaged_is_set_aside_in_place_of_an_earlier_one(tmp_path: Path) -> None:
    file = tmp_path / "kept"
    for text in ("first", "second"):
        file.write_text(text)
        assert set_aside(file) == damaged_name(file)
        assert damaged_name(file).read_text() == text
        assert not file.exists()
