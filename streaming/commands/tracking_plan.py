"""What `maskcast track` does with each of its sources: a value that another process can be handed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from maskcast.errors import UsageError
from maskcast.notices import Notify
from maskcast.places import Places
from maskcast.prompts import Prompt, clean_prompts, names
from sources import SourceSettings, open_source
from streaming.commands.outputs import Outputs
from streaming.defaults import SAVE_INTERVAL_SECONDS
from streaming.lost_tracks import LostTracks
from streaming.pipeline.controls import Controls
from streaming.pipeline.job import Job
from streaming.pipeline.saving import TrackStateFile
from streaming.pipeline.stage import Stage
from trackers.options import EngineOptions

# Of the engine's options, those that say how fast the same is found, and not what.
_ONLY_SPEED = ("device", "compile")


@dataclass(frozen=True)
class TrackingPlan:
    """What is done with each source, whoever does it.

    Attributes:
        prompts: what to look for.
        outputs: where results go.
        options: of the engine.
        settings: how sources are opened.
        places: where to count.
        max_frames, max_rate: see `streaming.pipeline.job.Job`.
        save_seconds: between two savings of a track state.
    """

    prompts: tuple[Prompt, ...]
    outputs: Outputs
    options: EngineOptions
    settings: SourceSettings
    places: Places
    max_frames: int | None = None
    max_rate: float | None = None
    save_seconds: float = SAVE_INTERVAL_SECONDS

    @property
    def published(self) -> tuple[str, ...]:
        """The prompts as they are published."""
        return names(self.prompts)

    @property
    def asked(self) -> str:
        """A fingerprint (SHA-256) of all that decides what the outputs hold, the source aside."""
        options = {name: value for name, value in asdict(self.options).items() if name not in _ONLY_SPEED}
        outputs = {name: value for name, value in asdict(self.outputs).items() if name not in {"specs", "force"}}
        said: dict[str, Any] = {
            "prompts": [asdict(prompt) for prompt in self.prompts],
            "specs": list(self.outputs.specs),
            "outputs": outputs,
            "options": options,
            "places": asdict(self.places),
            "max_frames": self.max_frames,
            "max_rate": self.max_rate,
            "max_pixels": self.settings.max_pixels,
        }
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()

    def job(self, source: str, stream: str, counting: Sequence[Stage], track_state: Path | None, notify: Notify) -> Job:
        """One source as a stream of this name.

        Args:
            source: what is read.
            stream: its id.
            counting: the stages that count at `places`.
            track_state: file in which its track state is kept; None for none.
            notify: is told what happens.
        """
        return Job(
            open_source=lambda: open_source(source, self.settings, stream=stream),
            open_sinks=partial(self.outputs.open, source=source, prompts=self.published),
            controls=Controls(self.prompts, self.places),
            stages=[*([LostTracks(self.options.lost_after)] if self.outputs.styles.hide else []), *counting],
            max_frames=self.max_frames,
            max_rate=self.max_rate,
            notify=notify,
            track_state=TrackStateFile(track_state, self.save_seconds) if track_state else None,
        )


def wanted_of(prompts: Sequence[str | Prompt], outputs: Outputs) -> tuple[Prompt, ...]:
    """The prompts, cleaned, for which the outputs' styles are meant.

    Raises:
        UsageError: one of them cannot be.
    """
    try:
        wanted = clean_prompts(prompts)
    except ValueError as error:
        raise UsageError(str(error)) from None
    try:
        outputs.styles.check(names(wanted))
    except ValueError as error:
        raise UsageError(f"--{error}") from None
    return wanted
