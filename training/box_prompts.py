"""Prompts by example: boxes around objects that say "like this" or "not this", beside a phrase or in its place.

The rule that the model learns: a positive box asks for objects of its colour and shape, alone as well as beside a
phrase, which it narrows; a negative one takes objects of its colour and shape out of the answer. The picture that the
boxes are drawn in need not be the one that is asked.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from encoded_pictures import EncodedPictures
from matching import to_centres
from numpy.typing import NDArray
from prompts import VISUAL, Kind, Prompt
from torch import Tensor

MOST_BOXES = 4
PADDING = -10
"""Label of a box that is not there, as in the library."""
_FORMS = ("one box", "boxes", "box and negative", "phrase and negative", "phrase and box")
_SHARES = (0.28, 0.08, 0.14, 0.40, 0.10)
_ELSEWHERE = 0.3
"""Share of the rows whose boxes lie in another picture than the one that is asked."""


@dataclass(frozen=True)
class Examples:
    """``R`` prompts with boxes."""

    source: Tensor
    """int64 ``(R,)``: the picture that the boxes are drawn in."""
    target: Tensor
    """int64 ``(R,)``: the picture that is asked."""
    boxes: Tensor
    """float32 ``(R, MOST_BOXES, 4)``, centre form, shares of the side."""
    labels: Tensor
    """int64 ``(R, MOST_BOXES)``: 1 like this, 0 not this, `PADDING` no box."""
    texts: list[str]
    wanted: Tensor
    """bool ``(R, N)``: the objects of the target that answer."""
    kinds: Tensor
    """int64 ``(R, 2)``: colour and shape of the positive boxes; -1 where there is none."""

    def to(self, device: torch.device) -> Examples:
        """Copy to a device; the numbers of pictures stay."""
        boxes, labels, wanted, kinds = (p.to(device) for p in (self.boxes, self.labels, self.wanted, self.kinds))
        return Examples(self.source, self.target, boxes, labels, self.texts, wanted, kinds)


@dataclass(frozen=True)
class Album:
    """The truth about ``P`` pictures, as arrays."""

    kinds: NDArray[np.int64]
    """``(P, N, 2)``."""
    valid: NDArray[np.bool_]
    """``(P, N)``."""
    boxes: NDArray[np.float32]
    """``(P, N, 4)``, corners."""

    @classmethod
    def of(cls, pictures: EncodedPictures) -> Album:
        """The truth about encoded pictures, without a copy."""
        truth, here = pictures.truth, slice(pictures.count)
        return cls(truth.kinds[here].numpy(), truth.valid[here].numpy(), truth.boxes[here].numpy())

    def places(self, picture: int, kind: Kind) -> NDArray[np.int64]:
        """The objects of a kind in a picture."""
        return np.flatnonzero((self.kinds[picture] == kind).all(1) & self.valid[picture])

    def present(self, picture: int) -> list[Kind]:
        """The kinds in a picture, once each."""
        return sorted({(int(c), int(s)) for c, s in self.kinds[picture][self.valid[picture]]})

    def with_kind(self, kind: Kind) -> NDArray[np.int64]:
        """Pictures that hold an object of a kind."""
        return np.flatnonzero(((self.kinds == kind).all(2) & self.valid).any(1))


def drawn(rng: np.random.Generator, box: NDArray[np.float32], care: float = 0.06) -> NDArray[np.float32]:
    """A box as a hand draws it: every edge is off by up to ``care`` of the side."""
    size = np.tile(box[2:] - box[:2], 2)
    return np.clip(box + size * rng.uniform(-care, care, 4), 0, 1).astype(np.float32)


def look_alikes(kinds: list[Kind], kind: Kind) -> list[Kind]:
    """Other kinds, those of the same colour or shape if there are any."""
    others = [other for other in kinds if other != kind]
    return [other for other in others if other[0] == kind[0] or other[1] == kind[1]] or others


def _broad_phrase(rng: np.random.Generator, kind: Kind) -> Prompt:
    """A phrase that names a kind and others."""
    form = int(rng.choice(3, p=(0.4, 0.35, 0.25)))
    return Prompt(kind[0] if form == 1 else None, kind[1] if form == 0 else None)


def _target(rng: np.random.Generator, album: Album, source: int, kind: Kind) -> int:
    """The picture to ask: mostly the source, else most often one that holds the kind."""
    if rng.random() >= _ELSEWHERE:
        return source
    if rng.random() < 0.7:
        return int(rng.choice(album.with_kind(kind)))
    return int(rng.integers(len(album.kinds)))


def show(rng: np.random.Generator, album: Album, count: int) -> Examples:
    """Make up ``count`` prompts with boxes."""
    sources, targets, texts = [], [], []
    boxes = np.full((count, MOST_BOXES, 4), (0.5, 0.5, 0.1, 0.1), np.float32)
    labels = np.full((count, MOST_BOXES), PADDING, np.int64)
    alike = np.full((count, 2), -1, np.int64)
    wanted = np.zeros((count, album.valid.shape[1]), bool)
    row = 0
    while row < count:
        source = int(rng.integers(len(album.kinds)))
        kinds = album.present(source)
        form = str(rng.choice(_FORMS, p=_SHARES))
        if not kinds or ("negative" in form and len(kinds) < 2):
            continue
        repeated = [kind for kind in kinds if len(album.places(source, kind)) > 1]
        kind = kinds[int(rng.integers(len(kinds)))]
        if repeated and (form == "boxes" or rng.random() < 0.5):
            kind = repeated[int(rng.integers(len(repeated)))]
        positive, negative, prompt = [kind], [], Prompt(*kind)
        texts.append(VISUAL)
        if form == "boxes":
            positive = [kind] * min(int(rng.integers(2, 4)), len(album.places(source, kind)))
        elif form == "box and negative":
            near = look_alikes(kinds, kind)
            negative = [near[i] for i in rng.permutation(len(near))[: int(rng.integers(1, 3))]]
        elif form == "phrase and negative":
            positive, negative, prompt = [], [kind], _broad_phrase(rng, kind)
            texts[-1] = prompt.random_text(rng)
        elif form == "phrase and box":
            texts[-1] = (_broad_phrase(rng, kind) if rng.random() < 0.7 else prompt).random_text(rng)
        target = _target(rng, album, source, kind)
        answer = [
            album.valid[target, place] and prompt.matches((int(c), int(s))) and (int(c), int(s)) not in negative
            for place, (c, s) in enumerate(album.kinds[target])
        ]
        if form == "phrase and negative" and not any(answer) and rng.random() < 0.7:
            texts.pop()
            continue
        column = 0
        for label, chosen in ((1, positive), (0, negative)):
            for one in sorted(set(chosen)):
                places = rng.permutation(album.places(source, one))[: max(chosen.count(one), 1)]
                for place in places[: MOST_BOXES - column]:
                    box = torch.from_numpy(drawn(rng, album.boxes[source, place]))
                    boxes[row, column], labels[row, column] = to_centres(box).numpy(), label
                    column += 1
        wanted[row] = answer
        if positive:
            alike[row] = kind
        sources.append(source)
        targets.append(target)
        row += 1
    return Examples(
        torch.tensor(sources),
        torch.tensor(targets),
        torch.from_numpy(boxes),
        torch.from_numpy(labels),
        texts,
        torch.from_numpy(wanted),
        torch.from_numpy(alike),
    )
