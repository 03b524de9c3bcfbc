"""Renders the clip that ``maskcast demo`` plays, and the truth about it.

`python training/render_demo.py OUT.mp4` writes 10 seconds of H.264 video and, beside it, ``OUT.truth.jsonl``: one
JSON object a frame with the id, kind and mask (compressed COCO RLE) of every object that shows.
"""

from __future__ import annotations

import argparse
import json
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from clips import Actor, Clip, Panel, camera_path, film
from pycocotools import mask as rle
from scenes import COLOURS, SHAPES, SIZE, Camera, Look, Pose

SCALE = 2
"""The clip is drawn at twice the model's input size."""
FRAMES_A_SECOND = 15
FRAMES = 150
SEED = 2026
_SURFACES = {
    "red": (214, 36, 36),
    "green": (42, 160, 58),
    "blue": (44, 84, 218),
    "yellow": (236, 214, 48),
    "purple": (146, 56, 196),
    "orange": (246, 138, 30),
}


def _look(colour: str, shape: str, texture: int = 0) -> Look:
    red, green, blue = _SURFACES[colour]
    return Look(
        shape=SHAPES.index(shape),
        colour=COLOURS.index(colour),
        rgb=(float(red), float(green), float(blue)),
        shading=0.25,
        light=-2.2,
        texture=texture,
        texture_strength=0.1,
        shadow=0.35,
    )


def _path(points: list[tuple[float, float, float]], radius: float, spin: float, swell: float = 0.0) -> tuple[Pose, ...]:
    """A smooth path through ``(frame, x, y)`` points, in the model's pixels."""
    when, x, y = np.array(points).T
    frames = np.arange(FRAMES)
    soft = np.hanning(15) / np.hanning(15).sum()

    def through(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        straight = np.interp(np.arange(-7, FRAMES + 7), when, values)
        return np.convolve(straight, soft, mode="valid")

    sizes = radius * (1 + swell * np.sin(frames / 18))
    places = zip(frames, through(x), through(y), sizes, strict=True)
    return tuple(Pose(float(px) * SCALE, float(py) * SCALE, float(r) * SCALE, spin * int(f)) for f, px, py, r in places)


def script() -> tuple[list[Actor], list[Panel]]:
    """Five objects and a post: two red circles, one of them hidden for a while, crossings, a departure and return."""
    actors = [
        Actor(_look("red", "circle"), _path([(0, 26, 64), (150, 214, 74)], 19, 0.0)),
        Actor(_look("yellow", "triangle"), _path([(0, 36, 186), (75, 96, 148), (149, 190, 188)], 25, 0.02)),
        Actor(_look("red", "circle", 1), _path([(0, 196, 176), (80, 60, 172), (149, 34, 120)], 22, 0.03)),
        Actor(
            _look("blue", "star"),
            _path([(0, 190, 40), (60, 186, 130), (110, 96, 196), (149, 120, 130)], 26, -0.03, 0.1),
        ),
        Actor(
            _look("green", "square"),
            _path([(0, 70, 120), (40, 50, 22), (60, 60, -44), (80, 60, -44), (110, 44, 40), (149, 40, 52)], 18, 0.02),
        ),
    ]
    post = Panel(left=92 * SCALE, width=58 * SCALE, top=0, height=112 * SCALE, grey=118.0)
    return actors, [post]


def render() -> Clip:
    """The clip, always the same."""
    rng = np.random.default_rng(SEED)
    actors, panels = script()
    shake = camera_path(rng, FRAMES, 0.5)
    return film(rng, actors, panels, shake, hidden=frozenset({0}), camera=Camera(1.0, 2.0, 0.0), size=SIZE * SCALE)


def write_video(clip: Clip, path: Path) -> None:
    """Encode as H.264 that plays anywhere."""
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=FRAMES_A_SECOND, options={"crf": "24", "preset": "veryslow"})
        stream.width = stream.height = clip.frames.shape[1]
        stream.pix_fmt = "yuv420p"
        stream.time_base = Fraction(1, FRAMES_A_SECOND)
        for image in clip.frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())


def write_truth(clip: Clip, path: Path) -> None:
    """One line a frame: the objects of which at least 60 pixels (at the model's size) show."""
    lines = []
    for index, labels in enumerate(clip.labels):
        objects = []
        for number, look in enumerate(clip.looks):
            mask = labels == number + 1
            if mask.sum() < 60 * SCALE**2:
                continue
            coded = rle.encode(np.asfortranarray(mask.astype(np.uint8)))
            objects.append(
                {
                    "id": number,
                    "colour": COLOURS[look.colour],
                    "shape": SHAPES[look.shape],
                    "segmentation": {"size": list(labels.shape), "counts": coded["counts"].decode()},
                }
            )
        height, width = labels.shape
        line = {"frame": index, "pts": index / FRAMES_A_SECOND, "width": width, "height": height, "objects": objects}
        lines.append(json.dumps(line, separators=(",", ":")))
    path.write_text("\n".join(lines) + "\n")


def main() -> None:
    """Write the video and its truth."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, metavar="OUT.mp4")
    options = parser.parse_args()
    clip = render()
    write_video(clip, options.out)
    write_truth(clip, options.out.with_suffix(".truth.jsonl"))
    hidden = np.flatnonzero((clip.labels == 1).sum((1, 2)) == 0)
    print(f"{options.out}: {options.out.stat().st_size / 1000:.0f} kB; object 0 is hidden in {len(hidden)} frames")


if __name__ == "__main__":
    main()
