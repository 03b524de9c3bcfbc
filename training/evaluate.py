"""Measures the checkpoint on freshly rendered pictures and clips, prints tables and stores them as JSON.

Pipelines turn a clip and a phrase into tracks; `transformers` is `Sam3VideoModel` fed frame by frame.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from batches import pixels
from box_score import box_questions, score_boxes
from click_score import click_cases, score_clicks
from detection_score import questions, score_detector
from numpy.typing import NDArray
from prompts import CONTEXT
from region_pooling import stand_in
from scenes import SIZE
from tracking_score import Tracks, occlusion_cases, random_cases, score_tracks
from transformers import AutoTokenizer, Sam3VideoModel
from transformers.models.sam3_video.modeling_sam3_video import Sam3VideoInferenceSession

Pipeline = Callable[[NDArray[np.uint8], str], Tracks]
"""From frames ``(T, SIZE, SIZE, 3)`` uint8 RGB and a phrase to the tracks in every frame."""
FRAMES_A_SECOND = 25
"""What the clips are said to have."""
_HERE = Path(__file__).resolve().parent
_TARGETS = {
    "precision": 0.90,
    "recall": 0.90,
    "iou": 0.85,
    "false_alarms": 0.05,
    "idf1": 0.90,
    "j": 0.80,
    "ids_kept": 0.80,
}
_CLICK_TARGETS = {("1 click", "from_0.80"): 0.80, ("3 clicks", "from_0.85"): 0.90}


def column_target(label: str, name: str) -> float | None:
    """The target of a figure of the detection and tracking tables."""
    return 0.85 if label == "object" and name in ("precision", "recall") else _TARGETS.get(name)


def click_target(label: str, name: str) -> float | None:
    """The target of a figure of the clicks' table."""
    return _CLICK_TARGETS.get((label, name))


def library_pipeline(folder: Path) -> Pipeline:
    """`transformers.Sam3VideoModel` as it is, streaming."""
    model = Sam3VideoModel.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)

    def run(frames: NDArray[np.uint8], text: str) -> Tracks:
        session = Sam3VideoInferenceSession(video_height=SIZE, video_width=SIZE, dtype=torch.float32)
        number = session.add_prompt(text)
        coded = tokenizer(text, padding="max_length", max_length=CONTEXT, return_tensors="pt")
        session.prompt_input_ids[number] = coded["input_ids"]
        session.prompt_attention_masks[number] = coded["attention_mask"]
        tracks: Tracks = []
        for frame in frames:
            image = pixels(torch.from_numpy(frame.transpose(2, 0, 1)[None].copy()))
            output = model(inference_session=session, frame=image[0])
            gone = output.suppressed_obj_ids | output.removed_obj_ids
            masks: dict[int, NDArray[np.bool_]] = {}
            for name, mask in output.obj_id_to_mask.items():
                big = F.interpolate(mask.float()[None], (SIZE, SIZE), mode="bilinear", align_corners=False)[0, 0] > 0
                if name not in gone and bool(big.any()):
                    masks[name] = big.numpy()
            tracks.append(masks)
        return tracks

    return run


def product_pipeline(folder: Path, **options: Any) -> Pipeline:
    """Maskcast's own engine with its memory tracker; `options` are fields of `EngineOptions`."""
    # Imported here so that the rest can be measured without the package; the path serves an uninstalled checkout.
    sys.path.append(str(_HERE.parent))
    from maskcast.frame import Frame
    from sources.picture import ArrayPicture
    from trackers.engine import Engine
    from trackers.options import EngineOptions

    engine = Engine(EngineOptions(str(folder), "cpu", "memory", **options))

    def run(frames: NDArray[np.uint8], text: str) -> Tracks:
        stream = engine.open_stream([text])
        tracks: Tracks = []
        for index, frame in enumerate(frames):
            pts = index / FRAMES_A_SECOND
            moment = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=pts)
            (results,) = engine.step([stream], [Frame("clip", index, pts, moment, ArrayPicture(frame.copy()))])
            tracks += [{track.id: track.mask.full() for track in result.tracks} for result in results]
        engine.close_stream(stream)
        return tracks

    return run


