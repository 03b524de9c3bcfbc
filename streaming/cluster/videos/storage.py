"""Videos and outputs at URLs of file systems that fsspec knows: `s3://bucket/name.mp4`, `gs://…`, `sftp://…`.

Each of fsspec's calls is made on a thread that is left alone when it takes too long: not all of its file systems have
time-outs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from glob import has_magic
from pathlib import PurePosixPath
from typing import Any, TypeVar

from maskcast.errors import MaskcastError, SinkError, SourceError, UsageError, reason_of
from maskcast.redaction import UNCLEAR, hide, is_unclear, passwords_of, place_of
from maskcast.threads import SerialThread
from sources.folder import UNFINISHED_SUFFIXES, VIDEO_SUFFIXES
from sources.location import HTTP_SCHEMES, LIVE_SCHEMES, made_id, natural_order, scheme_of

T = TypeVar("T")

# What to install for a scheme, as fsspec's registry knows it.
PACKAGES = {
    **dict.fromkeys(("s3", "s3a"), "s3fs"),
    **dict.fromkeys(("gs", "gcs"), "gcsfs"),
    **dict.fromkeys(("abfs", "abfss", "az"), "adlfs"),
    **dict.fromkeys(("sftp", "ssh"), "paramiko"),
    "smb": "smbprotocol",
    "oci": "ocifs",
    "oss": "ossfs",
    "webdav": "webdav4",
}
# Where an object is seen when it is whole, and no earlier: it needs no other name until then.
OBJECT_STORES = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "oci", "oss"})
# URLs that are read or written by others.
_OTHERS = LIVE_SCHEMES | HTTP_SCHEMES | {"mqtt", "mqtts"}

# For an answer about names: a folder of 100,000 is told in pages of 1,000.
ANSWER_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file at a URL.

    Attributes:
        url: of it; may hold credentials.
        size: in bytes; None where nobody knows.
        version: what changes with its contents: an ETag, or when it was written; None where nobody knows.
    """

    url: str
    size: int | None = None
    version: str | None = None


def is_remote(spec: str) -> bool:
    """Whether a source or the target of an output is a URL of a file system, not of a stream, a camera or a broker."""
    return "://" in spec and scheme_of(spec) not in _OTHERS


def check_url(url: str) -> None:
    """Refuse a URL that this Python cannot read or write. From here on its password is masked wherever it is said.

    Raises:
        UsageError: its scheme is unknown, its package is not installed, or it can be read in two ways.
    """
    from fsspec.registry import get_filesystem_class

    hide(passwords_of(url))
    scheme = scheme_of(url)
    if is_unclear(url):
        raise UsageError(UNCLEAR, where=place_of(url))
    try:
        get_filesystem_class(scheme)
    except ValueError:
        advice = "use a path or a URL that fsspec knows, such as s3://bucket/name"
        raise UsageError("unknown scheme", where=place_of(url), advice=advice) from None
    except ImportError as error:
        package = PACKAGES.get(scheme)
        advice = f"pip install {package}, on each node" if package else reason_of(error)
        raise UsageError(f"{scheme}:// needs a package that is not installed", advice=advice) from None


def shown(url: str) -> str:
    """The URL without credentials."""
    host, path = _host(url), path_of(url)
    return f"{host}/{path}" if path else host


def named(url: str) -> str:
    """What an error calls it: of a URL it would show the host alone."""
    host, path = _host(url), path_of(url)
    if host == "file://":
        return f"/{path}"
    return f"{path} in {host}" if path else host


def stream_of(url: str) -> str:
    """The id of the stream of a video: its name without suffix, as of a local file."""
    return made_id(PurePosixPath(path_of(url)).stem)


def listed(url: str) -> list[RemoteFile]:
    """What a URL stands for: the videos of a folder, what a glob names, or itself, whether it is there or not.

    Raises:
        UsageError: see `check_url`.
        SourceError: the file system refuses or does not answer, or there is no video.
    """

    def look() -> dict[str, Any] | None:
        system, path = opened(url)
        system.invalidate_cache()
        if has_magic(path) and not system.exists(path):
            found: dict[str, Any] = system.glob(path, detail=True)
            return {_joined(url, path, name): info for name, info in found.items() if info["type"] == "file"}
        try:
            info = system.info(path)
        except FileNotFoundError:
            return None
        if info["type"] == "file":
            return {url: info}
        inside = {info["name"]: info for info in system.ls(path, detail=True) if info["type"] == "file"}
        return {_joined(url, path, name): info for name, info in inside.items() if _is_video(name)}

    found = answer(look, SourceError, url)
    if found is None:
        return [RemoteFile(url)]
    if not found:
        raise SourceError("no videos: it names none", where=named(url))
    ordered = sorted(found, key=lambda one: natural_order(path_of(one)))
    return [RemoteFile(one, found[one].get("size"), _version(found[one])) for one in ordered]


