"""What FFmpeg's errors mean to a person."""

from __future__ import annotations

from errno import EIO

import av

from maskcast.errors import SourceError, reason_of

NO_STREAM = (
    "is a playlist that names no stream: it is empty, or what it names is missing or may not be opened from there"
)
# The first kind that an error is of counts: what is wrong, and what to do.
_MEANINGS: tuple[tuple[type[Exception] | tuple[type[Exception], ...], str, str | None], ...] = (
    (av.HTTPNotFoundError, "the server knows no such path (404)", "look it up in the camera's or the server's manual"),
    (av.HTTPServerError, "the server itself failed (5xx)", "look at its log or restart it"),
    (
        (av.ExitError, TimeoutError),
        "no answer in time",
        "check the address, the network and whether the device is on",
    ),
    (ConnectionRefusedError, "connection refused", "check that the server runs and that the port is right"),
    (FileNotFoundError, "no such file", "check the path"),
    (PermissionError, "permission denied", "check who may read it"),
    (av.InvalidDataError, "not a video that FFmpeg can read, or damaged: its end with the index may be missing", None),
    (
        av.ProtocolNotFoundError,
        "this PyAV's FFmpeg does not speak that protocol",
        "build PyAV against one that does (pip install --no-binary av av)",
    ),
)


class AccessDeniedError(SourceError):
    """The server refused the user name or the password."""


def explain(error: Exception) -> SourceError:
    """What is wrong and what to do, without where.

    Args:
        error: raised by PyAV while opening or reading; a `SourceError` is given back as it is.
    """
    if isinstance(error, SourceError):
        return error
    if isinstance(error, av.HTTPUnauthorizedError | av.HTTPForbiddenError):
        remedy = "put the right ones into the URL: user:password@host"
        return AccessDeniedError("user name or password refused (401 or 403)", advice=remedy)
    for kinds, what, advice in _MEANINGS:
        if isinstance(error, kinds):
            return SourceError(what, advice=advice)
    if isinstance(error, av.FFmpegError) and error.errno == EIO:  # all that FFmpeg says of an unknown host
        return SourceError("cannot be reached or read", advice="check the address and the network")
    return SourceError(reason_of(error))


def nothing_came() -> SourceError:
    """What to say of a pipe or an answer of HTTP that ended without a picture."""
    advice = (
        "an MP4 whose index is at its end cannot be read so: give the file itself, or make it with -movflags +faststart"
    )
    return SourceError("nothing that is a video came through it", advice=advice)
