"""What it costs that somebody looks: the live page beside an MJPEG stream of pictures that the server draws.

    python benchmarks/page.py clip.mp4 [--rate 10] [--width 1280] [--viewers 10] [--seconds 5] [--runs 3]
        [--no-browser] [--json]

A live stream of the clip's pictures with ten masks each passes through the real pipeline, an engine that knows the
answer, and the real web server; viewers, in a process of their own, read all that comes and say they have drawn it.
Each way is run with nobody, with one viewer and with several, in turns: milliseconds of all processors of the server's
process, a second of viewing, medians. The first viewer pays for the encoding, further ones for what is sent to them.
Latency counts from the frame's birth in its source to the message at the viewer, decoding left out. Where chromium and
playwright are installed, the page itself is opened, and counted until the browser has painted.

The peer draws and encodes each picture once for all who look (`multipart/x-mixed-replace`, as IP cameras do), on the
same server: masks are burnt in, nothing can be clicked, and a viewer that is slow lags behind.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import re
import resource
import shutil
import statistics
import struct
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction
from functools import partial
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import aiohttp
from aiohttp import web

from benchmarks.io import MASKS, Tracks, table, worker_without_model
from benchmarks.messages import ticks
from maskcast.frame import Frame
from maskcast.result import Result
from maskcast.stream_info import StreamInfo
from maskcast.threads import SerialThread
from sinks.sink import Sink
from sinks.video.still import annotated_jpeg
from sinks.video.style import OUTLINED
from sources import open_source
from streaming.page.board import Board, ShownStream
from streaming.page.connections import keep
from streaming.page.live import Live
from streaming.page.part import Part
from streaming.page.server import WebServer
from streaming.page.stream_state import StreamState
from streaming.page.view_sink import ViewSink
from streaming.pipeline.controls import Controls
from streaming.pipeline.job import Job
from streaming.pipeline.stream import run_stream
from streaming.process import leave
from streaming.settings.web import HttpSettings

STREAM = "camera"
CLIP_FRAMES = 60  # kept decoded, and repeated
SETTLE_SECONDS = 1.0  # of each run that do not count
PART = b"frame"
PTS = re.compile(rb'"pts":([0-9.]+)')
TARGET_MILLISECONDS = 150.0
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# Notes the milliseconds from a frame's time until the browser has painted it.
PAINTED = """() => { window.took = []; document.addEventListener("drawn", event => requestAnimationFrame(() => {
  const channel = new MessageChannel();
  channel.port1.onmessage = () => window.took.push(Date.now() - Date.parse(event.detail.time));
  channel.port2.postMessage(0);
})); }"""


class Run(NamedTuple):
    """One run: ms of CPU a second, frames a second of the pipeline, ms until a viewer has a picture, its kilobytes."""

    cpu: float
    frames: float
    latency: float
    size: float


class Camera:
    """A live source of a clip's pictures, over and over; `pts` are the moments of their birth."""

    def __init__(self, frames: list[Frame], rate: float) -> None:
        """Prepare."""
        size = frames[0].picture
        self.info = StreamInfo(STREAM, size.width, size.height, Fraction(1, 1000), Fraction(rate), None, live=True)
        self._frames, self._rate, self._closed = frames, rate, threading.Event()

    def __iter__(self) -> Iterator[Frame]:
        """One after the other, until closed."""
        for index, moment in ticks(self._rate, self._closed):
            picture = self._frames[index % len(self._frames)].picture
            yield Frame(STREAM, index, moment, datetime.now(UTC), picture)

    def close(self) -> None:
        """No more."""
        self._closed.set()


class Mjpeg(Part):
    """The peer: each picture drawn and encoded once, while somebody looks, and sent to all who do."""

    def __init__(self, width: int) -> None:
        """Make pictures of that width."""
        self._width, self._thread = width, SerialThread("draw for the peer")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._viewers: set[asyncio.Queue[bytes]] = set()
        self._busy = False

    def routes(self) -> Iterable[web.RouteDef]:
        return [web.get("/mjpeg", self._serve)]

    async def begin(self) -> None:
        self._loop = asyncio.get_running_loop()

    def show(self, result: Result) -> None:
        """Take a result, if nobody waits for the one before."""
        if self._viewers and self._loop and not self._busy:
            self._busy = True
            self._thread.submit(partial(self._draw, result)).add_done_callback(lambda _: self._free())

    def _free(self) -> None:
        self._busy = False

    def _draw(self, result: Result) -> None:
        jpeg = annotated_jpeg(result, None, OUTLINED, self._width)
        head = b"--%b\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\nX-Pts: %f\r\n\r\n"
        assert self._loop
        self._loop.call_soon_threadsafe(self._tell, head % (PART, len(jpeg), result.frame.pts) + jpeg + b"\r\n")

    def _tell(self, part: bytes) -> None:
        for viewer in self._viewers:
            if not viewer.full():
                viewer.put_nowait(part)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        keep(request)
        answer = web.StreamResponse(headers={"Content-Type": f"multipart/x-mixed-replace; boundary={PART.decode()}"})
        await answer.prepare(request)
        viewer: asyncio.Queue[bytes] = asyncio.Queue(2)
        self._viewers.add(viewer)
        try:
            while True:
                await answer.write(await viewer.get())
        finally:
            self._viewers.discard(viewer)


