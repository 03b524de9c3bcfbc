"""The bound on the size of a picture, kept to before anything of it is decoded."""

from __future__ import annotations

from maskcast.errors import SourceError

# Above the largest video there is (8K: 33 megapixels) and the sensors of full-frame cameras (61 megapixels). A picture
# takes 1.5 bytes a pixel as it is decoded and 3 more as RGB.
MAX_PIXELS = 64_000_000
# FFmpeg's own option is a C int.
HIGHEST_MAX_PIXELS = (1 << 31) - 1


def oversize(width: int, height: int, most: int) -> SourceError | None:
    """What to say of a picture of more than `most` pixels; None if it is not too large."""
    if width * height <= most:
        return None
    return SourceError(f"a picture of {width} x {height} pixels", advice=_advice(most))


def oversize_unseen(most: int) -> SourceError:
    """What to say of a picture that a decoder refused for its size without telling it."""
    return SourceError(f"a picture of more than {most:,} pixels", advice=_advice(most))


def _advice(most: int) -> str:
    return f"raise max_pixels, now {most:,}, if it is wanted"
