"""Do two versions of the code compute the same? The demo's lines in float64, where rounding decides nothing.

    python benchmarks/exactness.py EARLIER_CHECKOUT [--frames 150] [--json]

Products in another order round differently, and in float32 now and then a pixel whose logit is nought to the last bit
falls to the other side. In float64 the lines of two orders of the same sums are the same, byte for byte; those of two
computations that are not the same differ. So each checkout, this one and an earlier one, tracks the demo's clip in a
process of its own in which float32 is float64: some minutes on one thread, side by side.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
FRAMES = 150

# Runs in a checkout, which may be older than this file: so it asks for nothing but what has long been there.
TRACKER = '''
import json, sys
from pathlib import Path
import torch
# What reads weights goes by the types of the file, and widens afterwards.
import safetensors.torch, transformers.core_model_loading
from transformers.models.sam3.modeling_sam3 import Sam3ViTLayer
from transformers.models.sam3_tracker_video.modeling_sam3_tracker_video import Sam3TrackerVideoMemoryAttention

narrow, wide = torch.float32, torch.float64
torch.set_num_threads(1)
torch.set_default_dtype(wide)
torch.float32 = torch.float = wide
torch.Tensor.float, torch.nn.Module.float = torch.Tensor.double, torch.nn.Module.double

def widened(function):
    def call(*arguments, **options):
        made = function(*arguments, **options)
        return made.double() if made.dtype == narrow else made
    return call

torch.from_numpy, torch.as_tensor, torch.tensor = map(widened, (torch.from_numpy, torch.as_tensor, torch.tensor))

import trackers.detection.detector as detection
import trackers.memory.propagation as propagation

def restored(kind, of):
    """Make anew what Transformers leaves unset when it loads into another type."""
    build = kind.__init__
    def init(self, given, *arguments, **options):
        for module in of(given).modules():
            if hasattr(module, "compute_axial_rope_parameters"):
                module.inv_freq.data = module.compute_axial_rope_parameters(module.config)[0]
            if isinstance(module, Sam3ViTLayer):
                module.position_ids.data.copy_(module.precompute_positions(module.config, module.window_size))
            if isinstance(module, Sam3TrackerVideoMemoryAttention):
                module.position_ids.data.copy_(module.precompute_positions(module.config))
        build(self, given, *arguments, **options)
    kind.__init__ = init

restored(detection.Detector, lambda checkpoint: checkpoint.detector)
restored(propagation.Propagation, lambda video: video)

from sinks.messages.frame import frame_message
from sources import open_source
from streaming.commands import demo
from trackers.engine import Engine
from trackers.options import EngineOptions

engine = Engine(EngineOptions("nano", "cpu", hot_start=demo.HOT_START_FRAMES))
stream = engine.open_stream(list(demo.PROMPTS))
with open(sys.argv[1], "w") as out:
    def write(results):
        for result in results:
            line = json.loads(frame_message(result).json_bytes())
            del line["time"]
            out.write(json.dumps(line) + "\\n")
    for frame in open_source(str(demo.CLIP)):
        if frame.index == int(sys.argv[2]):
            break
        write(engine.step([stream], [frame])[0])
    write(engine.close_stream(stream) or [])
'''


def main() -> int:
    """Compare two checkouts; exit code 1 if a line differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("earlier", type=Path, help="another checkout, such as one that `git worktree add` made")
    parser.add_argument("--frames", type=int, default=FRAMES)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder, ExitStack() as running:
        lines = {}
        processes = []
        for name, checkout in (("earlier", options.earlier.resolve()), ("this", HERE)):
            lines[name] = Path(folder) / f"{name}.jsonl"
            command = [sys.executable, "-c", TRACKER, str(lines[name]), str(options.frames)]
            # Embeddings that were kept are those of float32.
            environment = {"PYTHONPATH": str(checkout), "XDG_CACHE_HOME": f"{folder}/{name}", "PATH": "/usr/bin:/bin"}
            processes.append(running.enter_context(subprocess.Popen(command, cwd=checkout, env=environment)))
        codes = [process.wait() for process in processes]
        if any(codes):
            print("a checkout failed")
            return 1
        earlier, this = (path.read_text().splitlines() for path in lines.values())
    tracks = sum(len(json.loads(line)["tracks"]) for line in this)
    same = sum(one == other for one, other in zip(earlier, this, strict=False))
    print(f"{same} of {len(this)} lines are the same, with {tracks} masks in all")
    if options.json:
        print(json.dumps({"benchmark": "exactness", "lines": len(this), "same": same, "masks": tracks}))
    return 0 if same == len(this) == len(earlier) and tracks else 1


if __name__ == "__main__":
    sys.exit(main())
