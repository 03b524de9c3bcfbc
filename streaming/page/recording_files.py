"""``/recordings``: what was recorded, by stream and day, and the files themselves, to be played from any second."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from datetime import date, datetime
from pathlib import Path
from typing import Any

from aiohttp import web

from sinks.messages.message import utc_time
from streaming.page.connections import keep
from streaming.page.part import Part
from streaming.page.query import bad, parameters
from streaming.page.reading import Reading
from streaming.page.recordings import Recordings

MOST_RECORDINGS = 500  # in an answer: more than three days in segments of ten minutes
# What sending a file may take: a player that is paused holds it up, and asks for the rest anew when it goes on.
PLAYING_SECONDS = 3600.0


class RecordingFiles(Part):
    """Lists recordings and sends their files."""

    def __init__(self, recordings: Recordings, reading: Reading) -> None:
        """Show these; they are read on the thread of `reading`."""
        self._recordings, self._reading = recordings, reading

    def routes(self) -> Iterable[web.RouteDef]:
        return [web.get("/recordings", self._list), web.get("/recordings/{stream}/{name}", self._file)]

    async def _list(self, request: web.Request) -> web.Response:
        given = parameters(request, ("stream", "day", "before"))
        stream, day, before = given.get("stream"), given.get("day"), given.get("before")
        asked = (stream, None if day is None else _day(day), None if before is None else _moment(before))

        def read() -> dict[str, Any]:
            listed, more = self._recordings.page(*asked, limit=MOST_RECORDINGS)
            days = [one.isoformat() for one in self._recordings.days(stream)]
            return {"days": days, "recordings": [asdict(one) for one in listed], "more": more}

        return web.json_response(await self._reading.run(read))

    async def _file(self, request: web.Request) -> web.StreamResponse:
        stream, name = request.match_info["stream"], request.match_info["name"]
        path = await self._reading.run(lambda: self._recordings.path(stream, name))
        if path is None:
            raise web.HTTPNotFound(text="there is no such recording\n")
        keep(request, PLAYING_SECONDS)
        return _Video(path, headers={"Content-Type": "video/mp4"})


class _Video(web.FileResponse):
    """The file itself, never one with a suffix more, such as ``.gz``, that lies beside it."""

    def _get_file_path_stat_encoding(self, accept_encoding: str) -> tuple[Path | None, Any, str | None]:  # noqa: ARG002
        return super()._get_file_path_stat_encoding("")


def _day(text: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    if day is None or day.isoformat() != text:
        raise bad("day must be one such as 2026-11-26")
    return day


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None or utc_time(moment) != text:
        raise bad("before must be a time such as 2026-11-26T12:00:00.000Z")
    return moment
