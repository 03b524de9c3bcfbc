"""Click sessions: on rendered pictures and on tracked frames, each going on from the decoder's own mistakes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from architecture import GRID, HIDDEN, MASK
from clicks import CORNERS, POSITIVE, Session, box_points, correction, point_in
from clip_batches import Pieces
from encoded_pictures import EncodedPictures
from numpy.typing import NDArray
from pretrain_encoder import backbone_features
from torch import Tensor
from tracker_pass import FrameFeatures, pyramid, track
from transformers import Sam3TrackerVideoModel, Sam3VideoModel

_FEWEST = 60
"""Pixels that an object must show to be clicked."""
_MOST_POINTS = 6


class TrackedFrames:
    """A bounded number of frames as the mask decoder sees them while it tracks, with its answers at the beginning."""

    def __init__(self, model: Sam3VideoModel, pieces: Iterator[Pieces], capacity: int, seed: int) -> None:
        self._model, self._pieces, self.capacity = model, pieces, capacity
        self._rng = np.random.default_rng(seed)
        half, here = torch.float16, model.tracker_model.no_memory_embedding.device
        self.coarse = torch.zeros(capacity, HIDDEN, GRID, GRID, dtype=half, device=here)
        self.fine = (
            torch.zeros(capacity, HIDDEN // 8, MASK, MASK, dtype=half, device=here),
            torch.zeros(capacity, HIDDEN // 4, MASK // 2, MASK // 2, dtype=half, device=here),
        )
        self.truth = torch.zeros(capacity, MASK, MASK, dtype=half)
        self.pixels = torch.zeros(capacity, dtype=torch.int64)
        self.masks = torch.zeros(capacity, MASK, MASK, dtype=half, device=here)
        self.presence = torch.zeros(capacity, device=here)
        self.pointer = torch.zeros(capacity, HIDDEN, device=here)
        self.version = np.zeros(capacity, np.int64)
        self._next = self.count = 0

    @torch.no_grad()
    def grow(self, tracker: Sam3TrackerVideoModel) -> None:
        """Track one more batch of pieces with the weights of the beginning."""
        rng, pieces = self._rng, next(self._pieces).to(self.coarse.device)
        frames, rows = pieces.masks.shape[:2]
        backbone = backbone_features(self._model.detector_model, pieces.images.flatten(0, 1))
        whole = pyramid(tracker, self._model.tracker_neck, backbone, train_fine=False)
        number = torch.arange(len(pieces.images)) * frames
        features = [
            FrameFeatures(whole.coarse[number + f], (whole.fine[0][number + f], whole.fine[1][number + f])).rows(
                pieces.clip
            )
            for f in range(frames)
        ]
        result = track(
            tracker,
            features,
            pieces.first,
            pieces.masks,
            own=torch.rand(frames, rows, device=self.coarse.device) < 0.9,
            conditioning=frozenset(np.flatnonzero(rng.random(frames) < 0.15).tolist()),
            far=float(rng.exponential(60)) if rng.random() < 0.4 else 0.0,
            known=int(rng.integers(2, 17)) if rng.random() < 0.3 else 16,
        )
        for frame in range(1, frames):
            if self._next + rows > self.capacity:
                self._next = 0
            here = slice(self._next, self._next + rows)
            answer = result.predictions[frame]
            self.coarse[here] = result.conditioned[frame - 1].half()
            self.fine[0][here], self.fine[1][here] = (level.half() for level in features[frame].fine)
            self.truth[here], self.pixels[here] = pieces.masks[frame].half(), pieces.pixels[frame]
            self.masks[here], self.presence[here] = answer.masks.half(), answer.presence
            self.pointer[here] = answer.pointer
            self.version[here] += 1
            self._next += rows
            self.count = max(self.count, self._next)

    def features(self, rows: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """What the decoder sees of these frames."""
        return self.coarse[rows].float(), (self.fine[0][rows].float(), self.fine[1][rows].float())


class Clicking:
    """Click sessions on pictures and on tracked frames; each goes on from the decoder's own mistakes."""

    def __init__(self, rng: np.random.Generator, pictures: EncodedPictures, tracked: TrackedFrames) -> None:
        self._rng, self._pictures, self._tracked = rng, pictures, tracked
        self._open: dict[tuple[bool, int], list[Session]] = {}

    def _version(self, tracked: bool, row: int) -> int:
        return int((self._tracked.version if tracked else self._pictures.version)[row])

    def truth(self, session: Session) -> Tensor:
        """Covered shares ``(MASK, MASK)`` of the session's object."""
        if session.tracked:
            return self._tracked.truth[session.row].float()
        return self._pictures.truth.masks[session.row, session.place]

    def _begin(self, *, tracked: bool, boxed: bool) -> Session:
        rng = self._rng
        while True:
            if tracked:
                row, place = int(rng.integers(self._tracked.count)), 0
                if self._tracked.pixels[row] < _FEWEST:
                    continue
            else:
                row = int(rng.integers(self._pictures.count))
                places = np.flatnonzero(self._pictures.truth.valid[row].numpy())
                if not places.size:
                    continue
                place = int(rng.choice(places))
            session = Session(row, place, self._version(tracked, row), tracked)
            truth = (self.truth(session) > 0.5).numpy()
            if truth.sum() < 4:
                continue
            if tracked:
                answer = self._tracked.masks[row].float() > 0
                found = (answer & (self._tracked.presence[row] > 0)).cpu().numpy()
                overlap = (found & truth).sum() / max((found | truth).sum(), 1)
                if overlap > 0.85 and rng.random() < 0.7:
                    continue
                click = correction(rng, found, truth, float(rng.choice((0.0, 0.5, 1.0))))
                if click is None:
                    continue
                session.points, session.labels = [click[0]], [click[1]]
            elif boxed:
                session.points, session.labels = list(box_points(rng, truth)), list(CORNERS)
            else:
                session.points = [point_in(rng, truth, float(rng.choice((0.0, 0.3, 0.6))))]
                session.labels = [POSITIVE]
            return session

    def first(self, count: int) -> list[Session]:
        """New sessions on pictures, all with a click or all with a box."""
        boxed = bool(self._rng.random() < 0.2)
        return [self._begin(tracked=False, boxed=boxed) for _ in range(count)]

    def next(self, count: int) -> list[Session]:
        """Sessions with equally many points: new ones, or such that go on."""
        rng = self._rng
        if rng.random() < 0.55:
            ready = [key for key, waiting in self._open.items() if len(waiting) >= count]
            if ready:
                key = ready[int(rng.integers(len(ready)))]
                waiting = self._open[key]
                chosen, self._open[key] = waiting[:count], waiting[count:]
                chosen = [s for s in chosen if s.version == self._version(s.tracked, s.row)]
                if chosen:
                    return chosen
        tracked, boxed = bool(rng.random() < 0.2), bool(rng.random() < 0.2)
        return [self._begin(tracked=tracked, boxed=boxed) for _ in range(count)]

    def go_on(self, sessions: list[Session], masks: NDArray[np.bool_]) -> None:
        """Add a click where the masks ``(R, MASK, MASK)`` are wrong; a third of the sessions ends."""
        rng = self._rng
        for session, found in zip(sessions, masks, strict=True):
            if rng.random() < 0.33 or len(session.points) >= _MOST_POINTS:
                continue
            truth = (self.truth(session) > 0.5).numpy()
            click = correction(rng, found, truth, float(rng.choice((0.0, 0.5, 1.0))))
            if click is not None:
                session.points.append(click[0])
                session.labels.append(click[1])
                self._open.setdefault((session.tracked, len(session.points)), []).append(session)
