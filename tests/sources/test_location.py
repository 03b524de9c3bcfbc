"""Specs, stream ids and the clock: what needs no medium."""

import contextlib
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskcast.errors import SourceError, UsageError
from sources import Kind, kind_of, open_source, stream_id
from sources.location import check_stream_id, natural_order


@pytest.mark.parametrize(
    ("spec", "kind"),
    [
        ("street.mp4", Kind.FILE),
        ("folder/street", Kind.FILE),
        (".", Kind.IMAGES),
        ("shots/*.png", Kind.IMAGES),
        ("shot.JPEG", Kind.IMAGES),
        ("rtsp://host/x", Kind.NETWORK),
        ("RTSPS://host/x", Kind.NETWORK),
        ("https://host/x.m3u8", Kind.NETWORK),
        ("udp://:5000", Kind.NETWORK),
        ("udp://@239.0.0.1:5000", Kind.NETWORK),
        ("rtsp://user:p[a]ss@host:554/x", Kind.NETWORK),
        ("http://[::1]:80/x@2", Kind.NETWORK),
        ("http://host:8080/path%402x.mp4", Kind.NETWORK),
        ("camera:0", Kind.CAMERA),
        ("/dev/video12", Kind.CAMERA),
    ],
)
def test_kinds(spec, kind):
    assert kind_of(spec) is kind


@pytest.mark.parametrize("spec", ["", "  ", "a\0b", "gopher://host/x", "camera:", "camera:front", "rtsp://", "udp://"])
def test_specs_that_can_never_be_right(spec):
    with pytest.raises(UsageError) as raised:
        kind_of(spec)
    assert raised.value.exit_code == 2


def test_a_bare_number_is_a_camera_to_opencv_and_a_file_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"^0: no such file; for a camera write camera:0$"):
        kind_of("0")
    (tmp_path / "0").touch()
    assert kind_of("0") is Kind.FILE


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=300))
def test_any_text_is_a_kind_or_a_usage_error(spec):
    with contextlib.suppress(UsageError):
        check_stream_id(stream_id(spec))


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("/videos/street corner.mp4", "street-corner"),
        ("../a/+#x.mp4", "x"),
        ("..", None),
        ("shots/*.png", "shots"),
        ("rtsp://me:s3cret@10.0.0.7:554", "10.0.0.7"),
        ("rtsp://me:s3:[cr@et@10.0.0.7/", "10.0.0.7"),
        ("rtsp://me:s3cret@10.0.0.7:5541/?", "10.0.0.7-5541"),
        ("https://nvr:443", "nvr"),
        ("udp://:5000", "udp-5000"),
        ("camera:2", "camera-2"),
        ("/dev/video2", "video2"),
        ("strée.mp4", "strée"),
    ],
)
def test_ids_from_specs(spec, expected):
    found = stream_id(spec)
    assert check_stream_id(found) == found
    if expected is not None:
        assert found == expected
    assert "s3" not in found


@pytest.mark.parametrize(
    "url",
    [
        "rtsp://me:s3cret@nvr/ch/{}?token=s3cret",
        "rtsp://nvr/cam/realmonitor?channel={}&subtype=s3",
        "rtsp://nvr/user=s3me_password=s3c_channel={}_stream=0.sdp",
        "rtmp://nvr/live/s3{}",
        "http://nvr/s3#{}",
        f"rtsp://nvr/{'x' * 100}?channel={{}}",
    ],
)
def test_ids_of_urls_are_distinct_stable_and_tell_only_the_host(url):
    ids = [stream_id(url.format(number)) for number in range(50)]
    assert len(set(ids)) == 50
    assert ids == [stream_id(url.format(number)) for number in range(50)]
    assert all(re.fullmatch("nvr-[0-9a-f]{8}", found) for found in ids)


def test_an_id_depends_on_no_password_that_is_known_as_one():
    # The digest of a short password could be guessed.
    for url in ("rtsp://me:{}@h/a", "http://h/a?token={}&b=1", "rtsp://h/user=me_password={}_channel=1_stream=0.sdp"):
        assert stream_id(url.format("abc")) == stream_id(url.format("abd"))


@pytest.mark.parametrize(
    "bad", ["", " ", "a/b", "a+b", "#", "..", ".hidden", "$SYS", "a\nb", "a\0b", "a\x9bb", "x" * 129]
)
def test_ids_that_are_refused(bad, tmp_path):
    with pytest.raises(UsageError) as raised:
        open_source(str(tmp_path / "x.mp4"), stream=bad)
    assert "\n" not in str(raised.value)
    assert "\x9b" not in str(raised.value)


def test_an_id_with_spaces_and_letters_of_any_script_is_fine(tmp_path):
    assert check_stream_id("Vordertür 1") == "Vordertür 1"
    with pytest.raises(SourceError, match="no such file"):
        open_source(str(tmp_path / "x.mp4"), stream="Vordertür 1")


@pytest.mark.parametrize("password", ["s3/cret", "s3?cret", "s3#cret", "s3/c@ret", "12/s3cret", "/s3cret", "s3\ncret"])
def test_passwords_that_a_url_cannot_hold_raw(password):
    with pytest.raises(UsageError, match="%2F") as raised:
        kind_of(f"rtsp://me:{password}@host/x")
    assert "s3" not in str(raised.value)
    assert "ret" not in str(raised.value)


def test_no_such_camera():
    with pytest.raises(SourceError, match=re.escape("camera:9876: no such camera")):
        open_source("camera:9876")


def test_natural_order():
    names = ["b", "a10", "a²", "a2", "A1", "1"]
    assert sorted(names, key=natural_order) == ["1", "A1", "a2", "a10", "a²", "b"]
