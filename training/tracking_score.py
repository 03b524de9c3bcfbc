"""Scores a tracker on rendered clips: HOTA and IDF1 (TrackEval), J, and ids kept through a full occlusion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from clips import Clip, ClipRules, render_clip, render_occlusion
from losses import mask_iou
from numpy.typing import NDArray
from prompts import Prompt
from scipy.optimize import linear_sum_assignment
from trackeval.metrics import HOTA, Identity

Tracks = list[dict[int, NDArray[np.bool_]]]
"""For every frame, the visible masks ``(SIZE, SIZE)`` by track id."""
_PRESENT_PIXELS = 60
"""Pixels that an object must show to be asked for in a frame."""
_SAME = 0.3
"""IoU from which a track is said to be on an object."""


@dataclass(frozen=True)
class Case:
    """A clip, a prompt about it and the true tracks."""

    clip: Clip
    prompt: Prompt
    truth: Tracks
    hidden: tuple[int, int] | None = None
    """First and last frame in which object 0 is wholly hidden, for occlusion cases."""


def _truth(clip: Clip, prompt: Prompt) -> Tracks:
    wanted = [i for i, look in enumerate(clip.looks) if prompt.matches((look.colour, look.shape))]
    tracks: Tracks = []
    for labels in clip.labels:
        counts = np.bincount(labels.ravel(), minlength=len(clip.looks) + 1)
        tracks.append({i: labels == i + 1 for i in wanted if counts[i + 1] >= _PRESENT_PIXELS})
    return tracks


def random_cases(count: int, seed: int, frames: int = 60) -> list[Case]:
    """Clips with crossing, leaving and hidden objects; a quarter each of the four forms of prompt."""
    rng = np.random.default_rng(seed)
    cases = []
    for number in range(count):
        clip = render_clip(rng, ClipRules(frames=frames))
        look = clip.looks[int(rng.integers(len(clip.looks)))]
        form = number % 4
        prompt = Prompt(look.colour if form in (0, 2) else None, look.shape if form in (0, 1) else None)
        cases.append(Case(clip, prompt, _truth(clip, prompt)))
    return cases


def occlusion_cases(count: int, seed: int, frames: int = 60, gone: int = 10) -> list[Case]:
    """Clips in which the object that the prompt names hides for at least ``gone`` frames and comes back."""
    rng = np.random.default_rng(seed)
    cases: list[Case] = []
    while len(cases) < count:
        clip, first, last = render_occlusion(rng, frames, gone)
        if last - first + 1 < gone or last + 8 >= frames:
            continue
        prompt = Prompt(clip.looks[0].colour, clip.looks[0].shape)
        cases.append(Case(clip, prompt, _truth(clip, prompt), (first, last)))
    return cases


def _overlaps(truth: dict[int, NDArray[np.bool_]], found: dict[int, NDArray[np.bool_]]) -> NDArray[np.float64]:
    """IoU of all pairs, ``(len(truth), len(found))``."""
    if not truth or not found:
        return np.zeros((len(truth), len(found)))
    first, second = (torch.from_numpy(np.stack(list(masks.values()))) for masks in (truth, found))
    return mask_iou(first, second).numpy().astype(np.float64)


def _sequence(case: Case, tracks: Tracks) -> dict[str, Any]:
    """One clip in TrackEval's terms."""
    truth_ids = sorted({i for frame in case.truth for i in frame})
    found_ids = sorted({i for frame in tracks for i in frame})
    truth_index = {name: index for index, name in enumerate(truth_ids)}
    found_index = {name: index for index, name in enumerate(found_ids)}
    return {
        "num_gt_ids": len(truth_ids),
        "num_tracker_ids": len(found_ids),
        "num_gt_dets": sum(map(len, case.truth)),
        "num_tracker_dets": sum(map(len, tracks)),
        "gt_ids": [np.array([truth_index[i] for i in frame], int) for frame in case.truth],
        "tracker_ids": [np.array([found_index[i] for i in frame], int) for frame in tracks],
        "similarity_scores": [_overlaps(t, f) for t, f in zip(case.truth, tracks, strict=True)],
    }


def _region_similarity(data: dict[str, Any]) -> list[float]:
    """J of each true object: mean IoU with the one track that overlaps it most over the clip."""
    total = np.zeros((data["num_gt_ids"], max(data["num_tracker_ids"], 1)))
    lengths = np.zeros(data["num_gt_ids"])
    for truth, found, overlap in zip(data["gt_ids"], data["tracker_ids"], data["similarity_scores"], strict=True):
        lengths[truth] += 1
        if len(truth) and len(found):
            total[np.ix_(truth, found)] += overlap
    rows, columns = linear_sum_assignment(-total)
    best = np.zeros(data["num_gt_ids"])
    best[rows] = total[rows, columns]
    return [float(v) for v in best / np.maximum(lengths, 1)]


def _id_at(case: Case, tracks: Tracks, frames: range) -> int | None:
    """The track that is on object 0 in most of ``frames``."""
    votes: dict[int, int] = {}
    for frame in frames:
        if 0 not in case.truth[frame]:
            continue
        overlap = _overlaps({0: case.truth[frame][0]}, tracks[frame])
        if overlap.size and overlap.max() > _SAME:
            name = list(tracks[frame])[int(overlap.argmax())]
            votes[name] = votes.get(name, 0) + 1
    return max(votes, key=lambda name: votes[name]) if votes else None


def id_kept(case: Case, tracks: Tracks) -> bool:
    """Whether the object of an occlusion case has the same id before and after it was hidden."""
    assert case.hidden is not None
    before = _id_at(case, tracks, range(max(case.hidden[0] - 12, 0), case.hidden[0]))
    after = _id_at(case, tracks, range(case.hidden[1] + 4, len(tracks)))
    return before is not None and before == after


def score_tracks(cases: Sequence[Case], answers: Sequence[Tracks]) -> dict[str, float]:
    """HOTA, DetA, AssA, IDF1 and J over all clips, and ids kept where the cases are occlusions; shares of 1."""
    hota, identity = HOTA(), Identity({"PRINT_CONFIG": False})
    sequences = {str(n): _sequence(case, tracks) for n, (case, tracks) in enumerate(zip(cases, answers, strict=True))}
    sequences = {name: data for name, data in sequences.items() if data["num_gt_dets"] or data["num_tracker_dets"]}
    by_hota = hota.combine_sequences({name: hota.eval_sequence(data) for name, data in sequences.items()})
    by_id = identity.combine_sequences({name: identity.eval_sequence(data) for name, data in sequences.items()})
    regions = [value for data in sequences.values() for value in _region_similarity(data)]
    result = {
        "clips": float(len(cases)),
        "hota": float(by_hota["HOTA"].mean()),
        "deta": float(by_hota["DetA"].mean()),
        "assa": float(by_hota["AssA"].mean()),
        "idf1": float(by_id["IDF1"]),
        "j": float(np.mean(regions)) if regions else 0.0,
    }
    hidden = [(case, tracks) for case, tracks in zip(cases, answers, strict=True) if case.hidden]
    if hidden:
        result["ids_kept"] = float(np.mean([id_kept(case, tracks) for case, tracks in hidden]))
    return {name: round(value, 4) for name, value in result.items()}
