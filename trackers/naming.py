"""Under which name of its group an object is published: the one that has fitted it best for a while.

The scores of two prompts that exclude each other ("person with a helmet", "person without a helmet") cross over from
frame to frame where the object is small or turned away. So each track keeps a running score of each prompt of its
group, an exponential moving average, and is renamed only when another one has been clearly better for several frames:
hysteresis as in a Schmitt trigger, in score and in time. While a track is tentative nobody has heard of its name, and
it goes by the best one.

After a restart the running scores begin anew under the name that the track had, unless the stream goes on with the
very next frame (`Naming.votes`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maskcast.result import TrackState
from trackers.lifecycle import Life
from trackers.wanted import Wanted

# Weight of the past in a running score: half of it is what was seen in the last three frames.
MOMENTUM = 0.8
# By so much, for so many frames in a row in which the detector found the object, another prompt must be better. If the
# single scores of two prompts scatter by 0.2, the difference of their averages scatters by 0.2 * sqrt(2 * 0.2 / 1.8),
# which is 0.09: the margin is passed in one of seven frames, five times in a row much more rarely.
MARGIN = 0.1
PATIENCE_FRAMES = 5

Floats = NDArray[np.float32]


@dataclass
class _Votes:
    """Of one track.

    Attributes:
        running: ``(P,)`` running score of each of the stream's prompts.
        ahead: frames in a row in which another prompt has been better by the margin.
    """

    running: Floats
    ahead: int = 0


class Naming:
    """Names the tracks of a stream; bounded by their number."""

    def __init__(self, wanted: Wanted) -> None:
        """Begin without tracks."""
        self._names, self._kinds = wanted.names, wanted.kinds
        self._votes: dict[int, _Votes] = {}

    def see(self, life: Life, claims: Floats) -> None:
        """Take a frame in which a track was found, and rename it if that is due.

        Args:
            life: of the track; its `prompt` may change.
            claims: ``(P,)`` score of each of the stream's prompts at this object; 0 for those that did not find it.
        """
        votes = self._votes.get(life.id)
        if votes is None:
            self._votes[life.id] = votes = _Votes(claims.copy())
        else:
            votes.running += (1 - MOMENTUM) * (claims - votes.running)
        now = self._names.index(life.prompt)
        best = int(np.argmax(np.where(self._kinds == self._kinds[now], votes.running, -1)))
        lead = float(votes.running[best] - votes.running[now])
        tentative = life.state is TrackState.TENTATIVE
        votes.ahead = votes.ahead + 1 if lead > MARGIN else 0
        if votes.ahead >= PATIENCE_FRAMES or (tentative and lead > 0):
            life.prompt, votes.ahead = self._names[best], 0

    def keep(self, tracks: Iterable[int]) -> None:
        """Forget all other tracks."""
        alive = set(tracks)
        self._votes = {track: votes for track, votes in self._votes.items() if track in alive}

    def votes(self) -> dict[int, tuple[list[float], int]]:
        """Of each track the running scores and for how many frames in a row another prompt has been better."""
        return {track: (votes.running.tolist(), votes.ahead) for track, votes in self._votes.items()}

    def go_on(self, votes: Mapping[int, tuple[Sequence[float], int]]) -> None:
        """Take up what `votes` has given, of the same prompts.

        Raises:
            ValueError: it is of other prompts.
        """
        if any(len(running) != len(self._names) for running, _ in votes.values()):
            raise ValueError("scores of other prompts")
        self._votes = {track: _Votes(np.array(running, np.float32), ahead) for track, (running, ahead) in votes.items()}
