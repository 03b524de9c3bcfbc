"""What FFmpeg's errors mean to a person."""

from __future__ import annotations

import av

from maskcast.errors import SourceError
from maskcast.redaction import redact

NO_ANSWER = "no answer in time; check the address, the network and whether the device is on"

NOTHING_CAME = (
    "nothing that is a video came through it; an MP4 whose index is at its end cannot be read so: give the file "
    "itself, or make it with -movflags +faststart"
)

NO_STREAM = (
    "is a playlist that names no stream: it is empty, or what it names is missing or may not be opened from there"
)


class AccessDeniedError(SourceError):
    """The server refused the user name or the password."""


def explain(error: Exception) -> str:
    """One line that says what is wrong and what to do; no URL and no credentials.

    Args:
        error: raised by PyAV while opening or reading.
    """
    if isinstance(error, av.HTTPUnauthorizedError | av.HTTPForbiddenError):
        return "user name or password refused (401 or 403); put the right ones into the URL: user:password@host"
    if isinstance(error, av.HTTPNotFoundError):
        return "the server knows no such path (404); look it up in the camera's or the server's manual"
    if isinstance(error, av.HTTPServerError):
        return "the server itself failed (5xx); look at its log or restart it"
    if isinstance(error, av.ExitError | TimeoutError):
        return NO_ANSWER
    if isinstance(error, ConnectionRefusedError):
        return "connection refused; check that the server runs and that the port is right"
    if isinstance(error, FileNotFoundError):
        return "no such file; check the path"
    if isinstance(error, PermissionError):
        return "permission denied; check who may read it"
    if isinstance(error, av.InvalidDataError):
        return "not a video that FFmpeg can read, or damaged: its end with the index may be missing"
    if isinstance(error, av.ProtocolNotFoundError):
        return (
            "this PyAV's FFmpeg does not speak that protocol; build PyAV against one that does "
            "(pip install --no-binary av av)"
        )
    if isinstance(error, av.FFmpegError) and error.errno == 5:  # EIO is all that FFmpeg says of an unknown host
        return "cannot be reached or read; check the address and the network"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return redact(text.splitlines()[0])
