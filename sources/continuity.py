"""One clock for a recording whose time stamps may begin anew in the middle."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, cast

from av.format import ContainerFormat, Flags
from av.packet import Packet

# FFmpeg's flag of formats whose stamps may be discontinuous: MPEG transport and program streams, HLS. In others, such
# as MP4 and Matroska, a gap is meant.
DISCONTINUOUS: int = cast("Any", Flags.ts_discont).value
# A longer step forward is a new beginning: FFmpeg's own `-dts_delta_threshold`.
LONGEST_STEP_SECONDS = 10
# A longer step back is one too; a shorter one is a packet out of order.
LONGEST_STEP_BACK_SECONDS = 1


class Continuity:
    """Moves the stamps of all streams together, as FFmpeg's command line does: sound stays with its pictures."""

    def __init__(self, container: ContainerFormat) -> None:
        """Begin; nothing is moved before the first discontinuity, and nothing at all where a gap is meant."""
        self._discontinuous = bool(container.flags & DISCONTINUOUS)
        self._offset = Fraction(0)
        self._due: dict[int, Fraction] = {}  # by stream: when its next packet is due
        self._newest: Fraction | None = None  # decoding time of the last packet of any stream

    def correct(self, packet: Packet[Any]) -> None:
        """Put a packet onto the one clock. Packets come in the medium's order."""
        if packet.time_base is None or not self._discontinuous:
            return
        self._move(packet, self._offset)
        if packet.dts is None or packet.stream.type not in {"video", "audio"}:  # the others are sparse
            return
        index, time = packet.stream.index, packet.dts * packet.time_base
        due = self._due.get(index, self._newest)
        back = (
            LONGEST_STEP_BACK_SECONDS if index in self._due else LONGEST_STEP_SECONDS
        )  # streams do not begin together
        # What fits the other streams is on their clock: the gap is this stream's alone.
        fits = any(at is not None and -back <= time - at <= LONGEST_STEP_SECONDS for at in (due, self._newest))
        if due is not None and not fits:
            self._offset -= time - due
            self._move(packet, due - time)
            time = due
        self._newest = time
        self._due[index] = time + (packet.duration or 0) * packet.time_base

    @staticmethod
    def _move(packet: Packet[Any], seconds: Fraction) -> None:
        assert packet.time_base is not None
        ticks = round(seconds / packet.time_base)
        if packet.dts is not None:
            packet.dts += ticks
        if packet.pts is not None:
            packet.pts += ticks
