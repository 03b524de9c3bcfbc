"""Which frames of a stream the detector looks at: every one, or every Nth while its tracks are propagated between."""

from __future__ import annotations

# When a pass fails for want of memory, the next ones may have been seen: two at most, see `streaming.pipeline`.
REMEMBERED_ANSWERS = 4


class Turns:
    """The turns of one stream: its first frame, whatever is asked for anew, then every Nth frame of its phase.

    Streams of different phases take turns, so that each pass has about as much to detect as any other.

    Attributes:
        phase: of the stream.
    """

    def __init__(self, every: int, phase: int) -> None:
        """Begin.

        Args:
            every: N, at least 1.
            phase: number of the stream.
        """
        self._every, self.phase = every, phase
        # That many frames after the first the phase's own turns begin; counted down to 0, then anew.
        self._wait = every - phase % every
        self._answers: dict[int, bool] = {}
        self._anew = True

    def renew(self) -> None:
        """Let the next frame be looked at, whosever turn it is."""
        self._anew = True

    def due(self, index: int) -> bool:
        """Whether the detector looks at a frame. Frames that were dropped before do not count.

        Args:
            index: of the frame. Asked again about one of the last, after a pass that failed, the answer is the same.
        """
        if index not in self._answers:
            if self._answers:
                self._wait -= 1
            self._answers[index], self._anew = self._anew or self._wait == 0, False
            self._wait = self._wait or self._every
            if len(self._answers) > REMEMBERED_ANSWERS:
                del self._answers[next(iter(self._answers))]
        return self._answers[index]

    @property
    def next(self) -> int:
        """How many frames after the last one the phase's next turn comes; 1 to N. To be asked after the first frame."""
        return self._wait

    def go_on(self, following: int) -> None:
        """Take the turns up between two frames, where `next` was `following`."""
        # Nothing has been answered yet, so the next frame is not counted down.
        self._wait, self._anew = following - 1, False
