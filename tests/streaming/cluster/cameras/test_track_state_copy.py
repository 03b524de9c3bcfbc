"""Track states on their way from a worker to the head."""

import asyncio

from streaming.cluster.cameras.messages import Saved
from streaming.cluster.cameras.track_state_copy import TrackStateCopy
from tests.patience import patient


async def test_a_state_that_comes_late_does_not_replace_that_of_the_next_worker(tmp_path):
    """A slow worker is left, and asked still, while the next one saves."""
    file, problems = tmp_path / "door.safetensors", []
    asked, late = asyncio.Event(), asyncio.Event()

    async def slow(*_, **__):
        asked.set()
        await late.wait()
        return b"older"

    async def quick(*_, **__):
        return b"newer"

    before, after = (TrackStateCopy(call, 1, file, problems.append) for call in (slow, quick))
    before.saved(Saved(1, 1, 5))
    await asked.wait()
    await before.settle(0.01)
    after.saved(Saved(2, 1, 5))
    await asyncio.sleep(0.05)  # as far as it comes
    late.set()
    await after.settle(patient(20))
    await before.settle(patient(20))
    assert file.read_bytes() == b"newer"
    assert [path.name for path in tmp_path.iterdir()] == [file.name]
    assert problems == []
