"""Prompts and a pause that are asked for while the stream runs."""

import asyncio
import itertools
import threading
from dataclasses import replace

import pytest

from maskcast.prompts import Prompt
from maskcast.result import EventKind
from streaming.pipeline.controls import Controls
from streaming.pipeline.jobs import run_jobs
from streaming.pipeline.stream import run_stream
from streaming.pipeline.worker import Worker
from tests.patience import eventually_async, patient
from tests.pipelines import Frames, Model, Record, Requested, job, run


async def test_prompts_that_change_while_the_stream_is_opened_are_followed():
    controls = Controls(["cat"])
    model = Requested(controls)
    await run([], model, live=[job(Frames(5, live=True, interval=0.01), Record(), controls=controls)])
    assert model.changes == [(Prompt("dog"),)]


async def test_prompts_and_pause_change_between_two_frames():
    source, sink, model = Frames(None, live=True, interval=0.01), Record(), Model()
    events, stop = [], asyncio.Event()

    async def reads(count):
        wanted = source.read + count
        await eventually_async(lambda: source.read >= wanted)

    async def note(result):
        events.extend(event.kind for event in result.events)

    sink.note = note

    controls = Controls(["cat"])
    worker = Worker(lambda: model)
    await worker.start()
    running = asyncio.create_task(run_jobs(worker, [job(source, sink, controls=controls)], [], stop))
    await eventually_async(lambda: sink.indices)
    controls.set_prompts(["dog"])
    controls.pause(True)
    await reads(10)  # what was on its way has arrived
    before = len(sink.indices)
    await reads(50)
    paused = len(sink.indices)
    controls.pause(False)
    await eventually_async(lambda: len(sink.indices) > paused)
    stop.set()
    await running
    worker.close()
    assert model.changes == [(Prompt("dog"),)]
    assert events == [EventKind.ENDED], "what the change ended is told"
    assert before == paused < len(sink.indices), "and it went on afterwards"


async def test_what_waits_for_frames_is_done_while_a_source_is_opened():
    controls, reachable, done = Controls(["cat"]), threading.Event(), []

    async def act():
        await asyncio.sleep(0.01)
        done.append(len(done))

    def opened():
        assert reachable.wait(patient(30))
        return Frames(5)

    class Noted(Model):
        def open_stream(self, prompts):
            self.opened = tuple(prompts)
            return super().open_stream(prompts)

    model = Noted()
    running = asyncio.create_task(run([job(opened, Record(), controls=controls)], model))
    await asyncio.sleep(0.05)
    for _ in range(2):
        wanted = len(done) + 1
        controls.between_frames(act)
        await eventually_async(lambda wanted=wanted: len(done) == wanted)
    controls.set_prompts(["dog"])
    await asyncio.sleep(0.01)
    reachable.set()
    assert (await running)[0].frames == 5
    assert (model.opened, model.changes, done) == ((Prompt("dog"),), [], [0, 1])


@pytest.mark.parametrize("change", ["pause", "prompts"])
async def test_no_frame_of_an_offline_stream_is_lost_however_the_controls_change(change):
    """The change comes at any moment, also in the very one in which a frame could be taken."""
    source, sink, controls = Frames(150, interval=0.001), Record(), Controls(["cat"])
    offline = replace(job(source, sink), controls=controls)

    async def meddle():
        for number in itertools.count():
            await asyncio.sleep(0.0013)
            if change == "prompts":
                controls.set_prompts([f"cat {number}"])
            else:
                controls.pause(True)
                await asyncio.sleep(0)
                controls.pause(False)

    worker = Worker(Model)
    await worker.start()
    meddling = asyncio.create_task(meddle())
    await asyncio.wait_for(run_stream(offline, worker, asyncio.Event()), patient(60))
    meddling.cancel()
    worker.close()
    assert sink.indices == list(range(150))
