"""When a track state is written, and who hears that it cannot be."""

import itertools
import threading
import time

import streaming.pipeline.worker
from maskcast.errors import SinkError
from maskcast.notices import TrackStateSaved
from streaming.pipeline.saving import SAVING_SHARE, Saving, TrackStateFile
from tests.patience import patient
from tests.pipelines import Frames, Model, Record, job, run


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
        if saving.due:
            await saving.save(final=False)
    await saving.save(final=True)
    assert disk.written == [False, True]


async def test_each_reason_is_told_once(tmp_path):
    told = []
    disk = Disk("the disk is full", "the disk is full", "no such folder", "the disk is full")
    saving = Saving(TrackStateFile(tmp_path / "door", 0.0), disk, None, told.append)
    for _ in range(5):
        assert saving.due
        await saving.save(final=False)
    assert [str(error) for error in told] == ["the disk is full", "no such folder"]
    assert disk.written == [False]


async def test_each_that_was_written_is_told(tmp_path):
    told = []
    wanted = TrackStateFile(tmp_path / "door", 0.0)
    saving = Saving(wanted, Disk("the disk is full"), None, lambda _: None, told.append)
    await saving.save(final=False)
    assert told == []
    await saving.save(final=True)
    assert told == [TrackStateSaved(wanted.file)]


class Saved:
    """What a `SavingModel` hands out to be written; takes its time."""

    def __init__(self, model, step, final):
        self.model, self.step, self.final = model, step, final

    def write(self, file):
        time.sleep(self.model.writing)
        self.model.written.append((time.monotonic(), self.step, self.final))


class SavingModel(Model):
    """A model with track states."""

    def __init__(self, writing=0.0, **options):
        super().__init__(**options)
        self.writing, self.written = writing, []

    def require_track_state(self):
        pass

    def resume_stream(self, file, prompts, known):
        raise FileNotFoundError(file)

    def save_stream(self, stream, *, final):
        return Saved(self, sum(self.batches), final)


def saving_job(source, tmp_path, seconds):
    return job(source, Record(), track_state=TrackStateFile(tmp_path / "track_state", seconds))


async def test_after_the_model_failed_the_track_state_from_before_is_left_alone(tmp_path):
    model = SavingModel(fail_at=5)
    (report,) = await run([saving_job(Frames(20), tmp_path, 0.0)], model)
    assert len(report.errors) == 1
    assert model.written
    assert not any(final for _, _, final in model.written)
    model = SavingModel()
    await run([saving_job(Frames(20), tmp_path, 0.0)], model)
    assert [final for _, _, final in model.written][-1]


async def test_track_states_take_a_small_share_of_the_time_however_long_one_takes(tmp_path):
    model = SavingModel(writing=0.05)
    await run([], model, live=[saving_job(Frames(300, live=True, interval=0.01), tmp_path, 0.15)])
    began = [moment for moment, _, final in model.written if not final]
    assert len(began) >= 2
    assert min(after - before for before, after in itertools.pairwise(began)) > 0.05 / SAVING_SHARE


async def test_a_disk_that_hangs_under_a_track_state_holds_no_stream(tmp_path, monkeypatch):
    monkeypatch.setattr(streaming.pipeline.worker, "SAVE_TIMEOUT_SECONDS", 0.5)
    go, reading, writing = threading.Event(), [], []

    class Hanging(SavingModel):
        def resume_stream(self, file, prompts, known):
            reading.append(file)
            raise FileNotFoundError(file)

        def save_stream(self, stream, *, final):
            return self

        def write(self, file):
            writing.append(file)
            assert go.wait(patient(60))

    model = Hanging()
    reports = await run([saving_job(Frames(20), tmp_path / name, 0.0) for name in "ab"], model)
    assert [report.frames for report in reports] == [20, 20]
    assert len(writing) == 1, "what waits for the disk must not pile up"
    assert len(reading) == 1, "the model's thread must not wait for it"
    for report in reports:
        (error,) = report.errors
        assert isinstance(error, SinkError)
        assert "track state" in str(error)
    go.set()
