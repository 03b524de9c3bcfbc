"""``/events``: what happened, newest first, and the pictures of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from aiohttp import web

from maskcast.result import EventKind
from streaming.page.history import History
from streaming.page.history_file import LARGEST_ID
from streaming.page.kept_event import EventFilter, KeptEvent
from streaming.page.part import Part
from streaming.page.query import bad, parameters, whole_number
from streaming.page.reading import Reading
from streaming.page.recordings import Recordings

EVENTS, MOST_EVENTS = 50, 200  # in an answer, where it is not said, and at most
# Browsers keep pictures, but ask each time: who has signed out sees none.
KEPT = {"Cache-Control": "private, no-cache"}
KINDS = [kind.value for kind in EventKind]


class Events(Part):
    """Lists events, each with the recording that contains it."""

    def __init__(self, history: History, recordings: Recordings, reading: Reading) -> None:
        """Show what is in `history`; `recordings` are read on the thread of `reading`."""
        self._history, self._recordings, self._reading = history, recordings, reading

    def routes(self) -> Iterable[web.RouteDef]:
        return [web.get("/events", self._list), web.get("/events/{id:[0-9]+}.jpg", self._picture)]

    async def _list(self, request: web.Request) -> web.Response:
        wanted = _filter(request)
        return web.json_response(await self._reading.run(lambda: self._found(wanted)))

    def _found(self, wanted: EventFilter) -> dict[str, Any]:
        events, more = self._history.find(wanted)
        items = [event.item(picture=event.picture is not None, recording=self._recording(event)) for event in events]
        return {"events": items, "more": more}

    def _recording(self, event: KeptEvent) -> dict[str, Any] | None:
        excerpt = self._recordings.containing(event.stream, datetime.fromtimestamp(event.time, UTC))
        return asdict(excerpt) if excerpt else None

    async def _picture(self, request: web.Request) -> web.Response:
        number = whole_number("the event", request.match_info["id"], 1, LARGEST_ID - 1)
        if any(tag.value == str(number) for tag in request.if_none_match or ()):  # a picture never changes
            return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=KEPT)
        jpeg = await self._reading.run(lambda: self._history.picture(number))
        if jpeg is None:
            raise web.HTTPNotFound(text="there is no such picture\n")
        response = web.Response(body=jpeg, content_type="image/jpeg", headers=KEPT)
        response.etag = str(number)
        return response


def _filter(request: web.Request) -> EventFilter:
    given = parameters(request, ("stream", "prompt", "kind", "place", "before", "limit"))
    if (kind := given.get("kind")) and kind not in KINDS:
        raise bad(f"kind must be {', '.join(KINDS[:-1])} or {KINDS[-1]}")
    before, limit = given.get("before"), given.get("limit")
    return EventFilter(
        given.get("stream"),
        given.get("prompt"),
        kind,
        given.get("place"),
        None if before is None else whole_number("before", before, 1, LARGEST_ID),
        EVENTS if limit is None else whole_number("limit", limit, 1, MOST_EVENTS),
    )
