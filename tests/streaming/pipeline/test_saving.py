"""When a track state is written, and who hears that it cannot be."""

from maskcast.errors import SinkError
from streaming.pipeline.saving import Saving, TrackStateFile


class Disk:
    """A worker that counts what is to be written, and fails with each of `errors` once."""

    def __init__(self, *errors, seconds=0.0):
        self.errors, self.seconds, self.written = list(errors), seconds, []

    async def save_stream(self, _lane, _file, *, final):
        if self.errors:
            raise SinkError(self.errors.pop(0))
        self.written.append(final)
        return self.seconds


async def test_the_first_is_due_at_once_and_the_next_after_the_pause(tmp_path):
    disk = Disk()
    saving = Saving(TrackStateFile(tmp_path / "door", 1000.0), disk, None, lambda _: None)
    for _ in range(3):
        await saving.save_if_due()
    await saving.save(final=True)
    assert disk.written == [False, True]


async def test_each_reason_is_told_once(tmp_path):
    told = []
    disk = Disk("the disk is full", "the disk is full", "no such folder", "the disk is full")
    saving = Saving(TrackStateFile(tmp_path / "door", 0.0), disk, None, told.append)
    for _ in range(5):
        await saving.save_if_due()
    assert [str(error) for error in told] == ["the disk is full", "no such folder"]
    assert disk.written == [False]
