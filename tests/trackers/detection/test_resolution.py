"""At another resolution a model is the one of Transformers that is configured so, and is refused where it has none."""

import numpy as np
import pytest
import torch
from transformers import Sam3LiteTextConfig, Sam3LiteTextModel, Sam3VideoConfig, Sam3VideoModel

from maskcast.errors import TrackStateError, UsageError
from tests import tiny, tiny_sam2
from tests.frames import frame
from tests.lockstep import CPU, PROMPTS, Ours, Reference, compare, invent, scene
from tests.scripted import scripted
from trackers.detection.checkpoint import load_checkpoint
from trackers.detection.detector import Detector
from trackers.detection.preprocess import preprocess
from trackers.detection.resolution import possible
from trackers.detection.text import TextEncoder
from trackers.engine import Engine
from trackers.options import EngineOptions

OWN, WINDOW = 224, 4 * 14


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A detector, and a video model with the same image encoder, of four windows by four."""
    base = tmp_path_factory.mktemp("models")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiny, "IMAGE_SIZE", OWN)
        video = tiny.video_model(1)
        with torch.no_grad():
            video.tracker_model.mask_decoder.pred_obj_score_head.proj_out.bias.fill_(-8.0)  # what is followed is seen
        video.save_pretrained(base / "video")
        tiny.tokenizer().save_pretrained(base / "video")
        return tiny.save(base / "detector", seed=1), base / "video"


def test_full_size_models_have_three():
    assert possible(Sam3LiteTextConfig()) == [336, 672, 1008]


def test_a_model_whose_size_is_no_whole_number_of_windows_keeps_it():
    config = Sam3LiteTextConfig()
    config.image_size = 560
    assert possible(config) == [336, 560]


@pytest.mark.parametrize("wanted", [0, 100, WINDOW + 14, OWN + WINDOW])
def test_others_are_refused_with_those_that_there_are(folders, wanted):
    with pytest.raises(UsageError, match=rf"resolution {wanted} is none of .*; it has 56, 112, 168 or 224$") as caught:
        load_checkpoint(str(folders[0]), resolution=wanted, weights=False)
    assert "\n" not in str(caught.value)


def test_nano_has_one():
    assert load_checkpoint("nano", resolution=224, weights=False).detector.config.image_size == 224
    with pytest.raises(UsageError, match="resolution 112 is none of model nano; it has 224 alone"):
        load_checkpoint("nano", resolution=112, weights=False)


@pytest.mark.parametrize("resolution", [56, 168])
def test_detections_are_those_of_a_model_configured_so(folders, resolution):
    checkpoint = load_checkpoint(str(folders[0]), resolution=resolution)
    config = Sam3LiteTextConfig.from_pretrained(folders[0])
    config.image_size = resolution
    theirs = Sam3LiteTextModel.from_pretrained(folders[0], config=config).eval()
    detector = Detector(checkpoint, CPU, torch.float32, score_threshold=0.02, nms_iou=0.0)
    text = TextEncoder(checkpoint, CPU, torch.float32)
    image = scene(1)[0]
    (found,) = detector.detect(detector.encode([image]), [[text.embed("cat")]])
    tokens = checkpoint.tokenizer(["cat"], padding="max_length", max_length=32, return_tensors="pt")
    with torch.inference_mode():
        expected = theirs(
            pixel_values=preprocess([image], resolution, CPU, torch.float32),
            input_ids=tokens.input_ids,
            attention_mask=tokens.attention_mask,
        )
    scores = (expected.pred_logits.sigmoid() * expected.presence_logits.sigmoid())[0]
    assert len(found) > 0, "a test that finds nothing shows nothing"
    side = 4 * resolution // 14
    assert found.logits.shape[-2:] == (side, side)
    torch.testing.assert_close(found.scores, scores[scores > 0.02], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found.logits, expected.pred_masks[0][scores > 0.02], atol=1e-3, rtol=1e-3)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("borrowed", [False, True], ids=["its own tracker", "another checkpoint's"])
def test_tracks_are_those_of_a_model_configured_so(folders, borrowed):
    config = Sam3VideoConfig.from_pretrained(folders[1])
    config.image_size = 112
    # What the library's own setter leaves as it was.
    config.tracker_config.memory_attention_rope_feat_sizes = [8, 8]
    config.low_res_mask_size = 32
    reference = Sam3VideoModel.from_pretrained(folders[1], config=config).eval()
    name, tracker_from = (folders[0], str(folders[1])) if borrowed else (folders[1], None)
    checkpoint = load_checkpoint(str(name), tracker_from, resolution=112)
    ours = Ours(reference)
    ours.tracker = type(ours.tracker)(checkpoint.video, CPU, torch.float32, ours.rules)
    state = ours.tracker.new_state(PROMPTS)
    theirs = Reference(reference, tiny.tokenizer(), PROMPTS)
    rng, last, pairs = np.random.default_rng(0), None, 0
    with scripted(reference.detector_model, [ours.text.embed(prompt).features for prompt in PROMPTS], 32) as script:
        for index, image in enumerate(scene(12)):
            script.found = invent(rng, last, len(PROMPTS), 3)
            last = theirs.step(image)
            [[result]] = ours.step([state], [image])
            assert compare(last, result) >= 0.99, f"frame {index}"
            pairs += len(result.tracks)
    assert pairs > 24


def test_a_tracker_of_sam_2_keeps_its_own(folders, tmp_path):
    sam2 = tiny_sam2.save(tmp_path / "sam2")
    engine = Engine(EngineOptions(str(folders[0]), "cpu", tracker_from=str(sam2), threshold=0.02, resolution=56))
    assert engine._checkpoint.video.tracker_model.config.image_size == tiny_sam2.IMAGE_SIZE
    stream = engine.open_stream(["cat"])
    [[first]] = engine.step([stream], [frame(0, scene(1)[0])])
    [[second]] = engine.step([stream], [frame(1, scene(1)[0])])
    assert first.tracks
    assert second.tracks


def test_a_track_state_of_another_resolution_is_refused(folders, tmp_path):
    at = {size: Engine(EngineOptions(str(folders[1]), "cpu", resolution=size)) for size in (None, 112, OWN)}
    stream = at[None].open_stream(["cat"])
    at[None].save_stream(stream, final=True).write(tmp_path / "state")
    at[OWN].resume_stream(tmp_path / "state", ["cat"])
    with pytest.raises(TrackStateError, match="another model"):
        at[112].resume_stream(tmp_path / "state", ["cat"])
