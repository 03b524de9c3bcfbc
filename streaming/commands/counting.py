"""Zones and lines of one run of a command: what was counted there, for people and for programs."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from maskcast.errors import MaskcastError, SinkError, UsageError
from maskcast.places import Places, Tally
from maskcast.prompts import Prompt, names
from sinks.datasets.lines import LineFile
from sinks.formats import STDOUT
from sinks.messages.summary import summary_message
from sinks.partial import prepare_target
from streaming.commands.outputs import Outputs, holds_something
from streaming.given_places import given_places, zones_stage
from streaming.pipeline.report import Report
from streaming.zones.stage import ZonesStage

# In which a summary says that it is one.
_HEAD_BYTES = 64


class Counting:
    """Counts in each stream of a run, where zones or lines were given.

    Attributes:
        places: those that were given.
    """

    def __init__(
        self,
        zones: Path | None,
        summary: Path | None,
        prompts: Sequence[Prompt],
        outputs: Outputs,
        inputs: Sequence[str],
        *,
        again: bool = False,
    ) -> None:
        """Read and check.

        Args:
            zones: file of `[zones.NAME]` and `[lines.NAME]`; None for none.
            summary: where to write what was counted; None for nowhere.
            prompts: what the places may be for.
            outputs: of the run.
            inputs: what is read, and so not written.
            again: whether a summary that an earlier run wrote may be replaced.

        Raises:
            UsageError: the places cannot be meant, or the summary would replace something.
        """
        places = Places() if zones is None else given_places(zones, prompts)
        self.places, self._prompts, self._summary, self._outputs = places, prompts, summary, outputs
        self._again = again
        self._stages: dict[str, ZonesStage] = {}
        if summary is not None:
            self._check(summary, [*inputs, *([str(zones)] if zones else [])])

    def _check(self, summary: Path, inputs: Sequence[str]) -> None:
        if not self.places:
            raise UsageError("--summary says what was counted", advice="say with --zones where")
        if str(summary) == STDOUT:
            raise UsageError(f"--summary {STDOUT} is no file", advice="/dev/stdout is standard output")
        if any(os.path.realpath(summary) == os.path.realpath(read) for read in inputs):
            raise UsageError(f"--summary {summary} is an input", advice="choose another name")
        replaced = self._outputs.force or (self._again and _is_summary(summary))
        if not replaced and holds_something(summary):
            raise UsageError("exists already", where=summary, advice="choose another name, or replace it with --force")

    def check_apart(self, streams: Sequence[str]) -> None:
        """See that the summary is not the file of an output, whichever these streams have.

        Raises:
            UsageError: it is; or its folder cannot be made.
        """
        if self._summary is None:
            return
        here = os.path.realpath(self._summary)
        if any(os.path.realpath(file.path) == here for file in self._outputs.files(streams, names(self._prompts))):
            raise UsageError(f"--summary {self._summary} is an output too", advice="choose another name")
        prepare_target(self._summary)

    def stages(self, stream: str, lost_after: float) -> list[ZonesStage]:
        """What counts in a stream: nothing without places. `lost_after` is the tracker's."""
        if not self.places:
            return []
        self._stages[stream] = zones_stage(self.places, self._prompts, lost_after)
        return [self._stages[stream]]

    def finish(
        self, reports: Sequence[Report], say: Callable[[str], None], problem: Callable[[MaskcastError], None]
    ) -> None:
        """Tell what was counted, and write the summary; that this fails is added to the first report."""
        began = {report.stream for report in reports}
        tallies = {stream: stage.tally for stream, stage in self._stages.items() if stream in began}
        if failure := self.tell(tallies, say):
            reports[0].errors.append(failure)
            problem(failure)

    def tell(self, tallies: Mapping[str, Tally], say: Callable[[str], None]) -> SinkError | None:
        """Tell what was counted in each stream, and write the summary.

        Returns:
            Why the summary could not be written.
        """
        if not self.places:
            return None
        for stream, tally in tallies.items():
            for line, ways in tally.crossed.items():
                for way, by in ways.items():
                    say(f"{stream}: line {line}, {way}: {_counted(by)}")
            for zone, by in tally.entered.items():
                say(f"{stream}: zone {zone}, entered: {_counted(by)}")
        if self._summary is None:
            return None
        file = LineFile(self._summary)
        try:
            file.open()
            file.append(summary_message(tallies).json_bytes())
            file.finish(complete=True)
        except SinkError as failure:
            return failure
        say(f"wrote {self._summary}")
        return None


def _counted(by: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {prompt}" for prompt, count in by.items()) or "0"


def _is_summary(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(_HEAD_BYTES).startswith(b'{"schema":"maskcast.summary/')
    except OSError:  # whoever opens it says why
        return False


def stored(tally: Tally) -> dict[str, Any]:
    """What of a tally a summary tells, as JSON has it; `restored` reads it."""
    return {
        "since": tally.since.isoformat(),
        "entered": {zone: dict(by) for zone, by in tally.entered.items()},
        "crossed": {line: {way: dict(by) for way, by in ways.items()} for line, ways in tally.crossed.items()},
    }


def restored(said: Mapping[str, Any]) -> Tally:
    """The tally that was `stored`."""
    since = datetime.fromisoformat(said["since"])
    return Tally(since, entered=said["entered"], crossed=said["crossed"])
