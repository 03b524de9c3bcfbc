"""What a track state must be like to be believed: every field and tensor, before memory is given to it.

A file that another program, a sick disk or a hostile hand has written must not cost more than itself: ids that are no
numbers, clocks that stand in the future, memories that would fill the machine.
"""

from __future__ import annotations

import math
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from maskcast.mask import Box
from maskcast.prompts import Prompt
from maskcast.result import TrackState
from trackers.lifecycle import Life
from trackers.memory.memory_bank import EMPTY, NEVER, SlotTable
from trackers.rules import Rules

# More than ever come of anything that is counted: of frames, at a thousand a second, in 8,900 years. Sums of two stay
# within 64 bits.
MOST_COUNT = 1 << 48
# 30,000 years.
LONGEST_SECONDS = 1e12
# Of the file's head, which holds the document: at most `Rules.max_tracks` lives of some hundred bytes and the prompts.
LONGEST_HEAD_BYTES = 4 << 20
# Appearances are of unit length.
LONGEST_APPEARANCE = 1.001

FLOATS = ("BF16", "F16", "F32")
# Of `MemoryBank`, one for each entry.
MARKS = {"steps": "I64", "conditioning": "BOOL", "seen": "BOOL"}
# Of `SlotTable`, one number a track.
NUMBERS = ("ids", "first_step", "keep_alive", "unmatched", "last_occluded")


class Slice(Protocol):
    """What safetensors tells of a tensor before it is read."""

    def get_shape(self) -> list[int]: ...
    def get_dtype(self) -> str: ...


@dataclass(frozen=True)
class Document:
    """The part of a track state that is not tensors, checked."""

    prompts: tuple[Prompt, ...]
    step: int
    pts: float | None
    next_id: int
    lives: list[Life]


def check_file(file: Path) -> None:
    """Refuse what is no file, or one whose head is too long to be read.

    Raises:
        FileNotFoundError: nothing is there.
        OSError, ValueError: it cannot be read, or is something else.
    """
    try:
        mode = file.stat().st_mode
    except NotADirectoryError as error:
        raise FileNotFoundError(*error.args) from error
    if not stat.S_ISREG(mode):
        raise ValueError("no file")
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")  # as the format of safetensors says
    if length > LONGEST_HEAD_BYTES:
        raise ValueError(f"a head of {length} bytes")


def read_document(found: Mapping[str, Any], max_tracks: int) -> Document:
    """Read the document.

    Raises:
        ValueError, TypeError, KeyError: something in it cannot be.
    """
    prompts = tuple(found["prompts"])
    texts = tuple(found.get("texts", prompts))  # which older files lack: a prompt was its phrase
    if not all(isinstance(prompt, str) for prompt in (*prompts, *texts)):
        raise ValueError("a prompt that is no text")
    wanted = tuple(Prompt(text, name) for text, name in zip(texts, prompts, strict=True))
    if len(found["lives"]) > max_tracks:
        raise ValueError(f"more than {max_tracks} tracks")
    next_id = integer(found["next_id"], 1)
    lives = [_life(life, prompts, next_id) for life in found["lives"]]
    if len({life.id for life in lives}) < len(lives):
        raise ValueError("an id that is given twice")
    pts = None if found["pts"] is None else number(found["pts"])
    return Document(wanted, integer(found["step"], 0), pts, next_id, lives)


def _life(found: Mapping[str, Any], prompts: Sequence[str], next_id: int) -> Life:
    if found["prompt"] not in prompts:
        raise ValueError("a track of another prompt")
    state = TrackState(found["state"])
    if state is TrackState.ENDED:
        raise ValueError("a track that has ended")
    left, top, width, height = (number(one) for one in found["bbox"])
    return Life(
        id=integer(found["id"], 1, next_id - 1),
        prompt=found["prompt"],
        state=state,
        hits=integer(found["hits"], 0),
        last_seen=number(found["last_seen"]),
        score=number(found["score"], 0, 1),
        bbox=Box(left, top, width, height),
    )


def check_shapes(tensors: Mapping[str, Slice], table: SlotTable, tracks: int) -> None:
    """See that the tensors are those of so many tracks, before they are read.

    Args:
        tensors: of the file.
        table: an empty one of the tracker that is to go on.
        tracks: how many the document tells of.

    Raises:
        ValueError: one is missing, superfluous, or of another shape or type.
    """
    wanted: dict[str, tuple[tuple[str, ...], tuple[int, ...]]] = {
        "shared": (("I64",), (tracks, tracks)),
        "appearance": (("F32",), (tracks, table.appearance.shape[1])),
        **dict.fromkeys(NUMBERS, (("I64",), (tracks,))),
    }
    for name, bank in (("spatial", table.spatial), ("pointers", table.pointers)):
        wanted[name] = FLOATS, (tracks, *bank.values.shape[1:])
        wanted |= {f"{name}.{mark}": ((kind,), (tracks, bank.steps.shape[1])) for mark, kind in MARKS.items()}
    if tensors.keys() != wanted.keys():
        raise ValueError("other tensors than those of a track state")
    for name, (kinds, shape) in wanted.items():
        if tensors[name].get_dtype() not in kinds or tuple(tensors[name].get_shape()) != shape:
            raise ValueError(f"{name} of another shape or type")


def check_values(tensors: Mapping[str, Tensor], document: Document, rules: Rules) -> None:
    """See that the tensors hold what they may.

    Raises:
        ValueError: one holds something else.
    """
    step = document.step
    bounds = {
        "first_step": (-MOST_COUNT, step),
        "keep_alive": (rules.min_trk_keep_alive, max(rules.max_trk_keep_alive, rules.init_trk_keep_alive)),
        "unmatched": (0, MOST_COUNT),
        "last_occluded": (NEVER, step),
        "shared": (0, MOST_COUNT),  # of several detections in a frame, too
        "appearance": (-LONGEST_APPEARANCE, LONGEST_APPEARANCE),
        "spatial.steps": (EMPTY, step),
        "pointers.steps": (EMPTY, step),
    }
    for name, (low, high) in bounds.items():
        values = tensors[name]
        if not bool(((values >= low) & (values <= high)).all()):  # which no NaN is
            raise ValueError(f"{name} out of bounds")
    for name in ("spatial", "pointers"):
        if not bool(torch.isfinite(tensors[name]).all()):
            raise ValueError("memories that are no numbers")
    if sorted(tensors["ids"].tolist()) != sorted(life.id for life in document.lives):
        raise ValueError("tracks and memories disagree")


def integer(value: object, low: int, high: int = MOST_COUNT) -> int:
    """A number of a document.

    Raises:
        ValueError: it is none, or out of bounds.
    """
    if type(value) is not int or not low <= value <= high:
        raise ValueError(f"a number that is not from {low} to {high}")
    return value


def number(value: object, low: float = -LONGEST_SECONDS, high: float = LONGEST_SECONDS) -> float:
    """As `integer`, with a fraction."""
    if type(value) not in {int, float}:
        raise ValueError("a number that is none")
    found = float(value)  # type: ignore[arg-type]
    if not (math.isfinite(found) and low <= found <= high):
        raise ValueError(f"a number that is not from {low:g} to {high:g}")
    return found
