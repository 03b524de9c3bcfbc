"""How much do objects and prompts cost? Our memory tracker beside `transformers.Sam3VideoModel` on the same weights.

    python benchmarks/tracking.py [--objects 1 3 10 30] [--prompts 1 3] [--frames 20] [--config tiny|full] [--json]
    python benchmarks/tracking.py --endurance [--frames 20000] [--reference-frames 300] [--json]

Both see the same frames in turns, in one process, in streaming mode under the same rules. The weights are random, so
the detector does its work but is told what it finds: the objects in the first frame, and nothing after. `--config full`
(the default with CUDA) has the size of SAM 3 at 1008 pixels. Held memory is what tensors of the session or state take.

`--endurance` shows memory and time over many frames with three objects; from time to time a prompt is dropped, taken
up again, and its object found anew, so that tracks end and ids go on. The reference's own curve stands beside it.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from maskcast.picture import Image
from tests import tiny
from tests.lockstep import Ours, blob, compare, scene
from tests.reference import Reference
from tests.scripted import Script, scripted
from trackers.device import wait_for
from trackers.memory.state import MemoryState

WORDS = ("person", "a car", "dog")
WARM_UP = 3
MEGA = 1e6


def full_model() -> Any:
    """A `Sam3VideoModel` of the real size with random weights that detect and track something."""
    from transformers import Sam3LiteTextConfig, Sam3VideoConfig, Sam3VideoModel

    torch.manual_seed(0)
    config = Sam3VideoConfig(detector_config=Sam3LiteTextConfig().to_dict())
    return Sam3VideoModel(config).eval()


def held(*roots: Any) -> int:
    """Bytes of all tensors that can be reached from `roots`, each storage once."""
    storages: dict[int, int] = {}
    seen: set[int] = set()
    stack = list(roots)
    while stack:
        item = stack.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, torch.Tensor):
            storage = item.untyped_storage()
            storages[storage.data_ptr()] = storage.nbytes()
        elif isinstance(item, dict):
            stack += item.values()
        elif isinstance(item, (list, tuple, set)):
            stack += item
        elif hasattr(item, "__dict__"):
            stack += vars(item).values()
    return sum(storages.values())


def resident() -> float:
    """Resident memory of this process in MB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / MEGA


def seconds(call: Callable[[], Any], device: torch.device) -> tuple[float, Any]:
    """Duration and result of a call: on the clock with CUDA, of all processors without.

    Processor time, because other work on the machine does not lengthen it.
    """
    if device.type != "cuda":
        start = time.process_time()
        result = call()
        return time.process_time() - start, result
    wait_for(device)
    start = time.perf_counter()
    result = call()
    wait_for(device)
    return time.perf_counter() - start, result


class Pair:
    """The reference and ours on one model, told what the detector finds."""

    def __init__(self, video: Any, prompts: Sequence[str], device: torch.device) -> None:
        """Move the model to `device`."""
        dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
        self.video, self.prompts, self.device = video, tuple(prompts), device
        # First, while its weights are still in float32: see `Propagation`.
        self.ours = Ours(video, device=device, dtype=dtype)
        video.to(device=device, dtype=dtype)
        self.embeddings = [self.ours.text.embed(prompt).features for prompt in self.prompts]
        self.side = int(video.tracker_model.prompt_encoder.mask_input_size[0])

    def reference(self) -> Reference:
        """A new session."""
        return Reference(self.video, tiny.tokenizer(), self.prompts)

    def state(self) -> MemoryState:
        """A new stream."""
        return self.ours.tracker.new_state(self.prompts)

    @contextmanager
    def told(self, *, work: bool) -> Iterator[Script]:
        """See `scripted`."""
        with scripted(self.video.detector_model, self.embeddings, self.side, work=work) as script:
            script.found = [[] for _ in self.prompts]
            yield script


