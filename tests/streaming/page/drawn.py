"""What the browser has drawn of a frame, and what it had to draw."""

from __future__ import annotations

import base64

import numpy as np
from pycocotools import mask as coco

from sinks.video.palette import track_rgb

# Keeps of every frame its message and the pixels of its masks.
KEEP = """() => {
  window.kept = {};
  document.addEventListener("drawn", ({ target, detail }) => {
    const { width, height } = target;
    const { data } = target.getContext("2d").getImageData(0, 0, width, height);
    let text = "";
    for (let at = 0; at < data.length; at += 8192) text += String.fromCharCode(...data.subarray(at, at + 8192));
    window.kept[detail.frame] = { message: detail, width, height, pixels: btoa(text) };
  });
}"""
TAKE = "(frame) => { const one = window.kept[frame]; delete window.kept[frame]; return one; }"


def compare(found: dict) -> bool:
    """Exactly the masks are drawn: all of confirmed ones, with a contour in the track's colour.

    Returns:
        Whether the inside of a tentative one is seen to be empty.
    """
    pixels = np.frombuffer(base64.b64decode(found["pixels"]), np.uint8)
    pixels = pixels.reshape(found["height"], found["width"], 4)
    alpha = pixels[..., 3]
    drawn = {item["id"]: coco.decode(item["segmentation"]).astype(bool) for item in found["message"]["tracks"]}
    tentative = {item["id"] for item in found["message"]["tracks"] if item["state"] == "tentative"}
    confirmed = np.any([mask for name, mask in drawn.items() if name not in tentative], axis=0)
    open_ones = np.any([mask for name, mask in drawn.items() if name in tentative], axis=0)
    np.testing.assert_array_equal(alpha[~open_ones] > 0, confirmed[~open_ones])
    for name, mask in drawn.items():
        alone = mask & ~np.any([other for key, other in drawn.items() if key != name], axis=0)
        line = alone & (alpha == 255)
        assert line.any() or alone.sum() < 300, "a contour"
        wanted = [round(255 * part) for part in track_rgb(name)]
        assert (pixels[line][:, :3] == wanted).all(), "in the colour of the track"
    return bool((alpha[open_ones & ~confirmed] == 0).any())
