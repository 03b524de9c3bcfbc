"""From a decoded frame to one that the model can read, on a thread of its stream and before its pass begins.

A huge picture, or one that cannot be converted, so holds up no other stream.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future

from maskcast.errors import SourceError, unforeseen
from maskcast.frame import Frame
from maskcast.threads import SerialThread


class Converter:
    """The thread of one stream, which begins with its first frame and ends at `close`."""

    def __init__(self, stream: str) -> None:
        """Prepare; `stream` is its id."""
        self._thread = SerialThread(f"convert {stream}")

    def begin(self, take: Callable[[], Frame]) -> Future[Frame]:
        """Take a frame and convert it. From any thread; does not wait.

        Returns:
            The frame, or why there is none: what `take` raised, or a `SourceError` where it cannot be converted.
        """
        return self._thread.submit(lambda: _converted(take()))

    def close(self) -> None:
        """End the thread after what it has begun; does not wait."""
        self._thread.close()


def _converted(frame: Frame) -> Frame:
    try:
        frame.picture.rgb()
    except BaseException as error:  # whatever a decoder's picture raises
        what = f"frame {frame.index} cannot be converted: {unforeseen(error)}"
        raise SourceError(what, where=frame.stream) from error
    return frame
