"""`maskcast demo`: the main job on a bundled clip with the embedded checkpoint, a broker and a subscriber included."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskcast.errors import UsageError
from sinks.partial import prepare_target
from streaming.commands.progress import ProgressDisplay
from streaming.event_loop import run_until_stopped
from streaming.pipeline.controls import Controls
from streaming.pipeline.job import Job
from streaming.pipeline.jobs import exit_code, run_jobs
from streaming.pipeline.report import Report
from streaming.pipeline.worker import Worker, engine_loader
from trackers.defaults import MODEL as DEFAULT_MODEL
from trackers.hub.name import without_revision
from trackers.options import EngineOptions

if TYPE_CHECKING:
    from streaming.commands.view import View

CLIP = Path(__file__).with_name("demo.mp4")
MODEL = "nano"
# What to look for, and how many of it the clip shows; training/render_demo.py has its script.
OBJECTS = {"red circle": 2, "star": 1, "green square": 1, "triangle": 1}
PROMPTS = tuple(OBJECTS)
STREAM = "demo"
PREFIX = "maskcast"
HOST = "127.0.0.1"
# What the reference holds results back by for files: false tracks of a few frames are taken back.
HOT_START_FRAMES = 15
FAREWELL_SECONDS = 2.0
NOTICE = (
    f"the model `{MODEL}` only knows six shapes in six colours, on rendered scenes; for footage of the real world let "
    f"`maskcast track` take its default model, {without_revision(DEFAULT_MODEL)}, which it downloads"
)


@dataclass
class Seen:
    """A confirmed track as the subscriber saw it.

    Attributes:
        prompt: that it matches.
        first: when it was first seen, in seconds of the clip.
        last: when it was last seen.
    """

    prompt: str
    first: float
    last: float


@dataclass
class Heard:
    """What the subscriber received.

    Attributes:
        messages: number by topic, without prefix and stream.
        tracks: each confirmed track by its id.
    """

    messages: Counter[str] = field(default_factory=Counter)
    tracks: dict[int, Seen] = field(default_factory=dict)

    def frame(self, message: Mapping[str, Any]) -> None:
        """Note the tracks of a frame, a message of ``maskcast.frame``."""
        for track in message["tracks"]:
            if track["state"] == "confirmed":
                seen = self.tracks.setdefault(track["id"], Seen(track["prompt"], message["pts"], message["pts"]))
                seen.last = message["pts"]

    def miscounted(self) -> list[str]:
        """A line for each prompt of which the model numbered more or fewer objects than the clip has."""
        lines = []
        for prompt, objects in OBJECTS.items():
            tracks = {number: seen for number, seen in self.tracks.items() if seen.prompt == prompt}
            if len(tracks) == objects:
                continue
            told = " and ".join(f"{number} ({seen.first:.1f} to {seen.last:.1f} s)" for number, seen in tracks.items())
            line = f"the clip has {objects} {prompt}, the model numbered {len(tracks)}"
            more = "; what it loses sight of, or only half sees, it may take for a new object"
            lines.append(f"{line}: {told}{more if len(tracks) > objects else ''}" if told else line)
        return lines


def run_demo(folder: Path, say: Callable[[str], None] = lambda _: None, *, view: bool = False) -> tuple[list[str], int]:
    """Track the bundled clip and write `demo.mp4` and `demo.jsonl` into `folder`, which is made if it is missing.

    With `view` the live page shows it meanwhile; `say` is told where.

    Returns:
        What to tell the person, and the exit code.

    Raises:
        MaskcastError: it could not begin.
    """
    started = time.monotonic()
    for output in folder / "demo.mp4", folder / "demo.jsonl":  # of an earlier demo; they are replaced
        prepare_target(output)
    heard = Heard()

    async def main(stop: asyncio.Event) -> list[Report]:
        async with AsyncExitStack() as ending:
            page = None
            if view:
                from streaming.commands.view import View

                page = await ending.enter_async_context(View(say))
            port = await ending.enter_async_context(_broker())
            await ending.enter_async_context(_subscriber(port, heard))
            return await _track(folder, port, stop, page)

    reports = run_until_stopped(main)
    code = exit_code(reports)
    found = Counter(seen.prompt for seen in heard.tracks.values())
    lines = [
        *(report.summary() for report in reports if report.stream),
        *(f"error: {error}" for report in reports for error in report.errors),
        "found: " + (", ".join(f"{count} {prompt}" for prompt, count in found.items()) or "nothing"),
        *heard.miscounted(),
        f"MQTT: a subscriber received {_described(heard.messages)} from the broker in this process",
        *(f"look at {file}" for file in (folder / "demo.mp4", folder / "demo.jsonl") if file.exists()),
        NOTICE,
        f"took {time.monotonic() - started:.0f} s",
    ]
    return lines, code


async def _track(folder: Path, port: int, stop: asyncio.Event, page: View | None) -> list[Report]:
    from sinks import open_sink
    from sinks.mqtt.broker import parse_address
    from sinks.mqtt.sink import MqttSink
    from sources import open_source

    outputs = [str(folder / "demo.mp4"), str(folder / "demo.jsonl")]
    # The broker in this process speaks the older version only.
    broker = replace(parse_address(f"mqtt://{HOST}:{port}/{PREFIX}"), protocol="3.1.1")
    # To compile the model takes longer than the clip.
    worker = Worker(engine_loader(EngineOptions(MODEL, hot_start=HOT_START_FRAMES, compile=False)))
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
        reports = await run_jobs(worker, [], [page.showing(job, STREAM) if page else job], stop)
    worker.close()
    return reports


@asynccontextmanager
async def _broker() -> AsyncIterator[int]:
    """An MQTT broker inside this process, on a free port of this machine."""
    try:
        from amqtt.broker import Broker
    except ImportError:
        raise UsageError(
            "the demo runs an MQTT broker in its own process, which is not installed",
            advice="install Maskcast with [demo] behind the checkout's path, or the package amqtt beside it",
        ) from None
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
                    heard.frame(json.loads(message.payload))

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