PIPELINES: dict[str, Callable[..., Pipeline]] = {"maskcast": product_pipeline, "transformers": library_pipeline}


def evaluate_tracking(pipeline: Pipeline, clips: int, occlusions: int, seed: int) -> dict[str, dict[str, float]]:
    """Score a pipeline on random clips and on occlusion clips."""
    result = {}
    for name, cases in (
        ("clips", random_cases(clips, seed)),
        ("occlusions", occlusion_cases(occlusions, seed + 1)),
    ):
        if not cases:
            continue
        started, worked = time.perf_counter(), time.process_time()
        answers = [pipeline(case.clip.frames, case.prompt.text()) for case in cases]
        seconds, processor = time.perf_counter() - started, time.process_time() - worked
        frames = sum(len(case.clip.frames) for case in cases)
        result[name] = {**score_tracks(cases, answers), "fps": round(frames / max(seconds, 1e-9), 2)}
        result[name]["cpu_fps"] = round(frames / max(processor, 1e-9), 2)
    return result


def print_table(
    title: str, rows: dict[str, dict[str, float]], target_of: Callable[[str, str], float | None] = column_target
) -> None:
    """Print rows of figures; a star marks a figure that misses its target."""
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    print(f"\n{title}\n{'':16}" + "".join(f"{name:>14}" for name in names))
    for label, row in rows.items():
        cells = []
        for name in names:
            if name not in row:
                cells.append(f"{'':>14}")
                continue
            value, target = row[name], target_of(label, name)
            missed = target is not None and (value > target if name == "false_alarms" else value < target)
            cells.append(f"{value:>13.3f}{'*' if missed else ' '}")
        print(f"{label:16}" + "".join(cells))


def main() -> None:
    """Evaluate a checkpoint folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=_HERE.parent / "trackers" / "nano")
    parser.add_argument("--pictures", type=int, default=1000)
    parser.add_argument("--examples", type=int, default=300, help="pictures with a box as an example")
    parser.add_argument("--clicks", type=int, default=300, help="objects to click")
    parser.add_argument("--clips", type=int, default=40)
    parser.add_argument("--occlusions", type=int, default=40)
    parser.add_argument("--pipeline", action="append", choices=sorted(PIPELINES), help="default: all")
    parser.add_argument("--precision", default="auto", help="of the pipeline maskcast: float32, bfloat16 or float16")
    parser.add_argument("--detect-every", type=int, default=1, help="of the pipeline maskcast")
    parser.add_argument("--propagate", default="always", help="of the pipeline maskcast: always or adaptive")
    parser.add_argument("--seed", type=int, default=900_001, help="training never uses seeds from 900,000 on")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, default=_HERE / "results" / "nano.json")
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    stand_in()
    report: dict[str, Any] = {"seed": options.seed, "targets": _TARGETS}
    model = Sam3VideoModel.from_pretrained(options.model, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    if options.pictures:
        asked = questions(options.pictures, options.seed)
        report["detection"] = score_detector(model.detector_model, tokenizer, asked)
        print_table(f"detection, {options.pictures} pictures", report["detection"])
    if options.examples:
        report["boxes"] = score_boxes(model.detector_model, tokenizer, box_questions(options.examples, options.seed))
        print_table(f"one box, {options.examples} pictures", report["boxes"], lambda _label, _name: None)
    if options.clicks:
        report["clicks"] = score_clicks(model, click_cases(options.clicks, options.seed + 1))
        print_table(f"clicks, {options.clicks} objects", report["clicks"], click_target)
    report["tracking"] = {}
    for name in options.pipeline or sorted(PIPELINES):
        if options.clips or options.occlusions:
            chosen = {name: getattr(options, name) for name in ("precision", "detect_every", "propagate")}
            own = chosen if name == "maskcast" else {}
            pipeline = PIPELINES[name](options.model, **own)
            report["tracking"][name] = evaluate_tracking(pipeline, options.clips, options.occlusions, options.seed)
            print_table(f"tracking, {name}", report["tracking"][name])
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(report, indent=2) + "\n")
    print(f"\nstored in {options.out.name}; * = below target")


if __name__ == "__main__":
    main()
