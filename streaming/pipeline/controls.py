"""What can be changed of a stream while it runs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from maskcast.places import NOWHERE, Places
from maskcast.prompts import Prompt, as_prompts, names


class Controls:
    """Prompts, places and pause of a stream, as wanted; the pipeline follows between two frames. For one event loop.

    Attributes:
        prompts: what to look for; checked by the model before they come here.
        places: where to count; checked before they come here.
        paused: frames are dropped while this is set.
        changed: set with every change; whoever follows clears it.
    """

    def __init__(self, prompts: Iterable[str | Prompt], places: Places = NOWHERE) -> None:
        """Begin with these prompts and places, not paused."""
        self.prompts, self.places = as_prompts(prompts), places
        self.paused = False
        self.changed = asyncio.Event()
        self._acts: list[Callable[[], Awaitable[None]]] = []

    @property
    def names(self) -> tuple[str, ...]:
        """What is looked for, as it is published."""
        return names(self.prompts)

    def set_prompts(self, prompts: Iterable[str | Prompt]) -> None:
        """Look for something else."""
        self.prompts = as_prompts(prompts)
        self.changed.set()

    def between_frames(self, act: Callable[[], Awaitable[None]]) -> None:
        """Have something done when all frames on their way are delivered, or the next attempt begins."""
        self._acts.append(act)
        self.changed.set()

    def acts(self) -> list[Callable[[], Awaitable[None]]]:
        """What is to be done between two frames, handed out once."""
        acts, self._acts = self._acts, []
        return acts

    def pause(self, paused: bool) -> None:
        """Stop or go on."""
        self.paused = paused
        self.changed.set()
