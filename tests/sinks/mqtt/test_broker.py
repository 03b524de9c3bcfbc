"""The URL of a broker."""

from __future__ import annotations

import pytest

from maskcast.errors import UsageError
from sinks import open_sink
from sinks.mqtt.broker import parse_address


def test_addresses() -> None:
    address = parse_address("mqtt://host")
    assert (address.host, address.port, address.prefix, address.tls) == ("host", 1883, "maskcast", False)
    address = parse_address("mqtts://u:p%40@[::1]/a/b%20c/")
    assert (address.host, address.port, address.prefix, address.tls) == ("::1", 8883, "a/b c", True)
    assert (address.username, address.password) == ("u", "p@")
    assert str(address) == "mqtts://[::1]:8883"
    assert "p@" not in repr(address)


@pytest.mark.parametrize(
    "url", ["mqtt://", "mqtt:///x", "mqtt://u:secret@host:port/x", "mqtt://u:secret@host/a/+", "mqtt://h/x?qos=2"]
)
def test_malformed_addresses(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_sink(url)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)
