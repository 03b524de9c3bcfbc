"""Why there is no connection to a broker, and what to do."""

from __future__ import annotations

import socket
import ssl

import aiomqtt
import pytest

from maskcast.errors import SinkError
from sinks.messages.topics import STATUS
from sinks.mqtt.broker import parse_address
from sinks.mqtt.client import NoAnswerError, TimedOutError
from sinks.mqtt.connector import NO_QOS, Connector, UnusableError
from sinks.mqtt.tls import CertificateError
from tests.broker import Broker
from tests.publishing import at


def as_the_library_raises(origin: OSError) -> aiomqtt.MqttError:
    """aiomqtt keeps the text of the system's error alone."""
    try:
        try:
            raise origin
        except OSError as error:
            raise aiomqtt.MqttError(str(error)) from None
    except aiomqtt.MqttError as error:
        return error


def unverified() -> ssl.SSLError:
    error = ssl.SSLError(1, "in any language")
    error.reason = "CERTIFICATE_VERIFY_FAILED"
    return error


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (as_the_library_raises(socket.gaierror(-2, "in any language")), "check the host's name"),
        (as_the_library_raises(unverified()), "check ca_file"),
        (as_the_library_raises(ConnectionRefusedError(111, "in any language")), "check host and port, that this port"),
        (CertificateError("cannot use our certificate a.pem: x"), "PEM files are needed"),
        (NoAnswerError("closed"), "check that this port does not want TLS"),
        (TimedOutError("Operation timed out"), "check host and port, that this port"),
        (UnusableError(NO_QOS), "allow it"),
    ],
)
def test_the_kind_of_an_error_and_not_its_words_says_what_to_do(error: Exception, advice: str) -> None:
    found = Connector(
        parse_address("mqtts://host/site"), "door", "site/door/status", STATUS.delivery, lambda: b""
    ).explain(error)
    assert isinstance(found, SinkError)
    assert (found.advice or "").startswith(advice)
    assert found.where is None


async def test_no_piece_of_a_message_waits_for_an_acknowledgement(broker: Broker) -> None:
    connector = Connector(at(broker), "door", "site/door/status", STATUS.delivery, lambda: b"gone")
    async with connector.session() as client:
        sock = client._client.socket()
        assert isinstance(sock, socket.socket)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
