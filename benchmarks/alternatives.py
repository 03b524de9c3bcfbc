"""What else makes a model faster elsewhere, tried on the embedded one on a CPU: is it faster than what we ship?

    python benchmarks/alternatives.py [--frames 12] [--runs 3] [--only NAME ...] [--json]

Each variant encodes and searches the same frames of the demo clip, in turns with the detector as shipped (float32), in
one process on one thread. Figures are processor time a frame. `ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2` in the
environment shows a processor without AVX-512 and AMX.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from maskcast.picture import Image
from sources import open_source
from trackers.detection.checkpoint import load_checkpoint
from trackers.detection.detector import Detector
from trackers.detection.image_encoder import ImageFeatures
from trackers.detection.text import TextEncoder

CLIP = Path(__file__).resolve().parent.parent / "streaming" / "commands" / "demo.mp4"
PROMPTS = ("red circle", "star")
CPU = torch.device("cpu")


class Variant:
    """A detector of its own, changed, and the seconds of the clock that the change took."""

    def __init__(self, change: Callable[[Detector, Any], None], precision: torch.dtype = torch.float32) -> None:
        """Load the embedded model and change it."""
        checkpoint = load_checkpoint("nano")
        text = TextEncoder(checkpoint, CPU, torch.float32)
        self._prompts = [tuple(text.embed(prompt) for prompt in PROMPTS)]
        self._detector = Detector(checkpoint, CPU, precision)
        self.spent: list[float] = []
        began = time.perf_counter()
        change(self._detector, checkpoint.detector)
        self.step(np.zeros((240, 320, 3), np.uint8))
        self.prepared = time.perf_counter() - began
        self.spent.clear()

    def step(self, image: Image) -> None:
        """Encode and search a frame."""
        began = time.process_time()
        features = self._detector.encode([image])
        self._detector.detect(features, self._prompts)
        self.spent.append(time.process_time() - began)


def unchanged(detector: Detector, model: Any) -> None:
    """As shipped."""


def channels_last(detector: Detector, model: Any) -> None:
    """Convolutions in the order that oneDNN likes best."""
    for module in (model, *(part for part in vars(detector.encoder).values() if isinstance(part, nn.Module))):
        module.to(memory_format=torch.channels_last)


def int8(detector: Detector, model: Any) -> None:  # noqa: ARG001 - it shares the model's layers
    """Linear layers with weights of 8 bits, but for the ViT's fused ones (PyTorch's dynamic quantization)."""
    with warnings.catch_warnings(action="ignore"):  # deprecated without a successor that is installed with PyTorch
        torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, dtype=torch.qint8, inplace=True)  # type: ignore[no-untyped-call]


def torchscript(detector: Detector, model: Any) -> None:  # noqa: ARG001 - all of it is in the detector
    """The image encoder as a traced and frozen graph."""

    class Encode(nn.Module):
        def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
            features = encode(pixels)
            return (features.tokens, features.coarse, features.attended)

    encode = detector.encoder.encode
    pixels = torch.zeros(1, 3, detector.image_size, detector.image_size)
    with torch.no_grad(), warnings.catch_warnings(action="ignore"):  # of sizes that become constants, as they should
        traced = torch.jit.trace(Encode().eval(), pixels, check_trace=False)  # type: ignore[no-untyped-call]

    def run(pixels: Tensor) -> ImageFeatures:
        return ImageFeatures(*traced(pixels))

    detector.encoder.encode = run  # type: ignore[method-assign]


def compiled(detector: Detector, model: Any) -> None:  # noqa: ARG001 - all of it is in the detector
    """Image encoder and decoder through `torch.compile` with its own backend."""
    detector.encoder.encode = torch.compile(detector.encoder.encode)  # type: ignore[method-assign]
    detector.decoder.decode = torch.compile(detector.decoder.decode)  # type: ignore[method-assign]


VARIANTS: dict[str, tuple[Callable[[Detector, Any], None], torch.dtype]] = {
    "channels_last": (channels_last, torch.float32),
    "bfloat16": (unchanged, torch.bfloat16),
    "int8": (int8, torch.float32),
    "TorchScript": (torchscript, torch.float32),
    "torch.compile": (compiled, torch.float32),
}


def compare(name: str, images: list[Image], runs: int) -> dict[str, Any]:
    """A variant in turns with the detector as shipped."""
    change, precision = VARIANTS[name]
    shipped, other = Variant(unchanged), Variant(change, precision)
    for _ in range(runs):
        for index, image in enumerate(images):
            for side in (shipped, other) if index % 2 else (other, shipped):
                side.step(image)
    ours, theirs = statistics.median(shipped.spent), statistics.median(other.spent)
    return {
        "variant": name,
        "shipped_s": ours,
        "variant_s": theirs,
        "speedup": ours / theirs,
        "prepared_s": other.prepared - shipped.prepared,
    }


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    source = open_source(str(CLIP), stream="demo")
    images = [frame.picture.rgb() for frame in islice(source, arguments.frames)]
    source.close()
    rows = []
    print(f"processor: {torch.backends.cpu.get_cpu_capability()}")
    print(f"{'variant':>14} {'shipped':>9} {'variant':>9} {'faster':>7} {'to prepare':>11}")
    for name in arguments.only:
        row = compare(name, images, arguments.runs)
        rows.append(row)
        print(
            f"{name:>14} {row['shipped_s'] * 1e3:>6.1f} ms {row['variant_s'] * 1e3:>6.1f} ms "
            f"{row['speedup']:>6.2f}x {row['prepared_s']:>9.1f} s",
            flush=True,
        )
    if arguments.json:
        print(json.dumps({"benchmark": "alternatives", "rows": rows}))


if __name__ == "__main__":
    main()
