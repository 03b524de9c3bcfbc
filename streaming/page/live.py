"""``/live``: pictures with their messages, states and events, as they come, over a WebSocket; and ``/still/STREAM``."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress

from aiohttp import WSCloseCode, WSMessage, WSMsgType, web

from sinks.messages.message import now as utc_now
from streaming.page.board import Board, Listener, State
from streaming.page.connections import keep
from streaming.page.encoding import Encoding
from streaming.page.part import Part
from streaming.page.viewer import MOST_MESSAGE_BYTES, STATE_SECONDS, ProtocolError, Viewer

logger = logging.getLogger(__name__)

MOST_VIEWERS = 64
# Between two pings; who has not answered half that later is gone.
HEARTBEAT_SECONDS = 20.0
# After a change of what is watched the next message is read a little later: a viewer that does nothing else slows
# itself down alone.
WATCH_SECONDS = 0.05


class Live(Part):
    """Shows what is on a board to those who look."""

    def __init__(self, board: Board) -> None:
        """Prepare; `board` is filled by the pipeline."""
        self._board = board
        self._encoding = Encoding()
        self._viewers: dict[web.WebSocketResponse, _Looking] = {}
        self._states: dict[str, State] | None = None  # as told; None until the pipeline has answered
        self._looking_at_states: asyncio.Task[None] | None = None

    def routes(self) -> Iterable[web.RouteDef]:
        return [web.get("/live", self._serve), web.get("/still/{stream}", self._still)]

    async def begin(self) -> None:
        self._board.attach()

    async def end(self) -> None:
        self._board.detach()
        self._encoding.close()
        async with asyncio.TaskGroup() as group:
            for socket in list(self._viewers):
                goodbye = socket.close(code=WSCloseCode.GOING_AWAY, message=b"it ends")
                group.create_task(goodbye, name="say goodbye to a viewer")

    async def _still(self, request: web.Request) -> web.Response:
        stream = self._board.get(request.match_info["stream"])
        if stream is None:
            raise web.HTTPNotFound(text="there is no such stream\n")
        if (picture := await self._encoding.still(stream)) is None:
            raise web.HTTPNotFound(text="there is no picture yet\n")
        if self._board.get(stream.name) is not stream:  # meanwhile it has gone, or must be hidden
            raise web.HTTPNotFound(text="there is no such picture any more\n")
        return web.Response(body=picture, content_type="image/jpeg")

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        keep(request)
        socket = web.WebSocketResponse(heartbeat=HEARTBEAT_SECONDS, max_msg_size=MOST_MESSAGE_BYTES, compress=False)
        await socket.prepare(request)
        if len(self._viewers) >= MOST_VIEWERS:
            why = f"{MOST_VIEWERS} viewers look already: close one"
            await socket.close(code=WSCloseCode.TRY_AGAIN_LATER, message=why.encode())
            return socket
        looking = self._viewers[socket] = _Looking(self._board, self._encoding, socket)
        self._board.listen(looking)
        if self._states is not None:
            looking.states(self._states)
        if self._looking_at_states is None:
            self._looking_at_states = asyncio.create_task(self._look_at_states(), name="states for the page")
        try:
            await looking.serve()
        finally:
            del self._viewers[socket]
            self._board.leave(looking)
            self._board.watch(looking.viewer.watched, ())
            if not self._viewers and self._looking_at_states is not None:
                self._looking_at_states.cancel()
                self._looking_at_states, self._states = None, None
        return socket

    async def _look_at_states(self) -> None:
        """Ask how the streams are, and tell what has changed, while anybody looks."""
        while True:
            began = time.monotonic()
            try:
                states = await self._board.states()
            except Exception:  # a bug in the description of a stream; the pictures go on
                logger.exception("the states of the streams cannot be told")
                states = None
            if states is not None:
                before, self._states = self._states or {}, states
                changed: dict[str, State | None] = dict.fromkeys(before.keys() - states.keys())
                changed |= {name: state for name, state in states.items() if before.get(name) != state}
                for looking in self._viewers.values():
                    looking.states(changed)
            await asyncio.sleep(max(0.0, STATE_SECONDS - (time.monotonic() - began)))


class _Looking(Listener):
    """One viewer and its socket."""

    def __init__(self, board: Board, encoding: Encoding, socket: web.WebSocketResponse) -> None:
        self.viewer = Viewer()
        self._board, self._encoding, self._socket = board, encoding, socket
        self._news = asyncio.Event()

    # What the board tells.

    def result(self, stream: str) -> None:
        if stream in self.viewer.watched:
            self._news.set()

    def event(self, item: State) -> None:
        self.viewer.tell_event(item)
        self._news.set()

    def states(self, changed: Mapping[str, State | None]) -> None:
        self.viewer.tell_states(changed)
        self._news.set()

    # What goes over the socket.

    async def serve(self) -> None:
        """Read and send until the viewer has gone."""
        async with asyncio.TaskGroup() as group:
            sending = group.create_task(self._send(), name="send to a viewer")
            async for message in self._socket:
                if not await self._take(message):
                    break
            sending.cancel()

    async def _take(self, message: WSMessage) -> bool:
        """Obey a message; whether to go on."""
        before = list(self.viewer.watched)
        try:
            other = self.viewer.take(message.data if message.type is WSMsgType.TEXT else "")
        except ProtocolError as error:
            await self._socket.close(code=WSCloseCode.POLICY_VIOLATION, message=str(error).encode())
            return False
        self._news.set()
        if other:
            self._board.watch(before, self.viewer.watched)
            await asyncio.sleep(WATCH_SECONDS)
        return True

    async def _send(self) -> None:
        """Send what is due, for ever. A viewer that does not read holds up only this."""
        with suppress(ConnectionError):
            while True:
                await self._wait()
                for text in self.viewer.texts(utc_now(), time.monotonic()):
                    await self._socket.send_str(text)
                for name, width in self.viewer.ready(self._number, time.monotonic()):
                    await self._send_picture(name, width)

    async def _wait(self) -> None:
        seconds = self.viewer.wait(self._number, time.monotonic())
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()
        self._news.clear()

    def _number(self, name: str) -> int:
        stream = self._board.get(name)
        return stream.newest.number if stream and stream.newest else 0

    async def _send_picture(self, name: str, width: int) -> None:
        stream = self._board.get(name)
        made = await self._encoding.newest(stream, width) if stream else None
        if made is None or name not in self.viewer.watched or self.viewer.watched[name].width != width:
            return  # it looks at something else by now
        if self._board.get(name) is not stream:
            return  # it has gone, or must be hidden
        number, message = made
        self.viewer.sent(name, number, time.monotonic(), picture=message is not None)
        if message is not None:
            await self._socket.send_bytes(message)
