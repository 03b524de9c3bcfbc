"""Names of files and folders made from a stream's id, which may be longer than a file system takes."""

from __future__ import annotations

import hashlib

from maskcast.errors import UsageError
from maskcast.printable import check_printable

# What stands for the stream's id in the name of a file.
STREAM_FIELD = "{stream}"
# Bytes of a name on all common file systems (POSIX' NAME_MAX), less what is put before and behind an id: suffixes such
# as `.safetensors.damaged`, and what the user writes around `{stream}`.
LONGEST_BYTES = 255 - 75


def file_name(stream: str) -> str:
    """The stream's id if it is short enough, else its beginning and a hash that tells it from others.

    Raises:
        UsageError: the id cannot be the name of a folder.
    """
    try:
        check_printable(stream)
    except ValueError as error:
        raise UsageError(f"cannot name a file: it {error}", where=f"the stream {stream!a}") from None
    if stream in {"", ".", ".."} or "/" in stream or "\\" in stream:
        what = "cannot name a file: its id must do as the name of a folder"
        raise UsageError(what, where=f"the stream {stream!a}")
    name = stream.encode()
    if len(name) <= LONGEST_BYTES:
        return stream
    digest = f"-{hashlib.sha256(name).hexdigest()[:16]}"
    return name[: LONGEST_BYTES - len(digest)].decode(errors="ignore") + digest


def with_stream(spec: str, stream: str) -> str:
    """A sink's spec with `STREAM_FIELD` replaced: in the name of a file by `file_name`, in a URL by the id itself."""
    if STREAM_FIELD not in spec:
        return spec
    return spec.replace(STREAM_FIELD, stream if "://" in spec else file_name(stream))
