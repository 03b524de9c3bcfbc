"""``/session``, ``/login`` and ``/logout``: whether a password is needed, and that it was given."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
import json
import math
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar

from aiohttp import web

from maskcast import __version__
from streaming.page.attempts import Attempts
from streaming.page.cookie import SESSION_SECONDS, derive, is_valid, issue, load_salt
from streaming.page.part import Access, Part
from streaming.settings.web import HttpSettings


class Session(Part):
    """The login.

    Args:
        http: password, prefix and what else the page is told of itself.
        salt: file that is kept with the state; None for a process that nobody logs in to a second time.
        service: whether this is `maskcast run`, whose settings are in a file.
    """

    access: ClassVar[Access] = Access.ANYBODY

    def __init__(self, http: HttpSettings, salt: Path | None = None, *, service: bool = False) -> None:
        self._password, self._path = http.secret(), http.prefix or "/"
        self._told = {"password": self.asks, "read_only": http.read_only, "service": service}
        self._salt = load_salt(salt) if self._password is not None else b""
        # Cookies know no ports: two processes on one machine must not take each other's.
        self._name = f"maskcast_{hashlib.sha256(self._salt).hexdigest()[:8]}"
        self._key = b""
        self._attempts = Attempts(time.monotonic())
        self._deriving: ThreadPoolExecutor | None = None

    def routes(self) -> Iterable[web.RouteDef]:
        return [
            web.get("/session", self._session),
            web.post("/login", self._login),
            web.post("/logout", self._logout),
        ]

    async def begin(self) -> None:
        if self._password is not None:
            # One at a time, whoever tries, and beside this loop.
            self._deriving = ThreadPoolExecutor(1, thread_name_prefix="web login")
            self._key = await self._derived(self._password)

    async def end(self) -> None:
        if self._deriving is not None:
            self._deriving.shutdown(wait=False, cancel_futures=True)

    @property
    def asks(self) -> bool:
        """Whether a password is needed."""
        return self._password is not None

    def is_open(self, request: web.Request) -> bool:
        """Whether the client of a request may look: no password is needed, or it has given it."""
        if self._password is None:
            return True
        return is_valid(request.cookies.get(self._name, ""), self._key, time.time())

    async def _session(self, request: web.Request) -> web.Response:
        return web.json_response({**self._told, "open": self.is_open(request), "version": __version__})

    async def _login(self, request: web.Request) -> web.Response:
        given = _password(await request.read())
        if self._password is None:
            return web.Response(status=204)
        address = _client(request)
        if wait := self._attempts.take(address, time.monotonic()):
            seconds = math.ceil(wait)
            headers = {"Retry-After": str(seconds)}
            raise web.HTTPTooManyRequests(text=f"too many attempts: wait {seconds} s\n", headers=headers)
        if not hmac.compare_digest(await self._derived(given), self._key):
            raise web.HTTPUnauthorized(text="wrong password\n")
        self._attempts.forgive(address)
        response = web.Response(status=204)
        self._set(request, response, issue(self._key, time.time()), SESSION_SECONDS)
        return response

    async def _logout(self, request: web.Request) -> web.Response:
        response = web.Response(status=204)
        self._set(request, response, "", 0)
        return response

    def _set(self, request: web.Request, response: web.Response, value: str, seconds: int) -> None:
        # A proxy says so that the browser came over TLS. Who lies about it only loses the own cookie.
        secure = request.headers.get("X-Forwarded-Proto", "").partition(",")[0].strip().lower() == "https"
        response.set_cookie(
            self._name, value, max_age=seconds, path=self._path, httponly=True, samesite="Strict", secure=secure or None
        )

    async def _derived(self, password: str) -> bytes:
        return await asyncio.get_running_loop().run_in_executor(self._deriving, derive, password, self._salt)


def _client(request: web.Request) -> str:
    """The address of who asks: what a proxy on this machine says, whose own address is that of all its clients.

    A lie, where a proxy lets it through, is worth the attempts that all have together.
    """
    peer = request.remote or ""
    said = request.headers.getall("X-Forwarded-For", [""])[-1].rpartition(",")[2].strip()
    try:
        return str(ipaddress.ip_address(said)) if ipaddress.ip_address(peer).is_loopback else peer
    except ValueError:
        return peer


def _password(body: bytes) -> str:
    try:
        given = json.loads(body)["password"]
    except (ValueError, KeyError, TypeError, RecursionError):
        given = None
    if not isinstance(given, str):
        raise web.HTTPBadRequest(text='the password is asked for as {"password": "..."}\n')
    return given
