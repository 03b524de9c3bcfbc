"""Choose a video encoder that exists and works on this machine, and set it up."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from threading import Lock
from typing import cast

import av
from av.codec import Codec
from av.video.codeccontext import VideoCodecContext

from maskcast.errors import SinkError, UsageError, reason_of
from sinks.video.container import CONTAINERS

logger = logging.getLogger(__name__)

# What PyAV raises: FFmpeg's own codes, built-in errors by kind (OSError for a full disk), and refused arguments.
AV_ERRORS = (av.FFmpegError, OSError, ValueError, RuntimeError)

_log_level = Lock()  # FFmpeg has one level of logging for all threads

# For each format the encoders to try, in this order; the last is software and taken without a trial.
# VA-API is missing because PyAV's wheels are built without it.
ENCODERS: dict[str, tuple[str, ...]] = {
    "h264": ("h264_nvenc", "h264_videotoolbox", "h264_qsv", "libx264"),
    "hevc": ("hevc_nvenc", "hevc_videotoolbox", "hevc_qsv", "libx265"),
    "vp9": ("libvpx-vp9",),
    "av1": ("av1_nvenc", "av1_qsv", "libsvtav1"),
}
# Visually much alike; the scales differ.
DEFAULT_QUALITY = {"h264": 23, "hevc": 26, "vp9": 32, "av1": 35}


@dataclass(frozen=True, slots=True)
class EncoderSettings:
    """What the user may choose about the annotated video.

    Attributes:
        codec: ``h264``, ``hevc``, ``vp9`` or ``av1``: hardware where it works, else software; or the name of one of
            FFmpeg's encoders (``libx264``); None for what suits the container.
        quality: constant rate factor, lower is better and larger; None for the codec's usual value.
        preset: the encoder's own name for how hard it tries; None for its default, which x264 has ``veryfast`` on live
            streams.
    """

    codec: str | None = None
    quality: int | None = None
    preset: str | None = None


def choose_encoder(settings: EncoderSettings, suffix: str, width: int, height: int) -> str:
    """The name of the FFmpeg encoder to use for a file that ends in `suffix`.

    Raises:
        UsageError: the codec is no video encoder's name.
        SinkError: this FFmpeg lacks the encoder.
    """
    wanted = settings.codec or CONTAINERS[suffix].video_codec
    candidates = ENCODERS.get(wanted, (wanted,))
    for name in candidates[:-1]:
        if works(name, width, height):
            logger.info("encoding with %s", name)
            return name
    name = candidates[-1]
    if not _exists(name):
        if wanted in ENCODERS:
            advice = f"choose another codec than {wanted}"
            raise SinkError(f"this build of FFmpeg has no encoder {name}", advice=advice)
        advice = f"choose {', '.join(ENCODERS)} or an FFmpeg encoder's name"
        raise UsageError(f"no video encoder is called {wanted!r}", advice=advice)
    return name


def software_for(name: str) -> str | None:
    """The encoder to fall back to from a hardware encoder; None if `name` is none."""
    return next((names[-1] for names in ENCODERS.values() if name in names[:-1]), None)


def fall_back(name: str, what: str, error: Exception, sink: str) -> str:
    """The software encoder to go on with where the hardware encoder `name` did `what`: the log of `sink` says so.

    Raises:
        Exception: `error`, where `name` is no hardware encoder.
    """
    software = software_for(name)
    if software is None:
        raise error
    logger.warning("%s: %s %s (%s); %s encodes", sink, name, what, reason_of(error), software)
    return software


def encoder_options(name: str, settings: EncoderSettings, *, live: bool, recording: bool = False) -> dict[str, str]:
    """The encoder's own options for constant quality, each encoder naming them differently.

    Args:
        name: of the encoder.
        settings: what the user has chosen.
        live: whether the stream cannot wait.
        recording: whether it has to give back each picture at once, and key pictures when they are asked for.
    """
    options = _quality_options(name, settings, live=live)
    software = name in {"libx264", "libx265"}
    if recording and software:
        options["tune"] = "zerolatency"
    if recording and (software or name.endswith("_nvenc")):
        options["forced-idr"] = "1"  # a key frame that is asked for is one to begin a file with
    return options


def _quality_options(name: str, settings: EncoderSettings, *, live: bool) -> dict[str, str]:
    codec = Codec(name, "w")
    quality = str(DEFAULT_QUALITY.get(codec.canonical_name, 23) if settings.quality is None else settings.quality)
    options = {"preset": settings.preset} if settings.preset else {}
    if name.endswith("_nvenc"):
        return {"preset": "p4", "rc": "vbr", "cq": quality, "b": "0", **options}
    if name.endswith("_qsv"):
        return {"global_quality": quality, **options}
    if name.endswith("_videotoolbox"):
        # Its scale runs from 0 to 100, upwards; 118 is FFmpeg's unit of lambda.
        return {"flags": "+qscale", "global_quality": str(118 * max(1, 100 - 2 * int(quality)))}
    if name == "libvpx-vp9":
        return {"crf": quality, "b": "0", "cpu-used": "4", "row-mt": "1"}
    if name == "libsvtav1":
        # It writes to the error output by itself, past FFmpeg's log, and hears of that through the environment alone.
        os.environ.setdefault("SVT_LOG", "0")
        return {"crf": quality, "preset": "8", **options}
    if live and name in {"libx264", "libx265"}:
        options = {"preset": "veryfast", **options}  # a live stream cannot wait for a smaller file
    if name == "libx265":
        options["x265-params"] = "log-level=none"  # as SVT-AV1 does
    return {"crf": quality, **options}


def pixel_format(name: str) -> str:
    """The 4:2:0 layout that the encoder takes."""
    return "nv12" if name.endswith("_qsv") else "yuv420p"


def _exists(name: str) -> bool:
    try:
        return Codec(name, "w").type == "video"
    except ValueError:  # PyAV's UnknownCodecError is one
        return False


@lru_cache(maxsize=32)
def works(name: str, width: int, height: int) -> bool:
    """Whether the encoder takes a frame of this size: one that is compiled in may still lack its hardware or driver."""
    if not _exists(name):
        return False
    # A missing driver is an answer here, not a message to the user.
    with _log_level:
        previous = av.logging.get_level()
        av.logging.set_level(av.logging.PANIC)
        try:
            return _encodes(name, width, height)
        except AV_ERRORS as error:
            logger.debug("%s does not work here: %s", name, error)
            return False
        finally:
            av.logging.set_level(previous)


def _encodes(name: str, width: int, height: int) -> bool:
    """Try it on one grey frame."""
    context = cast("VideoCodecContext", VideoCodecContext.create(name, "w"))
    context.width, context.height, context.pix_fmt = width, height, pixel_format(name)
    context.time_base, context.framerate = Fraction(1, 30), Fraction(30)
    context.options = encoder_options(name, EncoderSettings(), live=False)
    frame = av.VideoFrame(width, height, "yuv420p")
    for plane in frame.planes:
        plane.update(bytes([128]) * plane.buffer_size)
    frame.pts = 0
    return bool([*context.encode(frame), *context.encode(None)])
