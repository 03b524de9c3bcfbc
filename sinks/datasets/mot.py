"""MOTChallenge text: one row a box, ``frame,id,left,top,width,height,score,class,visibility``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import count
from pathlib import Path

from maskcast.result import Result, TrackState
from maskcast.stream_info import StreamInfo
from sinks.datasets.lines import LineFile
from sinks.sink import BlockingSink
from sinks.through import kind_of_target

# The format has one class that is evaluated, the pedestrian; TrackEval refuses results of any other.
CLASS = 1
LONGEST_NAME_BYTES = 50  # of a prompt in the name of its file


class MotSink(BlockingSink):
    """Boxes of confirmed tracks, frames counted from 1, pixels from 0.

    Of several prompts, each has a file of its own beside that of all: ``name.<prompt>.txt``, a whole one at the end as
    well. ``visibility`` is -1, which means unknown.

    Raises:
        SinkError: a file cannot be created or written.
    """

    def __init__(self, path: Path, prompts: Sequence[str] = ()) -> None:
        """Write to `path`; `prompts` are those that may have a file of their own."""
        super().__init__(str(path))
        self._all = LineFile(path)
        self._by_prompt = {prompt: LineFile(beside) for prompt, beside in prompt_files(path, prompts).items()}

    def start_blocking(self, info: StreamInfo) -> None:
        del info
        for file in self._files:
            file.open()

    def write_blocking(self, result: Result) -> None:
        for track in result.tracks:
            if track.state is not TrackState.CONFIRMED:
                continue
            box = ",".join(f"{value:g}" for value in track.mask.bbox)
            row = f"{result.frame.index + 1},{track.id},{box},{track.score:.4f},{CLASS},-1".encode()
            self._all.append(row)
            if track.prompt in self._by_prompt:
                self._by_prompt[track.prompt].append(row)
        for file in self._files:
            file.flush_if_due()

    def finish_blocking(self, reason: str | None) -> None:
        with ExitStack() as each:  # also where one fails
            for file in self._files:
                each.callback(file.finish, complete=reason is None)

    @property
    def _files(self) -> list[LineFile]:
        return [self._all, *self._by_prompt.values()]


def prompt_files(path: Path, prompts: Sequence[str]) -> dict[str, Path]:
    """The files beside `path`, by prompt: none for a single one, or beside what is written through."""
    several = list(dict.fromkeys(prompts))
    if len(several) < 2 or kind_of_target(path):
        return {}
    names = zip(several, prompt_names(several), strict=True)
    return {prompt: path.with_name(f"{path.stem}.{name}{path.suffix}") for prompt, name in names}


def prompt_names(prompts: Sequence[str]) -> list[str]:
    """Names that a file may have, one for each prompt, none twice: ``red car`` is ``red-car``."""
    names: list[str] = []
    for prompt in prompts:
        words = re.sub(r"\W+", "-", prompt.lower()).encode()[:LONGEST_NAME_BYTES].decode(errors="ignore")
        base = words.strip("-") or "prompt"
        candidates = (base if number == 1 else f"{base}-{number}" for number in count(1))
        names.append(next(name for name in candidates if name not in names))
    return names
