"""The files of the page: read once, so that no request meets the disk and none of its paths is joined to another."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

from aiohttp import web

from streaming.page.part import Access, Part

STATIC = Path(__file__).with_name("static")
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
}


class Files(Part):
    """``/`` and ``/static/NAME``."""

    access: ClassVar[Access] = Access.ANYBODY

    def __init__(self) -> None:
        self._bodies = {file.name: file.read_bytes() for file in sorted(STATIC.iterdir()) if file.suffix in TYPES}
        # As it travels, made once.
        self._packed = {name: gzip.compress(body, mtime=0) for name, body in self._bodies.items()}
        self._tags = {name: hashlib.sha256(body).hexdigest()[:16] for name, body in self._bodies.items()}

    def routes(self) -> Iterable[web.RouteDef]:
        return [web.get("/", self._index), web.get("/static/{name}", self._static)]

    async def _index(self, request: web.Request) -> web.Response:
        return self._file(request, "index.html")

    async def _static(self, request: web.Request) -> web.Response:
        return self._file(request, request.match_info["name"])

    def _file(self, request: web.Request, name: str) -> web.Response:
        if name not in self._bodies:
            raise web.HTTPNotFound
        # Kept by the browser, but asked about each time: a page of one version must not run a script of another.
        packed = "gzip" in request.headers.get("Accept-Encoding", "")
        tag = f"{self._tags[name]}-gzip" if packed else self._tags[name]
        headers = {"ETag": f'"{tag}"', "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
        if any(known.value in {tag, "*"} for known in request.if_none_match or ()):
            return web.Response(status=304, headers=headers)
        headers["Content-Type"] = TYPES[Path(name).suffix]
        if packed:
            headers["Content-Encoding"] = "gzip"
        return web.Response(body=(self._packed if packed else self._bodies)[name], headers=headers)
