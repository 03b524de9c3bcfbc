"""What does a resolution save? Operations of the full-size model by stage, counted, not timed.

    python benchmarks/resolution.py [--resolutions 1008 672 336] [--json]

Weights are random and of the default model's shapes. The detector runs where nothing is computed (torch's meta device),
the tracker's passes run once on the CPU, which takes some 2 GB and half a minute at 1008 pixels. Beside our image
encoder stands that of Transformers, `Sam3VisionModel`, at the same resolution. A track remembers all that it can: ten
frames and nineteen object pointers.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from docs.generate.markdown import table
from trackers.detection.architecture import VIDEO_TYPE
from trackers.detection.checkpoint import Checkpoint
from trackers.detection.composition import TrackerWeights
from trackers.detection.detector import Detector
from trackers.detection.resolution import at_resolution
from trackers.memory.encoder import MemoryEncoder
from trackers.memory.propagation import Memories, Propagation

CPU, META = torch.device("cpu"), torch.device("meta")
TOKENS = 32
FRAMES, POINTERS = 10, 19


def _attention(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    """Operations of the CPU's kernel, which torch does not count: two products, as it counts those of CUDA's."""
    batch, heads, queries, width = query
    return 2 * int(batch * heads * queries * key[-2]) * int(width + value[-1])


def counted(work: Callable[[], Any]) -> tuple[float, Any]:
    """GFLOP, and what the work returns."""
    kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu  # noqa: SLF001
    with torch.inference_mode(), FlopCounterMode(display=False, custom_mapping={kernel: _attention}) as counter:
        result = work()
    return counter.get_total_flops() / 1e9, result


def stages(resolution: int) -> dict[str, float]:
    """GFLOP by stage at a resolution."""
    import transformers
    from transformers.models.sam3.modeling_sam3 import Sam3VisionNeck

    detector = transformers.Sam3LiteTextConfig()
    config = transformers.Sam3VideoConfig(detector_config=detector.to_dict())
    at_resolution(config, resolution, "full size")
    with META:
        model = transformers.Sam3LiteTextModel(config.detector_config).eval()
        pixels = torch.empty(1, 3, resolution, resolution)
        text, mask = torch.empty(1, TOKENS, 256), torch.ones(1, TOKENS, dtype=torch.bool)
    theirs, _ = counted(lambda: model.vision_encoder(pixels))
    found = Detector(Checkpoint("", VIDEO_TYPE, 0, "", model, None, None, ("",)), META, torch.float32)
    encode, features = counted(lambda: found.encoder.encode(pixels))
    decode, decoded = counted(lambda: found.decoder.decode(features.attended, text, mask))
    head = found.mask_head
    masks, _ = counted(lambda: head.pixels(decoded.memory, text, mask, head.levels(features.tokens)))
    tracker = transformers.Sam3TrackerVideoModel(config.tracker_config, remove_vision_encoder=True).eval()
    neck = Sam3VisionNeck(config.detector_config.vision_config).eval()
    propagation = Propagation(TrackerWeights(config, tracker, neck), CPU, torch.float32)
    encoder = MemoryEncoder(propagation)
    tokens = torch.zeros(*features.tokens.shape)
    see, seen = counted(lambda: propagation._see(tokens))  # noqa: SLF001
    memories = Memories(
        torch.zeros(1, FRAMES, *propagation.memory_shape),
        torch.zeros(1, FRAMES, dtype=torch.int64),
        torch.zeros(1, POINTERS, propagation.hidden),
        torch.zeros(1, POINTERS),
        None,
    )
    first, there = torch.zeros(1, dtype=torch.int64), torch.ones(1, dtype=torch.bool)
    find, _ = counted(lambda: propagation.propagate(seen, first, memories))
    take, _ = counted(lambda: propagation.from_masks(seen, first, torch.ones(1, *propagation.mask_size) > 0))
    remember, _ = counted(lambda: encoder.encode(seen, first, torch.ones(1, 1, *encoder.size), there))
    return {
        "image encoder of Transformers, a frame": theirs,
        "image encoder, a frame": encode,
        "prompt, looked for": decode,
        "prompt, its masks where something is found": masks,
        "tracker's view, a frame": see,
        "track, propagated": find,
        "track that takes a detection": take,
        "track, remembered": remember,
    }


def main() -> None:
    """Count, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resolutions", type=int, nargs="+", default=[1008, 672, 336])
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    options = parser.parse_args()
    measured = {str(resolution): stages(resolution) for resolution in options.resolutions}
    names = next(iter(measured.values()))
    rows = [(name, *(f"{found[name]:,.1f}" for found in measured.values())) for name in names]
    print(table(("GFLOP", *(f"{resolution} pixels" for resolution in measured)), rows))
    if options.json:
        print(json.dumps({"gflop": measured}))


if __name__ == "__main__":
    main()
