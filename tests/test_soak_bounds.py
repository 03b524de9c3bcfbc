"""That `benchmarks/soak.py` finds what it is there to find: its own bounds, on made-up samples."""

import random
from pathlib import Path

import pytest

from benchmarks.soak import SAMPLE_SECONDS, Sample, broken_bounds

SECONDS = 600.0


def samples(per_minute=0.0, resident=0.0, descriptors=0.0, threads=0.0, noise=8.0):
    """Ten minutes of a process whose figures rise by so much a minute, with the noise of a real one."""
    chance = random.Random(5)
    for number in range(int(SECONDS / SAMPLE_SECONDS)):
        minutes = number * SAMPLE_SECONDS / 60
        busy = chance.random() * 150
        yield Sample(
            minutes * 60,
            900 + busy / 10 + resident * minutes,
            300 + busy + chance.gauss(0, noise) + per_minute * minutes,
            18 + int(descriptors * minutes),
            32 + int(threads * minutes),
        )


def test_a_process_that_holds_what_it_held_passes():
    figures, wrong = broken_bounds(list(samples()), SECONDS, [])
    assert wrong == []
    assert figures["in_use_mb_per_minute_low"] <= 0 <= figures["in_use_mb_per_minute_high"]


@pytest.mark.parametrize(
    ("growth", "words"),
    [
        ({"per_minute": 5.0}, "memory in use grows"),
        ({"resident": 15.0}, "the process grows"),
        ({"descriptors": 2.0}, "descriptors grow"),
        ({"threads": 2.0}, "threads grow"),
    ],
)
def test_growth_breaks_its_bound(growth, words):
    _, wrong = broken_bounds(list(samples(**growth)), SECONDS, [])
    assert len(wrong) == 1
    assert wrong[0].startswith(words)


def test_a_video_that_cannot_be_read_or_that_was_to_be_deleted_breaks_one(tmp_path):
    videos = [tmp_path / f"{number}.mp4" for number in range(8)]
    for video in videos:
        video.write_bytes(b"no video")
    _, wrong = broken_bounds(list(samples()), SECONDS, videos)
    assert wrong[0] == "8 videos, of which 6 were to be kept"
    assert wrong[1:] == [f"{Path(video).name} cannot be read" for video in videos]
