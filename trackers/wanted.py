"""What a stream looks for, as the trackers see it: names for tracks, and which of them are one kind of object."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maskcast.prompts import Prompt, as_prompts


@dataclass(frozen=True, eq=False)
class Wanted:
    """P prompts of a stream.

    Attributes:
        prompts: what is looked for.
        names: what tracks are published under.
        kinds: ``(P,)`` int64. Prompts of one group are one kind: the first of them stands for all. Objects of two kinds
            have nothing to do with each other; those of one kind are compared, whatever prompt found them.
    """

    prompts: tuple[Prompt, ...]
    names: tuple[str, ...]
    kinds: NDArray[np.int64]

    @classmethod
    def of(cls, prompts: Iterable[str | Prompt]) -> Wanted:
        """Prompts that have been cleaned."""
        cleaned = as_prompts(prompts)
        first: dict[str, int] = {}
        kinds = [
            index if prompt.group is None else first.setdefault(prompt.group, index)
            for index, prompt in enumerate(cleaned)
        ]
        return cls(cleaned, tuple(prompt.name for prompt in cleaned), np.array(kinds, np.int64))

    def kept(self, before: Wanted) -> tuple[str, ...]:
        """The names whose tracks go on where `before` was looked for: those that stand for the same phrase still."""
        texts = {prompt.name: prompt.text for prompt in before.prompts}
        return tuple(prompt.name for prompt in self.prompts if texts.get(prompt.name) == prompt.text)

    def min_frames(self) -> dict[str, int]:
        """Frames in a row in which a new track must be seen, by name, where that was asked for."""
        return {prompt.name: prompt.min_frames for prompt in self.prompts if prompt.min_frames is not None}

    def texts(self) -> tuple[str, ...]:
        """The phrase of each prompt."""
        return tuple(prompt.text for prompt in self.prompts)