class Count(Sink):
    """Counts what the pipeline delivers."""

    def __init__(self) -> None:
        """Begin at 0."""
        super().__init__("count")
        self.frames = 0

    async def start(self, info: StreamInfo) -> None:
        """Nothing to open."""

    async def write(self, result: Result) -> None:  # noqa: ARG002 - that there is one counts
        self.frames += 1

    async def finish(self, reason: str | None) -> None:
        """Nothing to close."""


def look(pipe: Connection) -> None:
    """In a process of its own: view what is asked for, and tell how long each picture took, and its bytes."""
    with suppress(EOFError):
        while True:
            asyncio.run(view(pipe, *pipe.recv()))


async def view(pipe: Connection, way: str, url: str, viewers: int, width: int, rate: float) -> None:
    """One run."""
    seen: list[tuple[float, float, int]] = []

    async def page(session: aiohttp.ClientSession) -> None:
        async with session.ws_connect(f"{url}live") as socket:
            # A little above the stream's: each picture is to come.
            await socket.send_json({"type": "watch", "streams": {STREAM: width}, "rate": min(30.0, 1.5 * rate)})
            async for message in socket:
                if message.type is aiohttp.WSMsgType.BINARY:
                    now = time.monotonic()
                    (length,) = struct.unpack(">I", message.data[:4])
                    moment = PTS.search(message.data, 4, 4 + length)
                    assert moment
                    seen.append((now, now - float(moment[1]), len(message.data)))
                    await socket.send_json({"type": "drawn", "stream": STREAM})

    async def mjpeg(session: aiohttp.ClientSession) -> None:
        async with session.get(f"{url}mjpeg") as answer:
            reader = aiohttp.MultipartReader.from_response(answer).stream
            while (part := await reader.next()) is not None:
                assert isinstance(part, aiohttp.BodyPartReader)
                data = await part.read()
                now = time.monotonic()
                seen.append((now, now - float(part.headers["X-Pts"]), len(data)))

    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout()) as session:
        one = page if way == "page" else mjpeg
        looking = [asyncio.create_task(one(session), name="viewer") for _ in range(viewers)]
        pipe.send("ready")
        begin, end = await asyncio.to_thread(pipe.recv)
        pipe.send([(took, size) for now, took, size in seen if begin <= now <= end])
        for task in looking:
            task.cancel()
        await asyncio.wait(looking)


def measure(
    frames: list[Frame], tracks: Tracks, way: str, viewers: int, audience: Connection, options: argparse.Namespace
) -> Run:
    """One run of a way, which `audience` looks at."""
    board, peer, count = Board(), Mjpeg(options.width), Count()
    controls = Controls(["person"])
    state = StreamState(controls)
    stream = ShownStream(STREAM, state.describe)
    server = WebServer(HttpSettings(listen="127.0.0.1:0"), [Live(board), peer])

    async def run() -> Run:
        board.add(stream)
        server.start()
        if viewers:
            audience.send((way, server.url, viewers, options.width, options.rate))
            await asyncio.to_thread(audience.recv)
        show = peer.show if way == "mjpeg" else partial(board.put, stream)
        job = Job(
            open_source=lambda: Camera(frames, options.rate),
            open_sinks=lambda _: [count, ViewSink(show)],
            controls=controls,
            notify=state.notify,
        )
        worker, stop = worker_without_model(tracks), asyncio.Event()
        await worker.start()
        running = asyncio.create_task(run_stream(job, worker, stop), name="pipeline")
        await asyncio.sleep(SETTLE_SECONDS)
        begin, before, delivered = time.monotonic(), cpu_seconds(), count.frames
        await asyncio.sleep(options.seconds)
        end, after = time.monotonic(), cpu_seconds()
        shown = count.frames - delivered
        seen: list[tuple[float, int]] = []
        if viewers:
            audience.send((begin, end))
            seen = await asyncio.to_thread(audience.recv)
        stop.set()
        report = await running
        worker.close()
        if report.errors:
            raise report.errors[0]
        latency = statistics.median(took for took, _ in seen) if seen else 0.0
        size = statistics.median(size for _, size in seen) if seen else 0.0
        seconds = end - begin
        return Run((after - before) / seconds * 1e3, shown / seconds, latency * 1e3, size / 1e3)

    try:
        return asyncio.run(run())
    finally:
        server.close()


