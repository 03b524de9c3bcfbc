"""The embedded checkpoint, which was trained: equality with the reference where objects are really followed."""

import sys

import numpy as np
import pytest

from maskcast.errors import ModelError
from tests.lockstep import Ours, compare
from tests.paths import ROOT
from tests.reference import Reference
from trackers.detection.checkpoint import load_checkpoint

pytestmark = pytest.mark.usefixtures("one_thread")


TRAINING = ROOT / "training"


@pytest.fixture(scope="module")
def nano():
    try:
        checkpoint = load_checkpoint("nano")
    except ModelError as error:
        pytest.skip(str(error))
    if checkpoint.video is None:
        pytest.skip("the embedded checkpoint has no tracker")
    return checkpoint


@pytest.fixture(scope="module")
def clips():
    if not (TRAINING / "clips.py").is_file():
        pytest.skip("no renderer")
    sys.path.insert(0, str(TRAINING))
    try:
        import clips
    finally:
        sys.path.remove(str(TRAINING))
    return clips


def follow(nano, frames, prompts):
    """Least IoU over all frames, ids seen, and pairs compared."""
    ours = Ours(nano.video, nano.tokenizer)
    state = ours.tracker.new_state(prompts)
    theirs = Reference(nano.video, nano.tokenizer, prompts, tokens=16)
    worst, seen, pairs = 1.0, set(), 0
    for index, image in enumerate(frames):
        expected, result = theirs.step(image), ours.step([state], [image])[0][0]
        least = compare(expected, result)
        assert least >= 0.99, f"frame {index}"
        worst = min(worst, least)
        seen |= {track.id for track in result.tracks}
        pairs += len(result.tracks)
    return worst, seen, pairs


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_rendered_clips(nano, clips, seed):
    """Objects that enter, leave, cross and pass behind panels."""
    rules = clips.ClipRules(frames=64, objects=(3, 5), leaving=0.6, panels=1.0)
    clip = clips.render_clip(np.random.default_rng(seed), rules)
    worst, seen, pairs = follow(nano, clip.frames, ("object", "circle", "red object"))
    assert len(seen) >= 2, (worst, pairs)


@pytest.mark.slow
def test_an_object_that_was_hidden(nano, clips):
    clip, _, _ = clips.render_occlusion(np.random.default_rng(0), frames=48)
    follow(nano, clip.frames, ("object",))
