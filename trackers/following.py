"""What every tracker keeps of a stream: what it looks for, and the lives and names of its tracks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from maskcast.prompts import Prompt
from maskcast.result import Event
from trackers.lifecycle import Lifecycle
from trackers.naming import Naming
from trackers.wanted import Wanted


@dataclass
class Following:
    """The part of a stream's state that the trackers share.

    Attributes:
        wanted: what the stream looks for.
        lifecycle: state of each living track.
        naming: which prompt of its group each track is named after.
    """

    wanted: Wanted
    lifecycle: Lifecycle
    naming: Naming = field(init=False)

    def __post_init__(self) -> None:
        self._ask()

    def look_for(self, prompts: Sequence[str | Prompt]) -> list[Event]:
        """Look for something else. Tracks of prompts that stay go on.

        Returns:
            The events of the tracks that end.
        """
        before, self.wanted = self.wanted, Wanted.of(prompts)
        self._ask()
        return self.lifecycle.keep_prompts(self.wanted.kept(before))

    def _ask(self) -> None:
        self.naming = Naming(self.wanted)
        self.lifecycle.ask(self.wanted.min_frames())
