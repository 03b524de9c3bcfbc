"""Tracks one video with a spool, as a process that a test can kill: CLIP FOLDER SECONDS.

Prints a line for each frame, `again` for those that the model has not seen, and at the end what was counted.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

from maskcast.notices import TrackedFrame
from maskcast.places import Line, Places, Zone
from maskcast.prompts import as_prompts
from sources import SourceSettings
from streaming.commands.counting import stored
from streaming.commands.demo import PROMPTS
from streaming.commands.outputs import Outputs
from streaming.commands.tracking_plan import TrackingPlan
from streaming.event_loop import run_until_stopped
from streaming.given_places import zones_stage
from streaming.pipeline.spool import Spool
from streaming.pipeline.stream import run_stream
from streaming.pipeline.worker import Worker, engine_loader
from trackers.options import EngineOptions


def job(clip, folder, seconds, notify, **options):
    """The job, and the stage that counts."""
    prompts = as_prompts(PROMPTS)
    half = ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))
    places = Places(zones=(Zone("left", half),), lines=(Line("middle", ((0.5, 0.0), (0.5, 1.0))),))
    specs = [f"{folder}/a.jsonl", f"coco:{folder}/a.json", f"{folder}/a.mp4"]
    plan = TrackingPlan(
        prompts, Outputs(specs, force=True), EngineOptions("nano", "cpu", **options), SourceSettings(), places
    )
    zones = zones_stage(places, prompts, plan.options.lost_after)
    made = plan.job(str(clip), "clip", [zones], None, notify)
    spool = Spool(folder / "state" / "a", folder / "spool" / "a", plan.asked, seconds)
    return made, spool, zones


def say(*words) -> None:
    sys.stdout.write(f"{' '.join(map(str, words))}\n")
    sys.stdout.flush()


def main(clip: Path, folder: Path, seconds: float) -> None:
    def notify(notice) -> None:
        if isinstance(notice, TrackedFrame):
            say(notice.frame.index, "model" if notice.pace else "again")

    made, spool, zones = job(clip, folder, seconds, notify)

    async def run(stop):
        worker = Worker(engine_loader(EngineOptions("nano", "cpu")))
        await worker.start()
        return await run_stream(replace(made, spool=spool), worker, stop)

    report = run_until_stopped(run)
    assert not report.errors, report.errors
    counted = stored(zones.tally)
    say(json.dumps([report.frames, report.tracks, counted["entered"], counted["crossed"]]))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]))
