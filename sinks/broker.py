"""The address of an MQTT broker, as written on the command line."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from streaming.errors import UsageError
from streaming.redaction import redact

DEFAULT_PREFIX = "maskcast"


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """Where and as whom to publish.

    Attributes:
        host: name or address of the broker.
        port: TCP port.
        prefix: first levels of every topic, without slashes at the ends.
        tls: whether to encrypt, and to verify the broker's certificate.
        username: None to connect anonymously.
        password: never shown, also not by `repr`.
    """

    host: str
    port: int
    prefix: str
    tls: bool
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        """The URL without credentials."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.tls else 'mqtt'}://{host}:{self.port}/{self.prefix}"


def parse_address(url: str) -> BrokerAddress:
    """Read ``mqtt[s]://[user[:password]@]host[:port][/prefix]``; user, password and prefix may be percent-encoded.

    Raises:
        UsageError: the URL is malformed or says more than that.
    """
    form = "mqtt://[user:password@]host[:port]/prefix"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise UsageError(f"{redact(url)}: {redact(str(error))}; write {form}") from error
    if not parts.hostname:
        raise UsageError(f"{redact(url)} names no broker; write {form}")
    if parts.query or parts.fragment:
        raise UsageError(f"{redact(url)}: '?' and '#' have no meaning here; in a password write them as %3F and %23")
    prefix = unquote(parts.path).strip("/") or DEFAULT_PREFIX
    if any(character in "+#" or ord(character) < 32 for character in prefix):
        raise UsageError(f"{redact(url)}: a topic cannot contain '+', '#' or control characters")
    tls = parts.scheme == "mqtts"
    return BrokerAddress(
        host=parts.hostname,
        port=port or (8883 if tls else 1883),
        prefix=prefix,
        tls=tls,
        username=None if parts.username is None else unquote(parts.username),
        password=None if parts.password is None else unquote(parts.password),
    )