def cpu_seconds() -> float:
    """Of this process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def painted(frames: list[Frame], tracks: Tracks, options: argparse.Namespace) -> list[float]:
    """Milliseconds from each frame's birth until chromium has painted it and its masks on the page; empty without."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return []
    if CHROMIUM is None:
        return []
    board, controls, stop = Board(), Controls(["person"]), threading.Event()
    state = StreamState(controls)
    stream = ShownStream(STREAM, state.describe)
    server = WebServer(HttpSettings(listen="127.0.0.1:0"), [Live(board)])

    async def run() -> None:
        board.add(stream)
        worker, over = worker_without_model(tracks), asyncio.Event()
        await worker.start()
        job = Job(
            open_source=lambda: Camera(frames, options.rate),
            open_sinks=lambda _: [ViewSink(partial(board.put, stream))],
            controls=controls,
            notify=state.notify,
        )
        running = asyncio.create_task(run_stream(job, worker, over), name="pipeline")
        await asyncio.to_thread(stop.wait)
        over.set()
        await running
        worker.close()

    pipeline = threading.Thread(target=lambda: asyncio.run(run()), name="pipeline")
    server.start()
    pipeline.start()
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": options.width + 420, "height": 900})
            page.goto(f"{server.url}#/stream/{STREAM}")
            page.evaluate(PAINTED)
            page.wait_for_timeout(SETTLE_SECONDS * 2e3)
            page.evaluate("() => { window.took = []; }")
            page.wait_for_timeout(options.seconds * 1e3)
            took: list[float] = page.evaluate("() => window.took")
            browser.close()
    finally:
        stop.set()
        pipeline.join()
        server.close()
    return took


def decoded(clip: Path) -> list[Frame]:
    """The first frames of a clip, with their pictures in both forms: what the pipeline needs is not measured."""
    source = open_source(str(clip))
    try:
        frames = [replace(frame, audio=()) for frame in islice(iter(source), CLIP_FRAMES)]
    finally:
        source.close()
    for frame in frames:
        frame.picture.rgb()
        frame.picture.yuv420p()
    return frames


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--rate", type=float, default=10.0, help="frames a second of the stream")
    parser.add_argument("--width", type=int, default=1280, help="of the pictures that viewers ask for")
    parser.add_argument("--viewers", type=int, default=10, help="of the runs with several")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each run")
    parser.add_argument("--runs", type=int, default=3, help="of each way, in turns")
    parser.add_argument("--no-browser", action="store_true", help="leave the pixels out")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    options = parser.parse_args()
    frames = decoded(options.clip)
    size = frames[0].picture
    tracks = Tracks(size.width, size.height)
    ways = [("nobody", "page", 0)]
    for way in ("page", "mjpeg"):
        ways += [(f"{way}, {viewers}", way, viewers) for viewers in (1, options.viewers)]
    runs: dict[str, list[Run]] = {name: [] for name, _, _ in ways}
    context = multiprocessing.get_context("spawn")
    audience, theirs = context.Pipe()
    context.Process(target=look, args=(theirs,), name="viewers", daemon=True).start()
    for _ in range(options.runs):
        for name, way, viewers in ways:
            runs[name].append(measure(frames, tracks, way, viewers, audience, options))
    audience.close()
    medians = {name: Run(*(statistics.median(one) for one in zip(*some, strict=True))) for name, some in runs.items()}
    browser = [] if options.no_browser else painted(frames, tracks, options)

    nobody = medians["nobody"].cpu
    print(f"{options.clip.name}: {size.width}x{size.height}, {MASKS} masks, {options.rate:g}/s, {options.width} wide")
    rows = [["", "CPU ms/s", "first viewer", "each further", "frames/s", "ms to the viewer", "KB/picture"]]
    rows.append(["nobody", f"{nobody:.0f}", "", "", f"{medians['nobody'].frames:.1f}", "", ""])
    costs: dict[str, dict[str, float]] = {}
    for way in ("page", "mjpeg"):
        one, many = medians[f"{way}, 1"], medians[f"{way}, {options.viewers}"]
        further = (many.cpu - one.cpu) / max(options.viewers - 1, 1)
        costs[way] = {"first": round(one.cpu - nobody, 2), "further": round(further, 2)}
        for name, run in ((f"{way}, 1", one), (f"{way}, {options.viewers}", many)):
            cells = [f"{run.cpu:.0f}", f"{one.cpu - nobody:.0f}" if run is one else "", ""]
            cells[2] = "" if run is one else f"{further:.1f}"
            rows.append([name, *cells, f"{run.frames:.1f}", f"{run.latency:.1f}", f"{run.size:.0f}"])
    print(table(rows))
    shown = statistics.median(browser) if browser else None
    if shown is None:
        print("no chromium with playwright: how late the pixels are was not measured")
    else:
        met = "met" if shown <= TARGET_MILLISECONDS else "missed"
        print(f"birth to pixels in chromium: {shown:.0f} ms, median of {len(browser)} ({TARGET_MILLISECONDS:g}: {met})")
    if options.json:
        told: dict[str, Any] = {"benchmark": "page", "width": size.width, "height": size.height, "masks": MASKS}
        told |= {"rate": options.rate, "picture_width": options.width, "viewers": options.viewers}
        told["cpu_ms_per_second"] = costs
        told["runs"] = {
            name: {key: round(value, 2) for key, value in run._asdict().items()} for name, run in medians.items()
        }
        told["pixels_ms"] = shown
        print(json.dumps(told))


if __name__ == "__main__":
    main()
    leave(0)  # decoders and models may still be at work on their threads
