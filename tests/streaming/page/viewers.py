"""Viewers of ``/live`` in the test's own process, and pictures for them."""

from __future__ import annotations

import json
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import cv2
import numpy as np

from streaming.page.server import WebServer
from tests.patience import patient
from tests.sinks_media import PlanePicture, grey


class Large(PlanePicture):
    """A picture of a size that takes time to encode."""

    def __init__(self) -> None:
        super().__init__(grey(720, 1280))
        self._rgb = np.zeros((720, 1280, 3), np.uint8)

    def rgb(self) -> np.ndarray:
        return self._rgb


class Client:
    """A viewer, which draws what it gets unless it is told not to."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.states: list[dict] = []
        self.events: list[dict] = []

    async def watch(self, *streams: str, width: int = 640, rate: float = 30) -> None:
        await self.send({"type": "watch", "streams": dict.fromkeys(streams, width), "rate": rate})

    async def send(self, message: object) -> None:
        await self.socket.send_str(json.dumps(message))

    async def message(self) -> aiohttp.WSMessage:
        """The next message that is no text."""
        while True:
            message = await self.socket.receive(patient(30))
            if message.type is not aiohttp.WSMsgType.TEXT:
                return message
            told = json.loads(message.data)
            if told["type"] == "state":
                self.states.append(told["streams"])
            else:
                self.events.append(told)

    async def picture(self, *, draw: bool = True) -> tuple[bytes, np.ndarray]:
        """The next picture: its message as it came, and the pixels."""
        message = await self.message()
        assert message.type is aiohttp.WSMsgType.BINARY, message
        (length,) = struct.unpack(">I", message.data[:4])
        said = message.data[4 : 4 + length]
        if draw:
            await self.send({"type": "drawn", "stream": json.loads(said)["stream"]})
        return said, cv2.imdecode(np.frombuffer(message.data[4 + length :], np.uint8), cv2.IMREAD_COLOR)

    async def index(self, *, draw: bool = True) -> int:
        """The number of the frame that comes next."""
        return json.loads((await self.picture(draw=draw))[0])["frame"]

    async def closed(self) -> tuple[int | None, str]:
        """With which code and reason the server closes."""
        while (message := await self.message()).type is aiohttp.WSMsgType.BINARY:
            pass
        assert message.type is aiohttp.WSMsgType.CLOSE, message
        return message.data, message.extra


@asynccontextmanager
async def looking(server: WebServer, *, buffer: int | None = None) -> AsyncIterator[Client]:
    """A viewer; `buffer`: bytes that it reads ahead."""
    options = {} if buffer is None else {"read_bufsize": buffer}
    async with aiohttp.ClientSession(**options) as session, session.ws_connect(f"{server.url}live") as socket:
        yield Client(socket)
