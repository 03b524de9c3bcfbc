"""What every source offers to the pipeline."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # the command starts without numpy
    from maskcast.frame import Frame
    from maskcast.stream_info import StreamInfo


class Source(Protocol):
    """Frames of one stream, in order. Blocking: the pipeline iterates it in a thread of its own.

    Opening (`sources.open_source`) raises `SourceError` or `UsageError`. Iterating yields every frame that decodes
    and raises `SourceError` afterwards when the stream ended before its time (truncated file, silent camera).
    """

    @property
    def info(self) -> StreamInfo:
        """Size, rate and kind, known once the source is open."""

    def __iter__(self) -> Iterator[Frame]:
        """Decode and yield frames until the end."""

    def close(self) -> None:
        """Release the decoder and the connection; may be called at any time, from any thread, more than once."""
