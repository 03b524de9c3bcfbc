"""Which device decodes video: the processor, or a graphics card's decoder through FFmpeg."""

from __future__ import annotations

import logging
from functools import cache
from typing import get_args

import av
from av.codec.hwaccel import HWAccel, hwdevices_available

from sources.settings import DecoderName

logger = logging.getLogger(__name__)

# Of `auto`, the first that is there: NVIDIA's, then what Intel and AMD have on Linux.
_DEVICES = tuple(name for name in get_args(DecoderName) if name not in {"cpu", "auto"})
# Every decoder of a graphics card knows it.
_PROBED = "h264"


def acceleration(name: DecoderName) -> HWAccel | None:
    """What `av.open` is to be given; None to decode on the processor.

    A device that is asked for and is not there is warned of once, and the processor takes its place: a camera must not
    be lost for want of a driver. Each stream whose codec the device does not know falls back by itself.
    Pictures come back to the processor's memory as planes, whatever decoded them.
    """
    if name == "cpu":
        return None
    missing = None
    for device in _DEVICES if name == "auto" else (name,):
        missing = _missing(device)
        if missing is None:
            return HWAccel(device_type=device, allow_software_fallback=True)
    if name != "auto":
        _warn(f"decoder {name} is not there ({missing}): the processor decodes")
    return None


def _missing(device: str) -> str | None:
    """Why a device cannot decode, tried anew for each source, as a card may go and come; None if it can."""
    if device not in hwdevices_available():
        return "this PyAV's FFmpeg is built without it"
    try:
        HWAccel(device_type=device).create(av.Codec(_PROBED, "r"))
    except (av.FFmpegError, OSError, NotImplementedError, ValueError) as error:
        return getattr(error, "strerror", None) or str(error)
    return None


@cache
def _warn(line: str) -> None:
    logger.warning(line)
