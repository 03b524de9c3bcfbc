"""SAM 3's own detector, alone and within a `sam3_video` checkpoint, against `Sam3Model` itself."""

import numpy as np
import pytest
import torch
from transformers import Sam3Model

from maskcast.errors import UsageError
from tests import tiny
from tests.frames import frame
from tests.lockstep import Ours, compare, scene
from tests.reference import Reference
from trackers.detection.checkpoint import load_checkpoint
from trackers.detection.detector import Detector
from trackers.detection.preprocess import preprocess
from trackers.detection.text import TextEncoder
from trackers.engine import Engine
from trackers.options import EngineOptions

CPU = torch.device("cpu")
PROMPTS = ("person", "red ball", "cat", "dog")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    base = tmp_path_factory.mktemp("full")
    return {"sam3": tiny.save(base / "sam3", full=True), "sam3_video": tiny.save_video(base / "video", full=True)}


@pytest.mark.parametrize("kind", ["sam3", "sam3_video"])
def test_detections_equal_the_references(folders, kind):
    checkpoint = load_checkpoint(str(folders[kind]))
    assert (checkpoint.kind, checkpoint.context_length) == (kind, 32)
    text = TextEncoder(checkpoint, CPU, torch.float32)
    detector = Detector(checkpoint, CPU, torch.float32, score_threshold=0.05, nms_iou=0.0)
    reference = checkpoint.detector
    assert isinstance(reference, Sam3Model)
    picture = np.random.default_rng(3).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    (found,) = detector.detect(detector.encode([picture]), [[text.embed(prompt) for prompt in PROMPTS]])
    assert len(found) > 0, "a test that finds nothing shows nothing"
    pixels = preprocess([picture], tiny.IMAGE_SIZE, CPU, torch.float32)
    for index, prompt in enumerate(PROMPTS):
        tokens = tiny.tokenizer()(prompt, padding="max_length", max_length=32, return_tensors="pt")
        with torch.inference_mode():
            expected = reference(pixel_values=pixels, **tokens)
        scores = (expected.pred_logits.sigmoid() * expected.presence_logits.sigmoid())[0]
        mine = found.prompt == index
        torch.testing.assert_close(found.scores[mine], scores[scores > 0.05], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(found.logits[mine], expected.pred_masks[0][scores > 0.05], atol=1e-3, rtol=1e-3)


def test_a_prompt_is_encoded_once_and_its_encoder_stays_on_the_cpu(folders):
    checkpoint = load_checkpoint(str(folders["sam3_video"]))
    Detector(checkpoint, torch.device("meta"), torch.float32)
    assert {parameter.device.type for parameter in checkpoint.detector.text_encoder.parameters()} == {"cpu"}
    text = TextEncoder(checkpoint, CPU, torch.float32)
    assert text.embed("cat") is text.embed(" cat ")
    assert text.encoded == 1


@pytest.mark.usefixtures("one_thread")
def test_tracks_equal_the_references():
    video = tiny.video_model(full=True, new_det_thresh=0.3, score_threshold_detection=0.3)
    prompts = ("dog",)
    ours = Ours(video)
    state = ours.tracker.new_state(prompts)
    theirs = Reference(video, tiny.tokenizer(), prompts)
    for image in scene(4):
        assert compare(theirs.step(image), ours.step([state], [image])[0][0]) >= 0.99


def test_the_engine_follows_with_its_own_tracker(folders):
    engine = Engine(EngineOptions(str(folders["sam3_video"]), "cpu"))
    engine.require_track_state()  # which only the memory tracker has
    stream = engine.open_stream(["cat"])
    for index, image in enumerate(scene(2)):
        engine.step([stream], [frame(index, image)])


@pytest.mark.parametrize("tokens", [16, 77])
def test_it_has_one_context(folders, tokens):
    with pytest.raises(UsageError, match=f"32 tokens, not of {tokens}"):
        load_checkpoint(str(folders["sam3"]), context_tokens=tokens)
