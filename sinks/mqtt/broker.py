"""The address of an MQTT broker, as written on the command line."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias
from urllib.parse import unquote, urlsplit

from maskcast.errors import UsageError
from maskcast.redaction import UNCLEAR, is_unclear, place_of

MqttVersion: TypeAlias = Literal["5", "3.1.1"]  # a version of MQTT

DEFAULT_PREFIX = "maskcast"
DEFAULT_PROTOCOL: MqttVersion = "5"
# As IANA has them.
PORT, TLS_PORT = 1883, 8883


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """Where and as whom to publish. A URL says the first six; `dataclasses.replace` sets the others.

    Attributes:
        host: name or address of the broker.
        port: TCP port.
        prefix: first levels of every topic, without slashes at the ends.
        tls: whether to encrypt, and to verify the broker's certificate.
        username: None to connect anonymously.
        password: never shown, also not by `repr`.
        protocol: version of MQTT. A broker that does not know version 5 gets 3.1.1.
        ca_file: certificates of the authorities to trust, PEM; None for those of the system.
        cert_file: our own certificate, PEM, for brokers that ask for one.
        key_file: its key, PEM, not encrypted; None if it is in `cert_file`.
        client_id: of the process, and what those of its streams begin with; None to make one up.
    """

    host: str
    port: int
    prefix: str
    tls: bool
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    protocol: MqttVersion = DEFAULT_PROTOCOL
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    client_id: str | None = None

    def __str__(self) -> str:
        """What is shown of it: scheme, host and port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.tls else 'mqtt'}://{host}:{self.port}"


def parse_address(url: str) -> BrokerAddress:
    """Read ``mqtt[s]://[user[:password]@]host[:port][/prefix]``; user, password and prefix may be percent-encoded.

    Raises:
        UsageError: the URL is malformed or says more than that.
    """
    form = "mqtt[s]://[user:password@]host[:port]/prefix"
    shown = place_of(url)
    if is_unclear(url):
        raise UsageError(UNCLEAR, where=shown)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # its text quotes what may be a password
        raise UsageError("not a broker's URL", where=shown, advice=f"write {form}") from None
    if not parts.hostname:
        raise UsageError("names no broker", where=shown, advice=f"write {form}")
    if parts.query or parts.fragment:
        what, advice = "'?' and '#' have no meaning here", "in a password write them as %3F and %23"
        raise UsageError(what, where=shown, advice=advice)
    prefix = unquote(parts.path).strip("/") or DEFAULT_PREFIX
    if any(character in "+#" or ord(character) < 32 for character in prefix):
        raise UsageError("a topic cannot contain '+', '#' or control characters", where=shown)
    tls = parts.scheme == "mqtts"
    return BrokerAddress(
        host=parts.hostname,
        port=port or (TLS_PORT if tls else PORT),
        prefix=prefix,
        tls=tls,
        username=None if parts.username is None else unquote(parts.username),
        password=None if parts.password is None else unquote(parts.password),
    )
