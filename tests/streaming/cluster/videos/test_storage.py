"""Videos and outputs at URLs: on this disk (`file://`), and on servers where their packages are installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from maskcast.errors import UsageError
from streaming.cluster.videos.storage import (
    is_remote,
    listed,
    shown,
    stream_of,
)
from tests.paths import ROOT
from tests.streaming.cluster.videos.stores import check_listing


@pytest.mark.parametrize(
    ("spec", "remote"),
    [
        ("s3://bucket/a.mp4", True),
        ("file:///videos/a.mp4", True),
        ("videos/a.mp4", False),
        ("rtsp://camera/live", False),
        ("https://host/a.mp4", False),
        ("mqtts://host/prefix", False),
        ("camera:0", False),
    ],
)
def test_which_urls_are_of_a_file_system(spec: str, *, remote: bool) -> None:
    assert is_remote(spec) is remote


@pytest.mark.parametrize(
    ("url", "without", "stream"),
    [
        ("ftp://me:very/secret@host:2121/videos/a b.mp4?x=y", "ftp://***", "stream"),
        ("ftp://me:secret-word@host:2121/videos/a b.mp4?key=xyz", "ftp://host:2121/videos/a b.mp4", "a-b"),
        ("s3://bucket/day 1/50%?.mp4", "s3://bucket/day 1/50%?.mp4", "50"),
        ("file:///videos/gate.mp4", "file:///videos/gate.mp4", "gate"),
        ("s3://bucket", "s3://bucket", "stream"),
    ],
)
def test_a_url_is_shown_without_credentials(url: str, without: str, stream: str) -> None:
    assert shown(url).startswith(without)
    assert "secret" not in shown(url)
    assert stream_of(url) == stream


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nothing://host/a.mp4", "nothing://host: unknown scheme; use a path or a URL that fsspec knows"),
        ("simplecache::s3://bucket/a.mp4", "unknown scheme"),
        ("ftp://me:very/secret@host/a.mp4", "write / ? # in its user name or password as %2F"),
    ],
)
def test_a_url_that_cannot_be_is_refused_in_a_line(url: str, said: str) -> None:
    with pytest.raises(UsageError) as refusal:
        listed(url)
    assert said in str(refusal.value)
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize(
    ("scheme", "package"), [("s3", "s3fs"), ("gs", "gcsfs"), ("az", "adlfs"), ("sftp", "paramiko")]
)
def test_a_package_that_is_not_installed_is_named(scheme: str, package: str) -> None:
    code = (
        f"import sys; sys.modules[{package!r}] = None\n"
        "from maskcast.errors import UsageError\n"
        "from streaming.cluster.videos.storage import listed\n"
        f"try: listed('{scheme}://host/a.mp4')\n"
        "except UsageError as error: print(error)"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    expected = f"{scheme}:// needs a package that is not installed; pip install {package}, on each node\n"
    assert ended.stdout == expected, ended.stderr


def test_a_disk(tmp_path: Path) -> None:
    folder = tmp_path / "videos"
    folder.mkdir()
    check_listing(f"file://{folder}", folder)
