"""The README's picture: `maskcast demo`, then ``python -m docs.generate.picture maskcast-demo/demo.mp4``."""

from __future__ import annotations

import sys
from pathlib import Path

import av
import numpy as np
from PIL import Image

PICTURE = Path(__file__).parents[1] / "images" / "demo.png"
# A red circle goes behind the post; it has come back, and the triangle has been numbered anew.
FRAMES = (55, 135)
GAP_PIXELS = 8


def side_by_side(video: Path) -> Image.Image:
    """The `FRAMES` of the demo's video beside each other on white."""
    with av.open(str(video)) as container:
        shown = [frame for index, frame in enumerate(container.decode(video=0)) if index in FRAMES]
    pictures = [frame.to_ndarray(format="rgb24") for frame in shown]
    gap = np.full((pictures[0].shape[0], GAP_PIXELS, 3), 255, np.uint8)
    return Image.fromarray(np.concatenate([pictures[0], gap, pictures[1]], axis=1))


if __name__ == "__main__":
    side_by_side(Path(sys.argv[1])).save(PICTURE, optimize=True)
