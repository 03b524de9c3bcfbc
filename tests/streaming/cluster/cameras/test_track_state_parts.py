"""Track states that come and go in parts."""

import os

from streaming.cluster.cameras import track_state_parts
from streaming.cluster.cameras.track_state_parts import TrackStateParts


async def fetch(parts, number):
    whole = b""
    while part := await parts.read(number, len(whole)):
        whole += part
    return None if part is None else whole


async def test_what_is_given_is_there_and_what_was_saved_comes_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(track_state_parts, "PART_BYTES", 1000)
    data = os.urandom(2500)
    parts = TrackStateParts(tmp_path, 3)
    for offset in range(0, 2500, 1000):
        await parts.give(offset, data[offset : offset + 1000])
    assert parts.file.read_bytes() == data
    assert parts.file.stat().st_mode & 0o777 == 0o600
    await parts.give(0, b"begun anew")
    assert parts.file.read_bytes() == b"begun anew"

    parts.file.write_bytes(data)
    assert parts.saved() == (1, 2500)
    assert not parts.file.exists(), "a killed worker leaves nothing"
    assert await fetch(parts, 1) == data
    parts.file.write_bytes(b"newer")
    assert parts.saved() == (2, 5)
    assert await fetch(parts, 1) is None
    assert await fetch(parts, 2) == b"newer"
    parts.close()
    assert await fetch(parts, 2) is None
