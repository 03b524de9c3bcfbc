"""Puts detector and tracker into one checkpoint folder that `transformers.Sam3VideoModel.from_pretrained` loads."""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import torch
from architecture import MASK, new_tracker, video_config
from prompts import build_tokenizer
from scenes import SIZE
from schedule import load
from transformers import Sam3VideoModel

_PICTURE: dict[str, Any] = {
    "do_convert_rgb": True,
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
    "resample": 2,
    "rescale_factor": 1 / 255,
    "size": {"height": SIZE, "width": SIZE},
}
_PROCESSOR: dict[str, Any] = {
    "processor_class": "Sam3VideoProcessor",
    "target_size": SIZE,
    "image_processor": {
        **_PICTURE,
        "image_processor_type": "Sam3ImageProcessor",
        "mask_size": {"height": MASK, "width": MASK},
    },
    "video_processor": {**_PICTURE, "video_processor_type": "Sam2VideoVideoProcessor", "return_metadata": False},
}


def assemble(detector: Path, tracker: Path | None) -> Sam3VideoModel:
    """Build the video model from the two stages' averaged weights; without ``tracker``, its part is untrained."""
    model = Sam3VideoModel(video_config())
    model.detector_model.load_state_dict(load(detector)["average"])
    if tracker and tracker.exists():
        weights = load(tracker)["average"]
        model.tracker_model.load_state_dict(_part(weights, "model."))
        model.tracker_neck.load_state_dict(_part(weights, "neck."))
    else:
        model.tracker_model.load_state_dict(new_tracker(0).state_dict())
    return model.eval()


def _part(weights: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}


def with_prompts(folder: Path, boxes: Path, clicks: Path) -> Sam3VideoModel:
    """The finished model in ``folder`` with what stages 4 and 5 taught it, as far as they ran."""
    model = Sam3VideoModel.from_pretrained(folder, dtype=torch.float32)
    for part, path in ((model.detector_model, boxes), (model.tracker_model, clicks)):
        if path.exists():
            part.load_state_dict(load(path)["average"], strict=False)
    return model.eval()


def write(model: Sam3VideoModel, folder: Path) -> None:
    """Write fp16 weights, configuration, tokenizer and processor settings; each file replaces its predecessor whole."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as name:
        fresh = Path(name)
        model.half().save_pretrained(fresh)
        build_tokenizer().save_pretrained(fresh)
        (fresh / "processor_config.json").write_text(json.dumps(_PROCESSOR, indent=2) + "\n")
        for file in sorted(fresh.iterdir()):
            # Renaming needs one file system; the temporary folder is a neighbour of the target.
            file.chmod(0o644)
            file.replace(folder / file.name)


def check(folder: Path) -> None:
    """Load the folder as its users do and complain about anything that does not fit."""
    model, info = Sam3VideoModel.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    problems = {key: value for key, value in info.items() if value}
    if problems:
        raise SystemExit(f"{folder} does not load cleanly: {problems}")
    size = sum(file.stat().st_size for file in folder.iterdir())
    count = sum(parameter.numel() for parameter in model.parameters())
    print(f"{folder}: {count / 1e6:.2f} M parameters, {size / 1e6:.1f} MB")


def main() -> None:
    """Export one run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="folder with detector.pt and tracker.pt")
    parser.add_argument("--model", type=Path, help="instead: a finished folder; RUN has boxes.pt, clicks.pt or both")
    parser.add_argument("--detector", default="detector.pt")
    parser.add_argument("--tracker", default="tracker.pt")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    if options.model:
        model = with_prompts(options.model, options.run / "boxes.pt", options.run / "clicks.pt")
    else:
        model = assemble(options.run / options.detector, options.run / options.tracker)
    write(model, options.out)
    check(options.out)


if __name__ == "__main__":
    main()
