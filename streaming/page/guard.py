"""What every request passes before a part sees it, and what every answer says to browsers."""

from __future__ import annotations

import ipaddress
import logging
import re
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping

from aiohttp import web

from streaming.page.connections import Connection
from streaming.page.part import Access

logger = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

# All that a page needs comes from us, and it is nobody's frame. Scripts and styles are files: what a name or a prompt
# says cannot become one.
CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    # Pages of others cannot show our pictures either, which a browser would ask for with its cookies.
    "Cross-Origin-Resource-Policy": "same-origin",
    "Server": "maskcast",
}


class Guard:
    """Who is let in.

    Args:
        own: the name in the address that is listened on.
        hosts: more names that clients may call the server by, besides localhost and any IP address. Others are refused:
            a page in somebody's browser could have its own name point here (DNS rebinding).
        accesses: of each resource; what has none is for viewers.
        refusal: why the page is not served here at all; None if it is.
        is_open: whether the client of a request may look.
    """

    def __init__(
        self,
        own: str,
        hosts: Iterable[str],
        accesses: Mapping[web.AbstractResource | None, Access],
        refusal: str | None,
        is_open: Callable[[web.Request], bool],
    ) -> None:
        self._hosts = frozenset(name.lower() for name in hosts)
        self._names = self._hosts | {"localhost", own.lower()}
        self._accesses, self._refusal, self._is_open = accesses, refusal, is_open

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let a request pass, or say why not."""
        if isinstance(request.protocol, Connection):
            request.protocol.renew()
        hosts = request.headers.getall("Host", [])
        if len(hosts) > 1 or not all(is_known(host, self._names) for host in hosts):
            return _refused(421, "this name is not served: add it to [http] hosts")
        access = self._accesses.get(request.match_info.route.resource, Access.VIEWERS)
        if access is not Access.MACHINES and self._refusal is not None:
            return _refused(403, self._refusal)
        if not self._is_ours(request):
            return _refused(403, "this comes from a page of another server")
        if access is Access.VIEWERS and not self._is_open(request):
            return _refused(401, "log in first")
        try:
            return await handler(request)
        except web.HTTPException:
            raise
        except Exception:
            logger.exception("%s %s failed", request.method, request.rel_url.raw_path[:100])
            return _refused(500, "this failed: the log says why")

    def _is_ours(self, request: web.Request) -> bool:
        """Whether a request that may change something, or a WebSocket, was made by a page of ours.

        Browsers say in Origin which page asks; what sends none is no browser, and so has nobody's cookies. A proxy may
        change Host, but not Origin: then its name is one of `hosts`.
        """
        if request.method in {"GET", "HEAD"} and "Upgrade" not in request.headers:
            return True
        origins = request.headers.getall("Origin", [])
        if not origins:
            return True
        scheme, _, place = origins[0].lower().partition("://")
        if len(origins) > 1 or scheme not in {"http", "https"} or not place:
            return False
        return place == request.headers.get("Host", "").lower() or _name(place) in self._hosts


def is_known(host: str, names: Collection[str]) -> bool:
    """Whether a Host header names this server: by an IP address, or one of its names in lower case."""
    name = _name(host)
    try:
        ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return name in names
    return True


def _name(host: str) -> str:
    return re.sub(r":\d*$", "", host).lower().removesuffix(".")


def _refused(status: int, why: str) -> web.Response:
    return web.Response(status=status, text=f"{why}\n")


async def add_headers(_: web.Request, response: web.StreamResponse) -> None:
    """What every answer says: files, WebSockets and refusals, too."""
    response.headers.update(HEADERS)
    response.headers.setdefault("Cache-Control", "no-store")
