"""Values of the environment within URLs."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from maskcast.errors import UsageError
from tests.settings_files import MINIMAL, load, refusal, stream

RAW = [
    "/s3c",
    "12/s3c",
    "s3c#x",
    "s3c?x",
    "s3c@x",
    "s3c:x",
    "s3c%41",
    "s3c%",
    "s3c[x]",
    "s 3c",
    "1883/@s3c",
    "ü&=+;$",
    "",
]


@pytest.mark.parametrize("password", RAW)
def test_any_password_is_taken_as_it_is(tmp_path: Path, password: str) -> None:
    text = '[mqtt]\nurl = "mqtt://me:${P}@10.0.0.1:1/site"\n' + stream(
        source="rtsp://me:${P}@cam:554/x?token=${P}&c=1#${P}"
    )
    found = load(tmp_path, text, {"P": password})
    assert found.mqtt is not None
    address = found.mqtt.address()
    assert (address.host, address.port, address.prefix) == ("10.0.0.1", 1, "site")
    assert (address.username, address.password) == ("me", password)
    parts = urlsplit(found.streams["door"].source)
    assert (parts.hostname, parts.port, parts.path, parts.username) == ("cam", 554, "/x", "me")
    assert unquote(parts.password or "") == password
    assert parse_qs(parts.query, keep_blank_values=True) == {"token": [password], "c": ["1"]}
    assert unquote(parts.fragment) == password


@pytest.mark.parametrize(
    ("source", "value", "filled"),
    [
        ("rtsp://${V}@h/x", "me:pa:s/s", "rtsp://me:pa%3As%2Fs@h/x"),
        ("rtsp://${V}:x@h/", "m:e", "rtsp://m%3Ae:x@h/"),
        ("rtsp://${V}/x", "10.0.0.1:554", "rtsp://10.0.0.1:554/x"),
        ("rtsp://h:${V}/x", "554", "rtsp://h:554/x"),
        ("${V}://h/x", "rtsps", "rtsps://h/x"),
        ("http://h/${V}/x", "a/b c?d@e", "http://h/a/b%20c%3Fd%40e/x"),
        ("http://h/x?${V}", "a=1&b=c d", "http://h/x?a=1&b=c%20d"),
        ("http://h/x?a=${V}", "1&b=2", "http://h/x?a=1%26b%3D2"),
        ("rtmp://me:${V}@h/live/x", "p@ss%41", "rtmp://me:p@ss%41@h/live/x"),
        ("rtmp://h/live/${V}", "key?sign=a%41", "rtmp://h/live/key?sign=a%41"),
        ("${V}", "rtsp://me:p%40ss@h/x", "rtsp://me:p%40ss@h/x"),
        ("http://h/$${V}", "no", "http://h/${V}"),
    ],
)
def test_a_value_is_written_as_its_place_needs(tmp_path: Path, source: str, value: str, filled: str) -> None:
    assert load(tmp_path, stream(source=source), {"V": value}).streams["door"].source == filled


@pytest.mark.parametrize(
    ("source", "value", "said"),
    [
        ("rtsp://${V}/x", "me:Zq7-@h", "${V}: the value in the place of the host must be a host"),
        ("rtsp://h:${V}/x", "1/Zq7-", "in the place of the host"),
        ("rtsp://${V}", "evil/Zq7-", "in the place of the host"),
        ("${V}://h/", "rtsp://u:Zq7-@evil", "before :// must be a scheme"),
        ("rtmp://me:${V}@h/live/x", "Zq7-/x", "with / ? # cannot be written into the URL of this protocol"),
        ("${V}", "rtsp://me:12/Zq7-@h/x", "write / ? # in its user name or password as %2F %3F %23"),
        ("rtsp://me:12/Zq7-@h/x", "", "write / ? # in its user name or password as %2F %3F %23"),
        ("rtsp://me:/Zq7-@h/x", "", "write / ? # in its user name or password as %2F %3F %23"),
        ("rtsp://me:Zq7-", "", "not a source"),
    ],
)
def test_a_value_that_could_be_read_as_something_else_is_refused(
    tmp_path: Path, source: str, value: str, said: str
) -> None:
    with pytest.raises(UsageError) as caught:
        load(tmp_path, stream(source=source), {"V": value})
    assert said in str(caught.value)
    assert "Zq7-" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["mqtt://me:12/s3c@h/x", "mqtt://me:/s3c@h/x", "mqtt://me:12#s3c@h/x", "mqtt://h:1/a@b"]
)
def test_a_brokers_password_written_raw_is_not_read_as_a_host(tmp_path: Path, url: str) -> None:
    found = refusal(tmp_path, f'[mqtt]\nurl = "{url}"\n{MINIMAL}')
    assert "mqtt.url: write / ? # in its user name or password as %2F %3F %23" in found


def test_a_broker_with_an_at_in_its_prefix_is_understood_where_its_host_is_certain(tmp_path: Path) -> None:
    found = load(tmp_path, f'[mqtt]\nurl = "mqtt://10.0.0.1:1/a@b"\n{MINIMAL}')
    assert found.mqtt is not None
    assert (found.mqtt.address().host, found.mqtt.address().prefix) == ("10.0.0.1", "a@b")
