"""What a killed process or a full disk left of a recording becomes a whole file, or is removed."""

from __future__ import annotations

from pathlib import Path

from sinks.video.recording import RecordingSink
from sinks.video.segment import settle
from tests.recordings import LIVE, at, noisy, read, seconds, settings
from tests.sinks_media import feed


async def test_a_file_cut_off_anywhere_becomes_whole_or_is_removed(tmp_path: Path) -> None:
    """As a killed process or a full disk may leave it: each length of the end of a fragmented file, and of the head."""
    sink = RecordingSink(settings(tmp_path), "test")

    await sink.start(LIVE)
    for one in at(seconds(5), noisy):
        await sink.write(one)
    (part,) = (tmp_path / "test").glob("*.partial.mp4")
    content = part.read_bytes()
    await sink.finish(None)
    first_fragment = content.index(b"moof") - 4
    kept = []
    for length in [
        0,
        5,
        36,
        first_fragment - 1,
        first_fragment,
        *range(first_fragment + 1, len(content), 2999),
        len(content),
    ]:
        part = tmp_path / "2026-01-01T000000.000Z.partial.mp4"
        part.write_bytes(content[:length])
        path = settle(part)
        assert not part.exists()
        if path is not None:
            kept.append(len(read(path)))
            path.unlink()
    assert kept == sorted(kept)
    assert kept[0] == 25
    assert kept[-1] == 100


async def test_only_our_own_partial_files_are_settled(tmp_path: Path) -> None:
    folder = tmp_path / "test"
    folder.mkdir()
    (folder / "holiday.partial.mp4").write_bytes(b"mine")
    (folder / "2020-01-01T000000.000Z.partial.mp4").write_bytes(b"")
    (folder / "2020-01-02T000000.000Z.partial.mp4").write_bytes(b"no video")
    (tmp_path / "mine").write_bytes(b"mine")
    (folder / "2020-01-03T000000.000Z.partial.mp4").symlink_to(tmp_path / "mine")
    await feed(RecordingSink(settings(tmp_path), "test"), LIVE, iter(()))
    names = sorted(entry.name for entry in folder.iterdir())
    assert names == ["2020-01-03T000000.000Z.partial.mp4", "holiday.partial.mp4"]
    assert (tmp_path / "mine").read_bytes() == b"mine"
