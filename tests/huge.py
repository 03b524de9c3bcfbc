"""A picture too large to decode, and what a process needs that looks at one."""

from __future__ import annotations

import subprocess
import sys

import cv2
import numpy as np

# What a reader may allocate that has seen no more than headers.
MEGABYTES = 150


def huge_jpeg():
    """A picture whose header says 16,200 x 15,800, with as many bytes as a plausible one has at least."""
    data = bytearray(cv2.imencode(".jpg", np.zeros((16, 16, 3), np.uint8))[1].tobytes())
    sizes = data.index(b"\xff\xc0") + 5
    data[sizes : sizes + 4] = (15_800).to_bytes(2, "big") + (16_200).to_bytes(2, "big")
    return bytes(data[:-2]) + bytes(4 << 20) + b"\xff\xd9"


def peak(path):
    """Megabytes that a process needs more to open a source that must be refused."""
    code = """
import resource, sys
from sources import open_source
import sources.container, sources.images
from maskcast.errors import SourceError
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    open_source(sys.argv[1])
except SourceError:
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10)
"""
    return int(subprocess.run([sys.executable, "-c", code, path], check=True, capture_output=True).stdout)
