"""How far a recording should go by its container's own account, and how far it was read."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from typing import Any, cast

from av.container import InputContainer
from av.format import Flags
from av.packet import Packet
from av.stream import Discard

# FFmpeg's own unit for the times of containers.
AV_TIME_BASE = 1_000_000
# FFmpeg's flags of formats without a header that knows their length: it looks for the last time stamp, or guesses.
GUESSED_LENGTH: int = cast("Any", Flags.no_timestamps | Flags.generic_index | Flags.ts_discont).value
# A recording is cut off when its pictures and its sound end this much before the length in its header.
CUT_SECONDS = 0.5
# A playlist's lengths are those of its segments, often rounded to whole seconds.
PLAYLIST_SHARE = 0.1


class Extent:
    """The length that a container tells, held against the packets that were read.

    Attributes:
        length: seconds from the first frame to the end of the last, if known.
        frames: what the container counts, 0 if it does not.
        end: when the last frame stops being shown, in seconds after the start of the container, if it tells.
    """

    def __init__(self, container: InputContainer, video: Any) -> None:
        """Ask the container for the extent of its stream `video`, before anything is read."""
        self._container, self._video = container, video
        self._name, flags = container.format.name, container.format.flags
        self._start = Fraction(container.start_time or 0, AV_TIME_BASE)
        self.frames = int(video.frames)
        self.length = self._length()
        self.end: Fraction | None = None
        if video.duration and not flags & GUESSED_LENGTH:
            begins = 0 if self._name == "asf" else video.start_time or 0  # ASF's headers count from zero
            self.end = Fraction((begins + video.duration) * video.time_base) - self._start
        self._read: Counter[int] = Counter()  # packets by stream
        self._read_up_to = Fraction(0)
        self._longest_gap = Fraction(0)  # between the starts of two packets of the video in a row
        self._last: Fraction | None = None

    def note(self, packet: Packet[Any]) -> None:
        """Remember that a packet was read."""
        stamp = packet.dts if packet.pts is None else packet.pts
        if stamp is None or packet.time_base is None:
            return
        index = packet.stream.index
        self._read[index] += 1
        self._read_up_to = max(self._read_up_to, (stamp + (packet.duration or 0)) * packet.time_base)
        if index == self._video.index and packet.dts is not None:
            time = packet.dts * packet.time_base
            if self._last is not None:
                self._longest_gap = max(self._longest_gap, time - self._last)
            self._last = time

    def is_empty(self) -> bool:
        """Whether not one packet was read."""
        return not self._read

    def is_cut(self) -> bool:
        """Whether packets that the container lists, or a part of the length that it tells, did not come."""
        if self._name.startswith("mov"):
            # Its index lists every sample, if not before the last fragment was reached.
            if any(self._read[stream.index] < len(stream.index_entries) for stream in self._listed()):
                return True
            if self.frames:
                return False
        flags = self._container.format.flags
        if self._name == "hls":
            rest = float(self._container.duration or 0) / AV_TIME_BASE - float(self._read_up_to - self._start)
            return rest > CUT_SECONDS + PLAYLIST_SHARE * (self.length or 0.0)
        if flags & GUESSED_LENGTH:
            return False
        # Headers count from zero, even where the first picture is shown later. How long the last one is shown may not
        # be known: about as long as others.
        told = (self.length or 0.0) if self._name == "avi" else float(self._container.duration or 0) / AV_TIME_BASE
        return float(self._read_up_to) < told - max(CUT_SECONDS, 1.5 * float(self._longest_gap))

    def _listed(self) -> list[Any]:
        """The streams whose packets are all handed out."""
        streams = (*self._container.streams.video, *self._container.streams.audio)
        return [stream for stream in streams if stream.discard is not Discard.all]

    def _length(self) -> float | None:
        video = self._video
        if self._name == "avi" and video.frames and video.average_rate:
            # Its header knows; FFmpeg's own answer would shrink with the file.
            return float(video.frames / video.average_rate)
        if video.duration:
            return float(video.duration * video.time_base)
        if not self._container.duration:
            return None
        length = Fraction(self._container.duration, AV_TIME_BASE)
        # Matroska counts from zero, and segments keep the clock of the stream that they were cut from.
        late = self._start if self._name.startswith("matroska") and self._start < length else 0
        return float(length - late)
