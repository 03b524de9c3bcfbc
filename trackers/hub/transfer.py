"""Bring one file of the hub into a partial file, which may have a beginning already: bounded, and not trusted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from maskcast.backoff import Backoff
from maskcast.errors import ModelError, reason_of
from trackers.hub.access import NotTheHubError, refused
from trackers.hub.name import ModelName
from trackers.hub.progress import MEGABYTE
from trackers.hub.repository import RemoteFile

# Attempts in a row that brought less than this; then it is given up. What is there stays for the next time.
MOST_ATTEMPTS = 6
FRUITFUL_BYTES = 1 << 20
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 1.0, 30.0
# What a server may ask for by Retry-After.
LONGEST_ASKED_WAIT_SECONDS = 300.0
# Answers after which the same request can succeed: time-out, too many requests, and what servers and proxies in
# trouble say.
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 522, 524})


class _BrokenError(Exception):
    """An attempt ended early, and another one can go on from there.

    Attributes:
        wait: seconds that the server asks to wait.
    """

    def __init__(self, what: str, wait: float = 0.0) -> None:
        super().__init__(what)
        self.wait = wait


def transfer(name: ModelName, commit: str, file: RemoteFile, part: Path, told: Callable[[int, str], None]) -> None:
    """Fill a partial file up to its size, from where it ends. What it then holds has to be verified.

    A connection that brings no byte for `HF_HUB_DOWNLOAD_TIMEOUT` seconds (10 unless set) is taken for broken. The
    client is huggingface_hub's own: it knows the proxy, and gives the token to nobody but the hub.

    Args:
        name: of the model.
        commit: of which the file is.
        file: what is wanted.
        part: where it goes; made if it is not there.
        told: called with the bytes that are there, and with what holds it up, if anything does.

    Raises:
        ModelError: it cannot be had; what came is in the partial file.
        OSError: the disk refuses.
    """
    backoff = Backoff(FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS, good=0.0, jitter=False)
    fruitless = 0
    with part.open("ab") as out:
        while (begun := out.tell()) < file.bytes:
            told(begun, "")
            try:
                _attempt(name, commit, file, out, told)
            except _BrokenError as broken:
                if out.tell() - begun >= FRUITFUL_BYTES:
                    fruitless = 0
                    backoff.reset()
                fruitless += 1
                if fruitless == MOST_ATTEMPTS:
                    raise _given_up(name, file, out.tell(), str(broken)) from broken
                wait = max(backoff.wait(), broken.wait)
                told(out.tell(), f"{broken}; again in {wait:.0f} s")
                time.sleep(wait)
    told(file.bytes, "")


def _attempt(name: ModelName, commit: str, file: RemoteFile, out: BinaryIO, told: Callable[[int, str], None]) -> None:
    """Write what one request brings.

    Raises:
        _BrokenError: it ended early.
        ModelError: another one would end the same way.
        OSError: the disk refuses.
    """
    for at, chunk in _chunks(name, commit, file, out.tell()):
        if at + len(chunk) > file.bytes:
            break
        if at != out.tell():
            out.seek(at)
            out.truncate()
        out.write(chunk)
        told(out.tell(), "")
    if out.tell() < file.bytes:
        raise _BrokenError("the connection was closed early")


def _chunks(name: ModelName, commit: str, file: RemoteFile, begun: int) -> Iterator[tuple[int, bytes]]:
    """The answer to one request: pieces of the file, and where each belongs.

    Raises:
        _BrokenError: it ended early.
        ModelError: another one would end the same way.
    """
    from huggingface_hub import constants, get_session, hf_hub_url
    from huggingface_hub.utils._headers import build_hf_headers

    seconds = float(constants.HF_HUB_DOWNLOAD_TIMEOUT)
    try:
        headers = {**build_hf_headers(), "Accept-Encoding": "identity"}
        if begun:
            headers["Range"] = f"bytes={begun}-"
        url = hf_hub_url(name.id, file.name, revision=commit)
        with get_session().stream("GET", url, headers=headers, timeout=seconds) as response:
            _check(response, name, file, begun)
            at = begun if response.status_code == 206 else 0
            for chunk in response.iter_bytes():
                yield at, chunk
                at += len(chunk)
    except (ModelError, _BrokenError):
        raise
    except Exception as error:  # of the hub's client, which has changed its HTTP library before
        raise _broken(error, seconds, name) from error


def _broken(error: Exception, seconds: float, name: ModelName) -> Exception:
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if "OfflineModeIsEnabled" in kinds or "LocalProtocolError" in kinds:
        return refused(error, name)
    if "ReadTimeout" in kinds:
        return _BrokenError(f"nothing has come for {seconds:g} s")
    return _BrokenError(f"the connection broke ({reason_of(error)})")


def _check(response: Any, name: ModelName, file: RemoteFile, begun: int) -> None:
    """See that an answer is the file, or the rest of it.

    Raises:
        _BrokenError: not this time.
        ModelError: it is something else, and will be.
    """
    from huggingface_hub import hf_raise_for_status

    status = int(response.status_code)
    if status in _PASSING:
        asked = response.headers.get("Retry-After", "")
        wait = min(float(asked), LONGEST_ASKED_WAIT_SECONDS) if asked.isdigit() else 0.0
        raise _BrokenError(f"the server answers {status}", wait)
    if status >= 400:
        try:
            hf_raise_for_status(response)
        except Exception as error:
            raise refused(error, name) from error
    if response.headers.get("Content-Encoding", "identity") != "identity":
        return  # what it is without that is as long as it is
    total = response.headers.get("Content-Length")
    if status == 206:
        first, _, total = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
        if first.partition("-")[0] != str(begun):
            raise _BrokenError("another part came than was asked for")
    if status not in {200, 206} or (total not in {None, "*"} and total != str(file.bytes)):
        raise refused(NotTheHubError(), name)


def _given_up(name: ModelName, file: RemoteFile, there: int, reason: str) -> ModelError:
    what = f"the download of {file.name} does not get on: {reason}, {MOST_ATTEMPTS} times in a row"
    advice = (
        f"{there // MEGABYTE} of {file.bytes // MEGABYTE} MB are here: `maskcast fetch {name}` goes on from there; "
        "if it stops at the same place, look at HTTPS_PROXY, or raise HF_HUB_DOWNLOAD_TIMEOUT on a slow line"
    )
    return ModelError(what, where=f"model {name}", advice=advice)
