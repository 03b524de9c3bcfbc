"""The newest pictures of a stream on its worker, encoded when the head asks for one."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from maskcast.frame import Frame
from maskcast.picture import Picture
from maskcast.threads import SerialThread
from streaming.cluster.cameras.remote_picture import encoded

# Pictures that the head was told of and may still ask for: a third of a second of a camera. One at 1080p takes 9 MB.
RING_PICTURES = 8


class Pictures:
    """Of one attempt. For one event loop; encodes on a thread of its own, which begins with the first picture."""

    def __init__(self, stream: str) -> None:
        """Begin without any; `stream` is its id."""
        self._thread = SerialThread(f"encode {stream}")
        self._untold: OrderedDict[int, Picture] = OrderedDict()  # bounded by what the uplink takes
        self._told: OrderedDict[int, Picture | None] = OrderedDict()  # None once it is but a JPEG
        self._encoding: dict[int, asyncio.Future[bytes]] = {}  # each is shared by those who ask

    def put(self, frame: Frame) -> None:
        """Keep the picture of a frame, by its index."""
        self._untold[frame.index] = frame.picture

    def told(self, index: int) -> None:
        """The head hears of this frame now: of those that it heard of, the newest stay."""
        if (picture := self._untold.pop(index, None)) is not None:
            self._told[index] = picture
        while len(self._told) > RING_PICTURES:
            self._encoding.pop(self._told.popitem(last=False)[0], None)

    async def jpeg(self, index: int) -> bytes | None:
        """The picture of a frame as it travels; None if it is gone.

        Raises:
            av.FFmpegError: it cannot be encoded.
        """
        if index not in self._told:
            return None
        picture = self._told[index]
        if picture is not None and index not in self._encoding:
            self._encoding[index] = self.encode(picture)
        return await asyncio.shield(self._encoding[index])

    def encode(self, picture: Picture) -> asyncio.Future[bytes]:
        """What becomes of a picture that is to be encoded, after those before it."""
        encoding = self._thread.run(lambda: encoded(picture))
        encoding.add_done_callback(lambda done: done.cancelled() or done.exception())  # seen, if nobody asks
        return encoding

    def settle(self) -> None:
        """None follows: the newest one stays, as it travels, and the others go."""
        while len(self._told) > 1:
            self._encoding.pop(self._told.popitem(last=False)[0], None)
        for index, picture in self._told.items():
            if picture is not None and index not in self._encoding:
                self._encoding[index] = self.encode(picture)
            self._told[index] = None
        self._thread.close()

    def close(self) -> None:
        """Let go of all."""
        self._thread.close()
        self._untold.clear()
        self._told.clear()
        self._encoding.clear()
