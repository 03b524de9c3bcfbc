"""HTTP's redirections, followed by us: FFmpeg would follow them anywhere."""

from __future__ import annotations

import http.client
import ipaddress
import re
import socket
import ssl
from base64 import b64encode
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

from maskcast.errors import SourceError

# As many as FFmpeg would follow.
MOST_REDIRECTS = 8
# User, host and port as RFC 3986 has them: what is written in another way, FFmpeg could read in another way.
_AUTHORITY = re.compile(r"[\w.~!$&'()*+,;=:@%\[\]-]{1,300}", re.ASCII)


def redirection(url: str, *, seconds: float | None, ca_file: str | None, private: bool) -> str | None:
    """Where the server sends those who ask for `url`; None if it answers itself, or not at all.

    A server on the internet must not make this machine ask others that only this machine can reach. To its own host,
    and to public ones, a server may redirect; to another host of a private network (RFC 1918, loopback, link-local)
    only where that is allowed. From HTTPS it may not lead to plain HTTP.

    Args:
        url: http or https, with credentials where the server wants them.
        seconds: to wait for the server; None for no bound.
        ca_file: PEM file of the authorities that the server must prove itself with; None not to verify it.
        private: whether another host of a private network is allowed.

    Raises:
        SourceError: it leads where it may not.
    """
    try:
        location = _location(urlsplit(url), seconds, ca_file)
    except (OSError, http.client.HTTPException, ValueError):
        return None
    if location is None:
        return None
    try:
        target = urljoin(url, location)
        here, there = urlsplit(url), urlsplit(target)
    except ValueError:
        raise SourceError("redirects to what is no URL") from None
    if not _AUTHORITY.fullmatch(there.netloc):
        raise SourceError(f"redirects to what is no place on the web ({there.scheme[:20]})")
    place = f"{there.scheme}://{there.hostname}"
    if there.scheme not in {"http", "https"} or not there.hostname:
        raise SourceError(f"redirects to {place}, which is no place on the web")
    if here.scheme == "https" and there.scheme == "http":
        raise SourceError(
            f"redirects from https to {place}, unencrypted", advice="give that URL itself if you trust it"
        )
    if there.hostname != here.hostname and not private and _is_private(there.hostname):
        advice = "give that URL itself, or set private_redirects = true"
        raise SourceError(f"redirects to {place} on a private network", advice=advice)
    return target


def _location(url: SplitResult, seconds: float | None, ca_file: str | None) -> str | None:
    """The place that a server names in place of an answer."""
    answer = _ask(url, seconds, ca_file, {})
    if answer.status == http.client.UNAUTHORIZED and url.username is not None:
        user = f"{unquote(url.username)}:{unquote(url.password or '')}".encode()
        answer = _ask(url, seconds, ca_file, {"Authorization": f"Basic {b64encode(user).decode()}"})
    return answer.getheader("Location") if 300 <= answer.status < 400 else None


def _ask(
    url: SplitResult, seconds: float | None, ca_file: str | None, headers: dict[str, str]
) -> http.client.HTTPResponse:
    """A server's answer, of which the body is not read."""
    assert url.hostname is not None, "URLs are checked before"
    if url.scheme == "https":
        context = ssl.create_default_context(cafile=ca_file)
        if ca_file is None:  # as FFmpeg does it
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            url.hostname, url.port, timeout=seconds, context=context
        )
    else:
        connection = http.client.HTTPConnection(url.hostname, url.port, timeout=seconds)
    try:
        path = url._replace(scheme="", netloc="", fragment="").geturl() or "/"
        connection.request("GET", path, headers={"Range": "bytes=0-", **headers})
        return connection.getresponse()
    finally:
        connection.close()


def _is_private(host: str) -> bool:
    """Whether any address of a host is one that the public internet does not reach."""
    try:
        found = socket.getaddrinfo(host, None)
    except OSError:  # nobody will be reached
        return False
    except UnicodeError:  # no name, and nobody knows whom FFmpeg would reach
        return True
    return not all(_is_public(str(address[0])) for *_, address in found)


def _is_public(address: str) -> bool:
    ip = ipaddress.ip_address(address.partition("%")[0])
    return (getattr(ip, "ipv4_mapped", None) or ip).is_global