def objects(count: int, prompts: int, side: int) -> list[list[tuple[float, Any]]]:
    """`count` detections, dealt out to the prompts."""
    rng = np.random.default_rng(0)
    found: list[list[tuple[float, Any]]] = [[] for _ in range(prompts)]
    for index in range(count):
        found[index % prompts].append((0.95, np.kron(blob(rng), np.ones((side // 32,) * 2, np.float32))))
    return found


def measure(video: Any, count: int, prompts: int, frames: int, device: torch.device) -> dict[str, float]:
    """Median seconds a frame, and megabytes held at the end, of both."""
    pair = Pair(video, WORDS[:prompts], device)
    theirs, state = pair.reference(), pair.state()
    images = scene(frames + WARM_UP)
    times: dict[str, list[float]] = {"reference": [], "ours": []}
    worst = 1.0
    with pair.told(work=True) as script:
        for index, image in enumerate(images):
            script.found = objects(count, prompts, pair.side) if index == 0 else [[] for _ in range(prompts)]
            calls = {
                "reference": lambda image=image: theirs.step(image),
                "ours": lambda image=image: pair.ours.step([state], [image])[0][0],
            }
            answers = {}
            for name in sorted(calls, reverse=bool(index % 2)):
                spent, answers[name] = seconds(calls[name], device)
                if index >= WARM_UP:
                    times[name].append(spent)
            worst = min(worst, compare(answers["reference"], answers["ours"]))
    reference, ours = statistics.median(times["reference"]), statistics.median(times["ours"])
    held_reference, held_ours = held(theirs.session) / MEGA, held(state.table.__dict__) / MEGA
    return {
        "objects": count,
        "prompts": prompts,
        "tracks": len(state.table),
        "reference_s": reference,
        "ours_s": ours,
        "speedup": reference / ours,
        "reference_mb": held_reference,
        "ours_mb": held_ours,
        "memory_ratio": held_reference / held_ours,
        "least_iou": worst,
    }


def compare_all(arguments: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    """A line for each number of objects and prompts."""
    video = full_model() if arguments.config == "full" else tiny.video_model()
    rows = []
    print(
        f"{'objects':>7} {'prompts':>7} {'reference':>10} {'ours':>10} {'faster':>7} {'held':>9} {'ours':>9} {'IoU':>6}"
    )
    for prompts in arguments.prompts:
        for count in arguments.objects:
            row = measure(video, count, prompts, arguments.frames or 20, device)
            rows.append(row)
            print(
                f"{count:>7} {prompts:>7} {row['reference_s'] * 1e3:>7.1f} ms {row['ours_s'] * 1e3:>7.1f} ms "
                f"{row['speedup']:>6.1f}x {row['reference_mb']:>7.1f} MB {row['ours_mb']:>6.1f} MB "
                f"{row['least_iou']:>6.3f}",
                flush=True,
            )
    return {"rows": rows}


def endure(arguments: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    """Memory and time of ours over many frames, then of the reference over some."""
    video = tiny.video_model()
    pair = Pair(video, WORDS[:2], device)
    images = scene(200)
    frames = arguments.frames or 20_000
    ours = _curve("ours", frames, max(frames // 40, 1), _ours_forever(pair, images), device)
    theirs = _curve("reference", arguments.reference_frames, 50, _reference_forever(pair, images), device)
    steady = [point for point in ours if point["frame"] > 500]
    growth = max(point["rss_mb"] for point in steady) - steady[0]["rss_mb"] if steady else float("nan")
    per_frame = (theirs[-1]["rss_mb"] - theirs[0]["rss_mb"]) / (theirs[-1]["frame"] - theirs[0]["frame"])
    drift = float("nan")
    if len(steady) > 5:
        third = len(steady) // 3
        first, last = steady[:third], steady[-third:]
        drift = statistics.median(p["ms"] for p in last) / statistics.median(p["ms"] for p in first) - 1
    print(f"ours: {growth:+.1f} MB after frame 500, time a frame {drift:+.1%} from the first third to the last")
    print(f"reference: {per_frame:+.2f} MB a frame")
    return {
        "ours": ours,
        "reference": theirs,
        "growth_mb": growth,
        "time_drift": drift,
        "reference_mb_a_frame": per_frame,
    }


def _curve(name: str, frames: int, every: int, steps: Iterator[int], device: torch.device) -> list[dict[str, float]]:
    """Run `frames` steps; memory, and median time a frame as in `seconds`, for each `every` of them."""
    points = []
    times = []
    for frame in range(1, frames + 1):
        spent, newest = seconds(lambda: next(steps), device)
        times.append(spent)
        if frame % every == 0 or frame == frames:
            gc.collect()
            points.append(
                {"frame": frame, "rss_mb": resident(), "ms": statistics.median(times) * 1e3, "newest_id": newest}
            )
            print(
                f"{name:>9} {frame:>6} {points[-1]['rss_mb']:>8.1f} MB {points[-1]['ms']:>6.1f} ms, id {newest}",
                flush=True,
            )
            times.clear()
    return points


def _ours_forever(pair: Pair, images: Sequence[Image]) -> Iterator[int]:
    state = pair.state()
    with pair.told(work=False) as script:
        for index in range(10**9):
            script.found = objects(3, 2, pair.side) if index == 0 else [[], []]
            if index % 100 == 99:
                pair.ours.tracker.set_prompts(state, pair.prompts[:1])
                pair.ours.tracker.set_prompts(state, pair.prompts)
                script.found = [[], objects(3, 2, pair.side)[1]]
            pair.ours.step([state], [images[index % len(images)]])
            yield state.lifecycle.next_id - 1


def _reference_forever(pair: Pair, images: Sequence[Image]) -> Iterator[int]:
    session = pair.reference()
    with pair.told(work=False) as script:
        for index in range(10**9):
            script.found = objects(3, 2, pair.side) if index == 0 else [[], []]
            session.step(images[index % len(images)])
            yield int(session.session.max_obj_id)


def main() -> None:
    """Parse the command line and run."""
    cuda = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, nargs="+", default=[1, 3, 10, 30])
    parser.add_argument("--prompts", type=int, nargs="+", default=[1, 3], choices=[1, 2, 3])
    parser.add_argument("--frames", type=int)
    parser.add_argument("--reference-frames", type=int, default=300)
    parser.add_argument("--config", choices=["tiny", "full"], default="full" if cuda else "tiny")
    parser.add_argument("--threads", type=int, help="of PyTorch on the CPU")
    parser.add_argument("--endurance", action="store_true")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    device = torch.device("cuda:0" if cuda else "cpu")
    with tempfile.TemporaryDirectory() as cache:
        os.environ["XDG_CACHE_HOME"] = cache  # random weights leave nothing behind
        report = endure(arguments, device) if arguments.endurance else compare_all(arguments, device)
    if arguments.json:
        name = torch.cuda.get_device_name() if cuda else "cpu"
        print(json.dumps({"benchmark": "tracking", "device": name, "config": arguments.config, **report}))


if __name__ == "__main__":
    main()