def existing(urls: Iterable[str]) -> set[str]:
    """Which of these files are there; asked once a folder, not once a file.

    Raises:
        UsageError: see `check_url`.
        SinkError: the file system refuses or does not answer.
    """
    folders: dict[str, list[str]] = {}
    for url in urls:
        folders.setdefault(url.rpartition("/")[0], []).append(url)

    def look(some: Collection[str]) -> set[str]:
        of_path = {}
        for url in some:
            system, path = opened(url)
            of_path[path] = url
        system.invalidate_cache()
        try:
            there = {info["name"] for info in system.ls(system._parent(path), detail=True)}  # noqa: SLF001 - no other way
        except FileNotFoundError:
            return set()
        return {url for path, url in of_path.items() if path in there}

    found: set[str] = set()
    for some in folders.values():
        found |= answer(partial(look, some), SinkError, some[0])
    return found


def opened(url: str) -> tuple[Any, str]:
    """The file system of a URL, and what it calls the path: they may be used by one thread at a time."""
    from fsspec.core import url_to_fs

    system, path = url_to_fs(url)
    return system, path


def answer(look: Callable[[], T], kind: type[MaskcastError], url: str) -> T:
    """What a file system says.

    Raises:
        UsageError: see `check_url`.
        MaskcastError: of this kind: it refuses, or says nothing for `ANSWER_SECONDS`.
    """
    check_url(url)
    asked = begun(look)
    try:
        return asked.result(ANSWER_SECONDS)
    except Exception as error:
        if not asked.done():
            raise kind(f"no answer in {ANSWER_SECONDS:.0f} s", where=named(url)) from None
        raise refused(error, kind, url) from error


def begun(work: Callable[[], T]) -> Future[T]:
    """A call on a thread of its own, which is left alone if it never ends."""
    thread = SerialThread("storage")
    running = thread.submit(work)
    thread.close()
    return running


def refused(error: Exception, kind: type[MaskcastError], url: str) -> MaskcastError:
    """What a file system says, in one line."""
    if isinstance(error, MaskcastError):
        return error if error.where else error.at(named(url))
    if isinstance(error, FileNotFoundError):
        return kind("no such file or bucket", where=named(url))
    if isinstance(error, PermissionError):
        return kind(f"no permission: {reason_of(error)}", where=named(url))
    return kind(reason_of(error), where=named(url))


def _host(url: str) -> str:
    """Scheme, host or bucket, and port; `file://` has no host."""
    return place_of(url) if url.partition("://")[2][:1] != "/" else f"{scheme_of(url)}://"


def path_of(url: str) -> str:
    """What is behind the host or bucket; in an object's name everything is meant, elsewhere ? begins a query."""
    if is_unclear(url):  # the path may be the end of a password
        return ""
    path = url.partition("://")[2].partition("/")[2]
    return path if scheme_of(url) in OBJECT_STORES else re.split("[?#]", path, maxsplit=1)[0]


def _joined(url: str, path: str, name: str) -> str:
    """The URL of what a file system calls `name`, where it calls `url` `path`."""
    before, found, _ = url.rpartition(path.rstrip("/"))
    return f"{before}{name}" if found else f"{scheme_of(url)}://{name.lstrip('/')}"


def _is_video(name: str) -> bool:
    path = PurePosixPath(name)
    suffix = path.suffix.lower()
    return not path.name.startswith(".") and suffix in VIDEO_SUFFIXES and suffix not in UNFINISHED_SUFFIXES


def _version(info: dict[str, Any]) -> str | None:
    """What a file system says of a file that changes with its contents; each has its own names for it."""
    known = ("ETag", "etag", "md5Hash", "generation", "LastModified", "last_modified", "updated", "mtime", "modify")
    return next((str(info[name]) for name in known if info.get(name)), None)
