"""Frames of the caller's own, pushed one by one: for those who have pictures and no file or stream."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, Unpack, overload

from maskcast.errors import SinkError, TooLargeError, TrackStateError, UsageError, reason_of, unforeseen
from maskcast.frame import Frame
from maskcast.places import Places
from maskcast.prompts import Prompt, groups, listed
from maskcast.result import Event, Result
from streaming.given_places import GivenPlaces, given_places, zones_stage
from streaming.pipeline.stage import LateEvents, Stage, staged
from streaming.pushed_picture import Order, check_order, pushed_picture
from streaming.track_states import SUFFIX, remove_other_track_states, track_state_file
from trackers.options import EngineKeywords, options_of

if TYPE_CHECKING:
    from streaming.pushed_picture import Pixels
    from streaming.zones.stage import ZonesStage
    from trackers.engine import Engine, TrackedStream

FRAMES_PER_SECOND = 25.0
# Of frames that are pushed without a name.
ONLY_STREAM = "frames"
# At once, or names that are made up for every frame would fill the memory.
MOST_STREAMS = 256


class Tracker:
    """Follows what matches the prompts through pictures of the caller's, in the caller's thread.

    It holds one model, and a stream for each sequence of pictures, which begins with its first one. One call at a time.
    As a context manager it frees the model at the end.

    Example:
        with Tracker(["person"]) as tracker:
            for picture in pictures:
                result = tracker.update(picture)
    """

    def __init__(
        self,
        prompts: str | Prompt | Sequence[str | Prompt],
        *,
        order: Order = "rgb",
        zones: GivenPlaces | Mapping[str, GivenPlaces] | None = None,
        **options: Unpack[EngineKeywords],
    ) -> None:
        """Load a model.

        Args:
            prompts: one or several, phrases or `Prompt`s; an object belongs to one of them.
            order: of the three samples of a pixel: ``"rgb"``, or ``"bgr"`` as OpenCV's pictures have it.
            zones: zones and lines, or the TOML file that holds them, as `--zones`: of all streams, or of some by name.
                Results then have a `tally`, tracks say in which `zones` they are, and events tell what happened there.
            options: `model`, `device`, `tracker_from` and the others of `trackers.options.EngineOptions`.

        Raises:
            UsageError: an argument cannot be served.
            ModelError: the model cannot be loaded.
        """
        from trackers.engine import Engine

        self._order = check_order(order)
        chosen = options_of(options)
        self._loaded: Engine | None = Engine(chosen)
        self._lost_after = chosen.lost_after
        self._prompts = self._engine.check_prompts(listed(prompts))
        self._all_places, self._places = self._given(zones)
        self._streams: dict[str, _Stream] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def streams(self) -> tuple[str, ...]:
        """Names of those that have begun and are not finished, in the order in which they began."""
        return tuple(self._streams)

    @overload
    def update(self, frames: Pixels, pts: float | None = None) -> Result | None: ...

    @overload
    def update(
        self, frames: Mapping[str, Pixels], pts: float | Mapping[str, float] | None = None
    ) -> dict[str, Result | None]: ...

    def update(
        self, frames: Pixels | Mapping[str, Pixels], pts: float | Mapping[str, float] | None = None
    ) -> Result | dict[str, Result | None] | None:
        """Track in the next picture, or in the next ones of several streams, which go through the model together.

        Args:
            frames: a picture; or pictures by the names of their streams, of any size each. A picture is a NumPy array
                ``(H, W, 3)`` uint8, or a tensor ``(H, W, 3)`` or ``(3, H, W)`` uint8 on any device; it is copied.
            pts: when it was taken, in seconds from any origin, later than the one before; of several one for all, or
                one each. None for 1/25 s later. How long an object may be lost is measured by it.

        Returns:
            The result; or results by name, in the order of `frames`. With a `hot_start` of N frames it is that of the
            picture N - 1 before, and None for the first ones; `finish` gives the last ones.

        Raises:
            UsageError: something is no such picture, or its time is not finite, or not later, or there are more than
                256 streams; no stream has been advanced.
            ModelError: the model failed.
        """
        if not isinstance(frames, Mapping):
            if isinstance(pts, Mapping):
                raise UsageError("pts of one picture is one number")
            return self._update({ONLY_STREAM: frames}, pts)[ONLY_STREAM]
        return self._update(frames, pts)

    def set_prompts(self, prompts: str | Prompt | Sequence[str | Prompt], stream: str | None = None) -> None:
        """Look for something else from the next picture on; tracks of prompts that stay go on.

        The events of the tracks that end come with the stream's next result.

        Args:
            prompts: as of the constructor.
            stream: of which stream, that has begun or will; None for all, and for those that begin later.

        Raises:
            UsageError: the model cannot read them; nothing is changed.
        """
        checked = self._engine.check_prompts(listed(prompts))
        if stream is not None and stream not in self._streams:
            self._streams |= self._begun([stream], checked)
            return
        for name, one in self._streams.items():
            if stream in {None, name}:
                one.set_prompts(self._engine.set_prompts(one.tracked, checked))
        if stream is None:
            self._prompts = checked

    def finish(self, stream: str | None = None) -> list[Result]:
        """End a stream, or all of them. A picture that comes under its name afterwards begins it anew, with ids from 1.

        Args:
            stream: its name; None for all.

        Returns:
            What a `hot_start` still holds back, in order.

        Raises:
            UsageError: no such stream has begun.
        """
        engine = self._engine
        if stream is not None and stream not in self._streams:
            raise UsageError("no such stream has begun", where=f"stream {stream}")
        results: list[Result] = []
        for name in self.streams if stream is None else [stream]:
            one = self._streams.pop(name)
            results += one.staged(engine.close_stream(one.tracked))
        return results

    def save(self, folder: str | Path) -> None:
        """Write the track states of all streams, so that `load` goes on with them, in this process or in another.

        Of each stream there is one file, written whole or not at all, with what was counted at its places too; files of
        streams that are finished are deleted. What a `hot_start` holds back is not part of it.

        Args:
            folder: for this tracker alone; it is made.

        Raises:
            UsageError: the model has no memory tracker, see `tracker_from`.
            SinkError: the disk refuses.
        """
        folder = Path(folder)
        engine = self._engine
        engine.require_track_state()
        try:
            for name, one in self._streams.items():
                # Tracks may start after this whose ids nobody is to get again.
                saved = engine.save_stream(one.tracked, final=False)
                saved.write(track_state_file(folder, name), about=json.dumps(one.about()))
            remove_other_track_states(folder, self._streams)
        except OSError as error:
            raise SinkError(f"cannot be written: {reason_of(error)}", where=f"track states {folder}") from error

    def load(self, folder: str | Path) -> None:
        """Go on with the streams that `save` wrote: tracks keep their ids, and no id is used again.

        They look for what this tracker looks for; tracks of other prompts end. Numbers of frames and their times begin
        anew; the time between does not count. Ids of new tracks are 10,000 higher, because tracks may have started
        after the states were taken. Streams of other names stay as they are.

        Args:
            folder: as given to `save`.

        Raises:
            UsageError: it holds no track states, or the model has no memory tracker.
            TrackStateError: one is damaged, or belongs to another model; no stream is changed.
        """
        from sources.location import check_stream_id
        from trackers.memory.track_state import read_about

        folder = Path(folder)
        self._engine.require_track_state()
        files = sorted(folder.glob(f"*{SUFFIX}"))
        if not files:
            raise UsageError("no track states there", where=folder)
        loaded: dict[str, _Stream] = {}
        for file in files:
            about = read_about(file)
            name = check_stream_id(str(about.get("stream", file.name.removesuffix(SUFFIX))))
            prompts = self._streams[name].tracked.prompts if name in self._streams else self._prompts
            loaded[name] = self._stream(name, *self._engine.resume_stream(file, prompts))
            try:
                loaded[name].restore(about)
            except ValueError as error:
                advice = "begin without it"
                raise TrackStateError(
                    f"damaged ({unforeseen(error)})", where=f"track state {file}", advice=advice
                ) from error
        self._check_room(loaded)
        self._streams |= loaded

    def close(self) -> None:
        """Free the model, whose memory is torch's again. Whatever is asked afterwards is a `UsageError`.

        May be called more than once.
        """
        self._streams.clear()
        self._loaded = None

    @property
    def _engine(self) -> Engine:
        if self._loaded is None:
            raise UsageError("the tracker is closed")
        return self._loaded

    def _update(
        self, pictures: Mapping[str, Pixels], pts: float | Mapping[str, float] | None
    ) -> dict[str, Result | None]:
        new = self._begun([name for name in pictures if name not in self._streams], self._prompts)
        streams = [new.get(name) or self._streams[name] for name in pictures]
        frames = [
            one.frame(pixels, self._order, _time_of(name, pts))
            for one, (name, pixels) in zip(streams, pictures.items(), strict=True)
        ]
        told = self._step(streams, frames)
        self._streams |= new
        return {
            name: next(iter(one.staged(results)), None)
            for name, one, results in zip(pictures, streams, told, strict=True)
        }

    def _step(self, streams: Sequence[_Stream], frames: Sequence[Frame]) -> list[list[Result]]:
        """One pass, or more where there is not enough memory for it."""
        if not frames:
            return []
        try:
            told = self._engine.step([one.tracked for one in streams], frames)
        except TooLargeError:
            if len(frames) == 1:
                raise
            half = len(frames) // 2
            return [*self._step(streams[:half], frames[:half]), *self._step(streams[half:], frames[half:])]
        for one, frame in zip(streams, frames, strict=True):
            one.last = frame
        return told

    def _begun(self, names: Sequence[str], prompts: Sequence[Prompt]) -> dict[str, _Stream]:
        from sources.location import check_stream_id

        self._check_room(names)
        return {name: self._stream(check_stream_id(name), self._engine.open_stream(prompts)) for name in names}

    def _check_room(self, names: Iterable[str]) -> None:
        if len({*self._streams, *names}) > MOST_STREAMS:
            raise UsageError(f"more than {MOST_STREAMS} streams", advice="end those that are over with finish(name)")

    def _stream(self, name: str, tracked: TrackedStream, events: Iterable[Event] = ()) -> _Stream:
        places = self._places.get(name, self._all_places)
        zones = None if places is None else zones_stage(places, tracked.prompts, self._lost_after)
        return _Stream(name, tracked, events, zones)

    def _given(
        self, zones: GivenPlaces | Mapping[str, GivenPlaces] | None
    ) -> tuple[Places | None, Mapping[str, Places]]:
        """The places of all streams, and those of some."""
        if isinstance(zones, Mapping):
            return None, {name: given_places(given, self._prompts) for name, given in zones.items()}
        return None if zones is None else given_places(zones, self._prompts), {}


class _Stream:
    """One sequence of pictures.

    Attributes:
        name: of it.
        tracked: what the engine keeps of it.
        last: its last frame; None before the first.
    """

    last: Frame | None

    def __init__(self, name: str, tracked: TrackedStream, events: Iterable[Event], zones: ZonesStage | None) -> None:
        self.name, self.tracked, self.last = name, tracked, None
        self._late, self._zones = LateEvents(events), zones
        self._stages: Sequence[Stage] = (self._late, *([zones] if zones else []))

    def set_prompts(self, ended: Iterable[Event]) -> None:
        """The engine looks for something else, and these tracks have ended."""
        self._late.add(ended)
        if self._zones:
            self._zones.set_prompts(groups(self.tracked.prompts))

    def about(self) -> dict[str, object]:
        """What is to be kept with its track state."""
        return {"stream": self.name, "zones": self._zones and self._zones.state()}

    def restore(self, about: Mapping[str, Any]) -> None:
        """Count on from what was kept.

        Raises:
            ValueError: it is damaged.
        """
        if self._zones and (counted := about.get("zones")) is not None:
            if not isinstance(counted, dict):
                raise ValueError("what was counted is no object")
            self._zones.restore(counted)

    def frame(self, pixels: Pixels, order: Order, pts: float | None) -> Frame:
        """The next frame.

        Raises:
            UsageError: it is no picture, or its time is not finite, or not later.
        """
        last = self.last
        if pts is None:
            pts = 0.0 if last is None else last.pts + 1 / FRAMES_PER_SECOND
        if last is not None and not pts > last.pts:
            raise UsageError(f"pts must increase: {pts} comes after {last.pts}", where=f"stream {self.name}")
        if not isfinite(pts):  # after which no other time would be later
            raise UsageError(f"pts is a finite number of seconds, not {pts}", where=f"stream {self.name}")
        picture = pushed_picture(pixels, order)
        return Frame(self.name, 0 if last is None else last.index + 1, pts, datetime.now(UTC), picture)

    def staged(self, results: Iterable[Result]) -> list[Result]:
        """Results as they are behind all stages."""
        return list(staged(list(results), self._stages))


def _time_of(stream: str, pts: float | Mapping[str, float] | None) -> float | None:
    if not isinstance(pts, Mapping):
        return pts
    if stream not in pts:
        raise UsageError("pts has no time of it", where=f"stream {stream}")
    return pts[stream]
