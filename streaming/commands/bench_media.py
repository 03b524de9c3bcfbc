"""What the benchmark looks at: the bundled clip at the size of a camera, and what a frame costs around the model."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import av
import numpy as np

from maskcast.frame import Frame
from maskcast.mask import Mask
from maskcast.result import Result, Track, TrackState
from sinks.messages.frame import frame_message
from sinks.video.annotated import AnnotatedVideoSink
from sources import open_source
from streaming.commands.demo import CLIP
from trackers.masks import upscale
from trackers.rehearsal import discs

# Pixels: what cameras usually send.
WIDTH, HEIGHT = 1280, 720
FRAMES = 24
# Cells a side of the masks that a full-size model gives.
MASK_SIDE = 288


@dataclass(frozen=True)
class Around:
    """Seconds of processor time a frame, outside of the model.

    Attributes:
        decode: the video.
        convert: the picture to RGB.
        message: its objects' masks from the model's size to the picture's, and the message that is published.
        draw: the masks drawn on the picture, and that encoded.
    """

    decode: float
    convert: float
    message: float
    draw: float


def camera_like(folder: Path, prompts: Sequence[str], objects: int) -> tuple[list[Frame], Around]:
    """Frames to track in, and what they cost around the model.

    Args:
        folder: where two videos may be written.
        prompts: of the objects.
        objects: in each frame, for those who publish and draw.
    """
    clip = folder / "camera.mp4"
    _write(clip)
    began = time.process_time()
    source = open_source(str(clip), stream="bench")
    frames = list(source)
    source.close()
    decoded = time.process_time()
    for frame in frames:
        frame.picture.rgb()
    converted = time.process_time()

    logits = discs(objects, MASK_SIDE).numpy()
    results = [Result(frame, _tracks([upscale(one, (HEIGHT, WIDTH)) for one in logits], prompts)) for frame in frames]
    for result in results:
        frame_message(result).json_bytes()
    published = time.process_time()
    sink = AnnotatedVideoSink(folder / "annotated.mp4")
    sink.start_blocking(source.info)
    for result in results:
        sink.write_blocking(result)
    sink.finish_blocking(None)
    drawn = time.process_time()
    times = np.diff([began, decoded, converted, published, drawn]) / len(frames)
    return frames, Around(*times.tolist())


def _tracks(masks: Sequence[Mask], prompts: Sequence[str]) -> tuple[Track, ...]:
    return tuple(
        Track(number, prompts[number % len(prompts)], TrackState.CONFIRMED, 0.9, mask)
        for number, mask in enumerate(masks, 1)
    )


def _write(clip: Path) -> None:
    """The bundled clip, scaled."""
    with av.open(str(CLIP)) as source, av.open(str(clip), "w") as target:
        stream = target.add_stream("libx264", rate=source.streams.video[0].average_rate)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for frame in islice(source.decode(video=0), FRAMES):
            target.mux(stream.encode(frame.reformat(WIDTH, HEIGHT, "yuv420p")))
        target.mux(stream.encode())
