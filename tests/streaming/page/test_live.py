"""Viewers over real WebSockets: what they get, what they may send, and that none of them holds up anything."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from unittest.mock import patch

import aiohttp
import cv2
import numpy as np
import pytest

from maskcast.result import Result, Track, TrackState
from sinks.messages.frame import frame_message
from sinks.video.style import OUTLINED, Styles
from streaming.page import live as module
from streaming.page import pictures
from streaming.page.board import Board, ShownStream
from streaming.page.live import Live
from streaming.page.server import WebServer
from streaming.page.view_sink import ViewSink
from tests.patience import eventually_async, patient
from tests.pipelines import Frames, Model, Record, job, run
from tests.sinks_media import ellipse, frame, grey
from tests.streaming.page.serving import ask, serving
from tests.streaming.page.viewers import Client, Large, looking

SIZE = (360, 640)


class House:
    """A board with streams, and its server."""

    def __init__(self, *names: str, styles: Styles = OUTLINED) -> None:
        self.board = Board()
        self.state: dict[str, object] = {"online": True}
        self.streams = {name: ShownStream(name, lambda: dict(self.state), styles) for name in names}
        for stream in self.streams.values():
            self.board.add(stream)

    def serving(self):
        return serving(Live(self.board))

    def show(self, index: int, name: str = "door", size: tuple[int, int] = SIZE) -> Result:
        """Show a frame whose colour tells its number."""
        mask = ellipse(size, (320, 180), (80, 80))
        one = Result(
            frame(index, grey(*SIZE, level=30 + index), stream=name),
            (Track(1, "person", TrackState.CONFIRMED, 0.9, mask),),
        )
        self.board.put(self.streams[name], one)
        return one

    async def until_watched(self, name: str = "door") -> None:
        await eventually_async(lambda: self.board._watched.get(name), what="watched")


async def test_the_newest_comes_at_once_with_the_bytes_of_mqtt_and_then_each_that_follows():
    house = House("door")
    house.show(1)
    shown = house.show(2)
    with house.serving() as server:
        async with looking(server) as client:
            await client.watch("door", "not there yet", width=320)
            message, picture = await client.picture()
            assert message == frame_message(shown).json_bytes()
            assert picture.shape == (180, 320, 3)
            for index in range(3, 9):
                shown = house.show(index)
                message, _ = await client.picture()
                assert message == frame_message(shown).json_bytes()
            await client.watch("door", width=5000)
            message, picture = await client.picture()
            assert (message, picture.shape) == (frame_message(shown).json_bytes(), (360, 640, 3))


async def test_a_viewer_that_stops_gets_two_pictures_and_later_the_newest():
    house = House("door", "hall")
    with house.serving() as server:
        async with looking(server) as stopped, looking(server) as other:
            await stopped.watch("door", "hall")
            await other.watch("door")
            await house.until_watched("hall")
            for index in range(1, 30):
                house.show(index)
                assert await other.index() <= index
            first, second = await stopped.index(draw=False), await stopped.index(draw=False)
            assert first < second < 20
            house.show(30, "hall")
            assert json.loads((await stopped.picture())[0])["stream"] == "hall", "nothing of the door lies between"
            await stopped.send({"type": "drawn", "stream": "door"})
            assert await stopped.index() == 29, "the newest, not the next"


async def test_what_is_on_its_way_to_a_viewer_that_draws_nothing_is_bounded():
    house = House(*(f"camera{n}" for n in range(8)))
    with house.serving() as server:
        async with looking(server) as deaf:
            await deaf.watch(*house.streams)
            await house.until_watched("camera7")
            for index in range(60):
                for name in house.streams:
                    house.show(index, name)
                house.board.tell_event({"id": index})
                house.state["n"] = index
                await asyncio.sleep(0.01)
            await asyncio.sleep(1.2)  # two messages of state
            await deaf.watch()
            house.board.tell_event({"id": "last"})
            got = 0
            while not deaf.events or deaf.events[-1]["id"] != "last":
                message = await deaf.socket.receive(patient(30))
                if message.type is aiohttp.WSMsgType.BINARY:
                    got += 1
                elif (told := json.loads(message.data))["type"] == "event":
                    deaf.events.append(told)
            assert got <= 2 * len(house.streams)


async def test_ten_viewers_share_one_picture_of_each_width():
    house = House("door")
    with house.serving() as server, patch.object(pictures, "jpeg", wraps=pictures.jpeg) as encode:
        async with AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(looking(server)) for _ in range(10)]
            for number, client in enumerate(clients):
                await client.watch("door", width=300 if number % 2 else 600)
            await eventually_async(lambda: house.board._watched.get("door") == 10)
            for index in range(1, 6):
                house.show(index)
                assert [await client.index() for client in clients] == [index] * 10
            assert encode.call_count == 10


async def test_what_is_to_be_hidden_and_cannot_be_is_not_shown(caplog):
    house = House("door", styles=Styles("blur"))
    with house.serving() as server:
        async with looking(server) as client:
            await client.watch("door")
            house.show(1, size=(720, 1280))  # a mask of another size
            await eventually_async(lambda: "no picture for the page" in caplog.text)
            status, _, body = await asyncio.to_thread(ask, server, "/still/door")
            assert (status, b"JFIF" in body) == (500, False)
            house.show(2)
            assert await client.index() == 2


@pytest.mark.parametrize(("styles", "left"), [(Styles("blur"), False), (OUTLINED, True)])
async def test_what_is_to_be_hidden_from_now_on_is_not_shown_until_the_stream_begins_anew(styles, left):
    house = House("door")
    house.show(1)
    with house.serving() as server:
        encode = pictures.jpeg
        async with looking(server) as client:
            house.board.obey("door", styles)
            await client.watch("door")
            assert (await asyncio.to_thread(ask, server, "/still/door"))[0] == (200 if left else 404)
            house.show(2)  # the last ones of the stream that ends
            if left:
                assert await client.index() in {1, 2}
                return
            house.streams["door"] = ShownStream("door", lambda: dict(house.state), styles)
            house.board.add(house.streams["door"])

            def while_it_is_encoded(*arguments):
                house.board.obey("door", Styles("fill"))
                return encode(*arguments)

            with patch.object(pictures, "jpeg", while_it_is_encoded):
                house.show(3)
                await eventually_async(lambda: house.board.get("door") is None, what="encoded")
            house.streams["door"] = ShownStream("door", lambda: dict(house.state), Styles("fill"))
            house.board.add(house.streams["door"])
            house.show(4)
            assert await client.index() == 4


async def test_a_still_has_the_size_of_the_picture_and_what_is_drawn_for_the_broker():
    house = House("door", "hall")
    shown = house.show(1)
    with house.serving() as server:
        status, headers, body = await asyncio.to_thread(ask, server, "/still/door")
        assert (status, headers["Content-Type"]) == (200, "image/jpeg")
        picture = cv2.imdecode(np.frombuffer(body, np.uint8), cv2.IMREAD_COLOR)
        assert picture.shape == (*SIZE, 3)
        plain = house.streams["door"].pictures.make(house.streams["door"].newest, 640)
        assert plain is not None
        open_picture = cv2.imdecode(np.frombuffer(plain[plain.index(b"\xff\xd8") :], np.uint8), cv2.IMREAD_COLOR)
        contour = shown.tracks[0].mask.bbox
        y, x = int(contour.y + contour.height / 2), int(contour.x) + 1
        assert np.abs(picture[y, x].astype(int) - open_picture[y, x]).max() > 30, "an outline"
        for path, why in (("/still/hall", b"no picture yet"), ("/still/nobody", b"no such stream")):
            status, _, body = await asyncio.to_thread(ask, server, path)
            assert (status, why in body) == (404, True)


async def test_a_picture_that_is_let_go_of_is_shown_to_nobody_who_comes_later():
    house = House("door", "hall")
    house.show(1)
    house.show(1, "hall")
    house.streams["door"].clear()
    with house.serving() as server:
        assert (await asyncio.to_thread(ask, server, "/still/door"))[0] == 404
        async with looking(server) as client:
            await client.watch("door", "hall")
            assert json.loads((await client.picture())[0])["stream"] == "hall"
            house.show(2)
            assert await client.index() == 2


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("nonsense", 1008),
        ('{"type": "drawn", "stream": "door"}', 1008),
        ('{"type": "watch", "streams": {"door": -1}}', 1008),
        (b"binary", 1008),
        ('{"type": "watch", "streams": {"door": 1}, "more": "' + "x" * 8192 + '"}', 1009),
    ],
)
async def test_who_sends_nonsense_is_told_so_and_has_to_go(message, code):
    house = House("door")
    with house.serving() as server:
        async with looking(server) as client, looking(server) as good:
            await good.watch("door")
            await (client.socket.send_bytes if isinstance(message, bytes) else client.socket.send_str)(message)
            closed, reason = await client.closed()
            assert closed == code
            assert reason or code == 1009, "which says it all"
            house.show(1)
            assert await good.index() == 1, "the others see nothing of it"


async def test_one_viewer_too_many_is_told_why(monkeypatch):
    monkeypatch.setattr(module, "MOST_VIEWERS", 2)
    house = House("door")
    with house.serving() as server:
        async with looking(server) as first, looking(server), looking(server) as third:
            assert await third.closed() == (1013, "2 viewers look already: close one")
            await first.socket.close()
            house.show(1)
            async with looking(server) as fourth:
                await fourth.watch("door")
                assert await fourth.index() == 1


async def test_states_are_told_whole_at_first_then_what_changed_and_events_as_they_come():
    house = House("door", "hall")
    with house.serving() as server:
        async with looking(server) as client:
            await client.watch("door")
            house.show(1)
            await client.picture()

            async def until(count: int) -> dict:
                while len(client.states) < count:
                    house.show(2)
                    await client.picture()
                return client.states[count - 1]

            assert await until(1) == {"door": {"online": True}, "hall": {"online": True}}
            house.board.remove(house.streams["hall"])
            assert await until(2) == {"hall": None}
            house.state["online"] = False
            assert await until(3) == {"door": {"online": False}}
            house.board.tell_event({"id": 17, "message": {"kind": "started"}})
            async with looking(server) as late:
                await late.watch("door")
                await late.picture()
                while not (late.states and client.events):
                    house.show(3)
                    await late.picture()
                    await client.picture()
                assert late.states[0] == {"door": {"online": False}}
            assert client.events == [{"type": "event", "id": 17, "message": {"kind": "started"}}]


async def test_at_the_end_of_the_server_viewers_are_told():
    house = House("door")
    with house.serving() as server:
        async with looking(server) as client:
            await client.watch("door")
            await house.until_watched()
            await asyncio.to_thread(server.close)
            assert (await client.closed())[0] == 1001
    house.show(1)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("encode")]


class Camera(Frames):
    """A live one with 50 frames a second."""

    def __iter__(self):
        picture, began = Large(), time.monotonic()
        for one in super().__iter__():
            yield replace(one, picture=picture)
            self.interval = max(0.0, began + self.read * 0.02 - time.monotonic())


async def _frames(board: Board, stream: ShownStream, viewers: Sequence[bool], server: WebServer) -> int:
    """Frames that reach another sink in a while, while viewers look, some of which have stopped."""
    record, drawn = Record(), set()

    async def view(client: Client) -> None:
        while True:
            await client.picture()
            drawn.add(client)

    def apart(ready: threading.Event, over: threading.Event) -> None:
        async def look() -> None:
            async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
                clients = [await stack.enter_async_context(looking(server)) for _ in viewers]
                for client in clients:
                    await client.watch("test", width=640, rate=10)
                tasks = [
                    group.create_task(view(client), name="view")
                    for client, stopped in zip(clients, viewers, strict=True)
                    if not stopped
                ]
                ready.set()
                await asyncio.to_thread(over.wait)
                for task in tasks:
                    task.cancel()

        with asyncio.Runner() as runner:
            runner.run(look())

    ready, over = threading.Event(), threading.Event()
    thread = threading.Thread(target=apart, args=(ready, over), name="viewers", daemon=True)
    thread.start()
    try:
        assert await asyncio.to_thread(ready.wait, patient(30))
        sink = ViewSink(lambda result: board.put(stream, result))
        (report,) = await run([], Model(), live=[job(Camera(None, live=True), record, sink)], stop_after=1.5)
    finally:
        over.set()
        await asyncio.to_thread(thread.join, patient(30))
    assert not report.errors
    assert bool(drawn) == any(not stopped for stopped in viewers), "they did look"
    return len(record.indices)


async def test_ten_viewers_one_of_them_stopped_cost_the_pipeline_nothing():
    board = Board()
    stream = ShownStream("test", dict)
    board.add(stream)
    told = []
    with serving(Live(board)) as server:
        for _ in range(3):  # other work on the machine
            none = await _frames(board, stream, [], server)
            ten = await _frames(board, stream, [False] * 9 + [True], server)
            told.append((none, ten))
            assert none > 10
            if ten >= 0.95 * none:
                return
    raise AssertionError(told)
