"""`maskcast demo`: the main job on a bundled clip with the embedded checkpoint, a broker and a subscriber included."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from maskcast.errors import UsageError
from streaming.commands.progress import ProgressDisplay
from streaming.event_loop import run_until_stopped
from streaming.pipeline.controls import Controls
from streaming.pipeline.job import Job
from streaming.pipeline.jobs import exit_code, run_jobs
from streaming.pipeline.report import Report
from streaming.pipeline.worker import Worker, engine_loader
from trackers.options import EngineOptions

CLIP = Path(__file__).with_name("demo.mp4")
MODEL = "nano"
PROMPTS = ("red circle", "star", "green square", "triangle")
STREAM = "demo"
PREFIX = "maskcast"
HOST = "127.0.0.1"
# What the reference holds results back by for files: false tracks of a few frames are taken back.
HOT_START_FRAMES = 15
FAREWELL_SECONDS = 2.0
NOTICE = (
    f"The model `{MODEL}` only knows six shapes in six colours, on rendered scenes. Footage of the real world needs a "
    "real checkpoint: see README.md."
)


@dataclass
class Heard:
    """What the subscriber received.

    Attributes:
        messages: number by topic, without prefix and stream.
        tracks: prompt of each confirmed track by its id.
    """

    messages: Counter[str] = field(default_factory=Counter)
    tracks: dict[int, str] = field(default_factory=dict)


def run_demo(folder: Path) -> tuple[list[str], int]:
    """Track the bundled clip and write `demo.mp4` and `demo.jsonl` into `folder`.

    Returns:
        What to tell the person, and the exit code.

    Raises:
        MaskcastError: it could not begin.
    """
    started = time.monotonic()
    heard = Heard()

    async def main(stop: asyncio.Event) -> list[Report]:
        async with _broker() as port, _subscriber(port, heard):
            return await _track(folder, port, stop)

    reports = run_until_stopped(main)
    code = exit_code(reports)
    found = Counter(heard.tracks.values())
    lines = [
        *(report.summary() for report in reports if report.stream),
        *(f"error: {error}" for report in reports for error in report.errors),
        "found: " + (", ".join(f"{count} {prompt}" for prompt, count in found.items()) or "nothing"),
        f"MQTT: a subscriber received {_described(heard.messages)} from the broker in this process",
        *(f"look at {file}" for file in (folder / "demo.mp4", folder / "demo.jsonl") if file.exists()),
        NOTICE,
        f"took {time.monotonic() - started:.0f} s",
    ]
    return lines, code


async def _track(folder: Path, port: int, stop: asyncio.Event) -> list[Report]:
    from sinks import open_sink
    from sinks.mqtt.broker import parse_address
    from sinks.mqtt.sink import MqttSink
    from sources import open_source

    outputs = [str(folder / "demo.mp4"), str(folder / "demo.jsonl")]
    # The broker in this process speaks the older version only.
    broker = replace(parse_address(f"mqtt://{HOST}:{port}/{PREFIX}"), protocol="3.1.1")
    worker = Worker(engine_loader(EngineOptions(MODEL, hot_start=HOT_START_FRAMES)))
    with ProgressDisplay() as display:
        await worker.start()
        job = Job(
            open_source=lambda: open_source(str(CLIP), stream=STREAM),
            open_sinks=lambda _: [
                *(open_sink(spec, prompts=PROMPTS) for spec in outputs),
                MqttSink(broker, PROMPTS),
            ],
            controls=Controls(PROMPTS),
            notify=display.notify,
        )
        reports = await run_jobs(worker, [], [job], stop)
    worker.close()
    return reports


@asynccontextmanager
async def _broker() -> AsyncIterator[int]:
    """An MQTT broker inside this process, on a free port of this machine."""
    try:
        from amqtt.broker import Broker
    except ImportError:
        raise UsageError("the demo brings its own MQTT broker", advice="pip install 'maskcast[demo]'") from None
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    broker = Broker(
        {
            "listeners": {"default": {"type": "tcp", "bind": f"{HOST}:{port}"}},
            "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
        }
    )
    await broker.start()
    try:
        yield port
    finally:
        await broker.shutdown()


@asynccontextmanager
async def _subscriber(port: int, heard: Heard) -> AsyncIterator[None]:
    """Someone who consumes what is published, as anyone would."""
    import aiomqtt

    from sinks.messages import topics

    async with aiomqtt.Client(HOST, port) as client:
        await client.subscribe(f"{PREFIX}/{STREAM}/+", topics.READING.qos)

        ended = asyncio.Event()

        async def listen() -> None:
            async for message in client.messages:
                topic = message.topic.value.rsplit("/", 1)[-1]
                heard.messages[topic] += 1
                if heard.messages["status"] == 2:  # online, and the retained farewell: nothing comes after it
                    ended.set()
                if topic == "tracks":
                    assert isinstance(message.payload, bytes)
                    for track in json.loads(message.payload)["tracks"]:
                        if track["state"] == "confirmed":
                            heard.tracks[track["id"]] = track["prompt"]

        listening = asyncio.create_task(listen(), name="demo subscriber")
        try:
            yield
            with suppress(TimeoutError):
                async with asyncio.timeout(FAREWELL_SECONDS):
                    await ended.wait()
        finally:
            listening.cancel()
            with suppress(asyncio.CancelledError):
                await listening


def _described(messages: Counter[str]) -> str:
    return ", ".join(f"{count} messages on {topic}" for topic, count in sorted(messages.items())) or "nothing"
