"""Which frames of a stream the detector looks at: every one, or every Nth while its tracks are propagated between."""

from __future__ import annotations


class Turns:
    """The turns of one stream: its first frame, whatever is asked for anew, then every Nth frame of its phase.

    Streams of different phases take turns, so that each pass has about as much to detect as any other.
    """

    def __init__(self, every: int, phase: int) -> None:
        """Begin.

        Args:
            every: N, at least 1.
            phase: number of the stream.
        """
        self._every = every
        # That many frames after the first the phase's own turns begin; counted down to 0, then anew.
        self._wait = every - phase % every
        self._asked: int | None = None
        self._due = self._anew = True

    def renew(self) -> None:
        """Let the next frame be looked at, whosever turn it is."""
        self._anew = True

    def due(self, index: int) -> bool:
        """Whether the detector looks at a frame. Frames that were dropped before do not count.

        Args:
            index: of the frame. Asked again about the same one, after a pass that failed, the answer is the same.
        """
        if index != self._asked:
            if self._asked is not None:
                self._wait -= 1
            self._asked, self._due, self._anew = index, self._anew or self._wait == 0, False
            self._wait = self._wait or self._every
        return self._due
