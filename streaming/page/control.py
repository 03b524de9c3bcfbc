"""``POST /control/STREAM``: a request as on the topic ``control``, and the reply."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable

from aiohttp import web

from sinks.mqtt.control import ControlDesk
from streaming.page.connections import keep
from streaming.page.part import Part, asked

# As long as the model may take for what is before it, and a little more.
ANSWER_SECONDS = 60.0
SENDING_SECONDS = 10.0


class Control(Part):
    """Takes requests to streams.

    Args:
        desk_of: who answers for a stream, by its id; None for one that does not run. Called in the event loop in which
            this is made, which is the pipeline's.
        read_only: nothing is taken.
    """

    def __init__(self, desk_of: Callable[[str], ControlDesk | None], *, read_only: bool) -> None:
        self._loop, self._desk_of, self._read_only = asyncio.get_running_loop(), desk_of, read_only

    def routes(self) -> Iterable[web.RouteDef]:
        return [web.post("/control/{stream}", self._take)]

    async def _take(self, request: web.Request) -> web.Response:
        if self._read_only:
            raise web.HTTPForbidden(text="read only\n")
        stream, body = request.match_info["stream"], await request.read()
        keep(request, ANSWER_SECONDS + SENDING_SECONDS)
        try:
            reply = await asked(self._loop, self._answer(stream, body), ANSWER_SECONDS)
        except LookupError:
            raise web.HTTPNotFound(text="no such stream\n") from None
        except TimeoutError:
            raise web.HTTPGatewayTimeout(text="no answer in time; it may yet be carried out\n") from None
        if reply is None:
            raise web.HTTPTooManyRequests(text="too many requests\n", headers={"Retry-After": "1"})
        accepted = json.loads(reply)["status"] == "accepted"
        return web.Response(body=reply, status=200 if accepted else 400, content_type="application/json")

    async def _answer(self, stream: str, body: bytes) -> bytes | None:
        """Runs in the pipeline's event loop.

        Raises:
            LookupError: there is no such stream, or it went meanwhile.
        """
        desk = self._desk_of(stream)
        if desk is None:
            raise LookupError
        reply = await desk.answer(body)
        if self._desk_of(stream) is not desk:
            raise LookupError
        return reply
