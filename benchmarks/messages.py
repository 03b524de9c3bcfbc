"""What lies around the model: how late is a message, and how many go through?

    python benchmarks/messages.py [--streams 1 4] [--rate 30] [--seconds 10] [--json]

Live streams of 720p with ten masks a frame pass through the real pipeline, an engine that knows the answer, Mosquitto
and a subscriber in a process of its own. Latency counts from the frame's birth in its source to the subscriber's
callback; decoding and conversion, which depend on the camera, are left out. The peer is bare paho-mqtt on threads,
which publishes prebuilt payloads of the same size at the same moments: nothing in Python can be much faster. Then both
are given more than they can take.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import re
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from fractions import Fraction
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple, cast

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import paho.mqtt.client as paho

from benchmarks.io import MASKS, Tracks, table, worker_without_model
from maskcast.frame import Frame
from maskcast.picture import Colour, Image, Planes
from maskcast.result import Result
from maskcast.stream_info import StreamInfo
from sinks.messages.frame import frame_message
from sinks.mqtt.broker import parse_address
from sinks.mqtt.journal import Journal
from sinks.mqtt.publisher import Publisher, PublisherSink
from streaming.pipeline.controls import Controls
from streaming.pipeline.job import Job
from streaming.pipeline.stream import run_stream
from streaming.process import leave
from tests import broker as brokers

SIZE = (720, 1280)
TRACKS = Tracks(SIZE[1], SIZE[0])
PREFIX = "bench"
BROKER = ["set_tcp_nodelay true"]  # or the end of some messages waits 40 ms; see docs/mqtt.md
SETTLE_SECONDS = 0.5  # of each run that do not count
FLOOD_STREAMS, FLOOD_RATE = 4, 150  # frames a second of each: more than goes through
PTS = re.compile(rb'"pts":([0-9.]+)')


class Run(NamedTuple):
    """One run: frames a second that arrived, milliseconds that they took, seconds of all processors a second."""

    frames: float
    median: float
    p99: float
    cpu: float


class Still:
    """A picture that needs no conversion."""

    colour = Colour()
    height, width = SIZE
    _rgb: Image = np.zeros((*SIZE, 3), np.uint8)

    def rgb(self) -> Image:
        """It in RGB."""
        return self._rgb

    def yuv420p(self) -> Planes:
        """Nobody draws on it."""
        raise NotImplementedError


class Camera:
    """A live source of so many frames a second; their `pts` are the moments of their birth."""

    def __init__(self, stream: str, rate: float) -> None:
        """Prepare."""
        self.info = StreamInfo(stream, SIZE[1], SIZE[0], Fraction(1, 1000), Fraction(rate), None, live=True)
        self._rate, self._closed = rate, threading.Event()

    def __iter__(self) -> Iterator[Frame]:
        """One after the other, until closed."""
        picture = Still()
        for index, moment in ticks(self._rate, self._closed):
            yield Frame(self.info.stream, index, moment, datetime.now(UTC), picture)

    def close(self) -> None:
        """No more."""
        self._closed.set()


def ticks(rate: float, over: threading.Event) -> Iterator[tuple[int, float]]:
    """Numbers and `time.monotonic` of moments that are due so many times a second; none is made up for."""
    due = time.monotonic()
    for index in count():
        if over.wait(max(0.0, due - time.monotonic())):
            return
        moment = time.monotonic()
        yield index, moment
        due = max(due + 1 / rate, moment)


def subscribe(port: int, pipe: Connection) -> None:
    """In a process of its own: how long each message took, by the moment that it carries; sent when asked for."""
    seen: list[tuple[float, float]] = []

    def take(_client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        now = time.monotonic()
        if found := PTS.search(message.payload, 0, 200):
            seen.append((float(found[1]), now))

    client = paho.Client(paho.CallbackAPIVersion.VERSION2)
    client.on_message = take
    client.on_connect = lambda *_: client.subscribe(f"{PREFIX}/+/tracks")
    client.on_subscribe = lambda *_: pipe.send(None)
    client.connect("127.0.0.1", port)
    client.loop_start()
    while (window := pipe.recv()) is not None:
        begin, end = window
        pipe.send([now - born for born, now in seen if begin <= born < end])
        seen.clear()
    client.disconnect()
    client.loop_stop()


class Bench:
    """A broker and its subscriber, and what is measured against them."""

    def __init__(self, port: int, seconds: float) -> None:
        """Start the subscriber."""
        self._port, self._seconds = port, seconds
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._subscriber = context.Process(target=subscribe, args=(port, theirs), daemon=True)
        self._subscriber.start()
        self._pipe.recv()

    def close(self) -> None:
        """End the subscriber."""
        self._pipe.send(None)
        self._subscriber.join()

    def maskcast(self, streams: int, rate: float) -> Run:
        """The real pipeline."""
        return asyncio.run(self._pipeline(streams, rate))

    async def _pipeline(self, streams: int, rate: float) -> Run:
        stop, journal = asyncio.Event(), Journal(None)
        worker = worker_without_model(TRACKS, batch_wait=0.0)
        await worker.start()
        address = parse_address(f"mqtt://127.0.0.1:{self._port}/{PREFIX}")
        names = [f"camera{number}" for number in range(streams)]
        publishers = [Publisher(address, name, journal=journal) for name in names]
        async with asyncio.TaskGroup() as group:
            for publisher in publishers:
                await publisher.start(required=True)
                job = Job(
                    open_source=lambda name=publisher.stream: Camera(name, rate),
                    open_sinks=lambda _, publisher=publisher: [PublisherSink(publisher)],
                    controls=Controls(["person"]),
                )
                group.create_task(run_stream(job, worker, stop))
            await asyncio.sleep(SETTLE_SECONDS)
            begin, cpu = time.monotonic(), time.process_time()
            await asyncio.sleep(self._seconds)
            end, cpu = time.monotonic(), time.process_time() - cpu
            stop.set()
        for publisher in publishers:
            await publisher.close(None)
        await journal.close()
        worker.close()
        return self._seen(begin, end, cpu)

    def paho(self, streams: int, rate: float | None) -> Run:
        """Bare threads that publish what was made before; without a `rate`, as fast as the network takes it."""
        over = threading.Event()
        threads = [threading.Thread(target=self._publish, args=(number, rate, over)) for number in range(streams)]
        for thread in threads:
            thread.start()
        time.sleep(SETTLE_SECONDS)
        begin, cpu = time.monotonic(), time.process_time()
        time.sleep(self._seconds)
        end, cpu = time.monotonic(), time.process_time() - cpu
        over.set()
        for thread in threads:
            thread.join()
        return self._seen(begin, end, cpu)

    def _publish(self, number: int, rate: float | None, over: threading.Event) -> None:
        camera = Camera(f"peer{number}", 1)
        frame = next(iter(camera))
        before, _, after = frame_message(Result(frame, TRACKS.at(0))).json_bytes().partition(b'"pts":')
        _, _, after = after.partition(b",")
        client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        client.connect("127.0.0.1", self._port)
        client.loop_start()
        topic = f"{PREFIX}/{camera.info.stream}/tracks"
        for _, moment in ticks(rate or float("inf"), over):
            message = client.publish(topic, b'%s"pts":%.6f,%s' % (before, moment, after))
            if rate is None:
                message.wait_for_publish(1)
        client.disconnect()
        client.loop_stop()

    def _seen(self, begin: float, end: float, cpu: float) -> Run:
        time.sleep(0.3)  # until the last has arrived
        self._pipe.send((begin, end))
        took = sorted(cast("list[float]", self._pipe.recv()))
        seconds = end - begin
        median, p99 = statistics.median(took), took[int(0.99 * len(took))]
        return Run(len(took) / seconds, median * 1e3, p99 * 1e3, cpu / seconds)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 4], help="how many at a time, one run each")
    parser.add_argument("--rate", type=float, default=30.0, help="frames a second of each stream")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each run")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    options = parser.parse_args()
    runs: dict[str, dict[str, Run]] = {}
    with tempfile.TemporaryDirectory() as folder, brokers.running(Path(folder), lines=BROKER) as broker:
        bench = Bench(broker.port, options.seconds)
        for streams in options.streams:
            runs[f"{streams} at {options.rate:g}/s"] = {
                "paho": bench.paho(streams, options.rate),
                "maskcast": bench.maskcast(streams, options.rate),
            }
        runs["flood"] = {
            "paho": bench.paho(FLOOD_STREAMS, None),
            "maskcast": bench.maskcast(FLOOD_STREAMS, FLOOD_RATE),
        }
        bench.close()
    rows = [["streams", "", "frames/s", "median ms", "p99 ms", "processors"]]
    for name, sides in runs.items():
        for side, run in sides.items():
            rows.append([name, side, f"{run.frames:.1f}", f"{run.median:.2f}", f"{run.p99:.2f}", f"{run.cpu:.2f}"])
    print(table(rows))
    if options.json:
        print(
            json.dumps(
                {
                    "benchmark": "messages",
                    "masks": MASKS,
                    "seconds": options.seconds,
                    "runs": {
                        name: {
                            side: {key: round(value, 3) for key, value in run._asdict().items()}
                            for side, run in sides.items()
                        }
                        for name, sides in runs.items()
                    },
                }
            )
        )


if __name__ == "__main__":
    main()
    leave(0)  # decoders and models may still be at work on their threads
