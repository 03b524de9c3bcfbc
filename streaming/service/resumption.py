"""What a stream takes from one attempt, or one process, to the next, so that no id is used twice."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace

from maskcast.errors import TrackStateError
from maskcast.files import set_aside
from maskcast.notices import Notice, TrackedFrame
from maskcast.result import KnownTracks
from sinks.mqtt.journal import Journal
from streaming.pipeline.saving import TrackStateFile


class Resumption:
    """The tracks of one stream across attempts."""

    def __init__(self, name: str, track_state: TrackStateFile | None) -> None:
        """Begin without a memory of earlier attempts.

        Args:
            name: id of the stream.
            track_state: where its track state is kept, if it is.
        """
        self.track_state = track_state
        self._name = name
        self._highest_id = 0

    async def known(self, journal: Journal | None) -> KnownTracks | None:
        """What was told of earlier tracks: to subscribers or a counter if there is a `journal`, else in recordings."""
        if journal:
            known = await journal.known_tracks(self._name)
            return replace(known, highest=max(known.highest, self._highest_id))  # the journal's disk may hang
        kept = self.track_state
        if self._highest_id == 0 or (kept and kept.resume and await asyncio.to_thread(os.path.exists, kept.file)):
            return None
        return KnownTracks({}, self._highest_id)

    def give_up(self, error: TrackStateError) -> TrackStateError:
        """Let the stream run without a track state that cannot be used, on a read-only disk as well.

        Returns:
            The error, with what has been done about it.
        """
        assert self.track_state is not None
        try:
            done = f"set aside as {set_aside(self.track_state.file).name}"
        except OSError:
            self.track_state, done = replace(self.track_state, resume=False), "passed over"
        return error.advising(done)

    def notify(self, notice: Notice) -> None:
        """Remember the ids that were given."""
        if isinstance(notice, TrackedFrame):
            for result in notice.results:
                self._highest_id = max([self._highest_id, *(track.id for track in result.tracks)])
