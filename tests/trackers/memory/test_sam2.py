"""SAM 2's tracker in our engine: masks equal to `transformers.Sam2VideoModel`, under the rules of SAM 3."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from transformers import Sam2VideoProcessor, Sam3VideoConfig
from transformers.image_utils import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoInferenceSession

from maskcast.errors import TooLargeError
from maskcast.result import EventKind, TrackState
from tests import tiny_sam2
from tests.frames import frame
from tests.lockstep import CPU, blob, scene
from trackers.detection.composition import TrackerWeights
from trackers.detection.detector import Detections
from trackers.detection.image_encoder import ImageFeatures
from trackers.detection.preprocess import resize
from trackers.masks import upscale
from trackers.memory import image_encoder, track_state
from trackers.memory.tracker import MemoryTracker
from trackers.rules import Rules

pytestmark = pytest.mark.usefixtures("one_thread")

PROMPTS = ("a", "b", "c")
# What the detector's image encoder says, which this tracker does not hear.
UNHEARD = ImageFeatures(torch.zeros(0), torch.zeros(0), torch.zeros(0))


def tracker_of(model, **changes):
    # Nothing but the masks that are given: no renewal by detections, no rivalry.
    alone = {"recondition_every_nth_frame": 0, "suppress_overlapping_based_on_recent_occlusion_threshold": 0.0}
    rules = Rules.reference(Sam3VideoConfig(), **(alone | changes))
    return MemoryTracker(TrackerWeights(Sam3VideoConfig(), deepcopy(model), None), CPU, torch.float32, rules)


def detections(logits, prompts):
    return Detections(torch.tensor(prompts, dtype=torch.int64), torch.full((len(logits),), 0.9), torch.tensor(logits))


NOTHING = Detections(torch.zeros(0, dtype=torch.int64), torch.zeros(0), torch.zeros(0, 32, 32))


class Reference:
    """A streaming session of `Sam2VideoModel`."""

    def __init__(self, model):
        self._model = model
        self.session = Sam2VideoInferenceSession(dtype=torch.float32)
        self._mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
        self._deviation = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)

    def condition(self, masks):
        """Let objects 1, 2, … have these masks ``(N, h, w)`` in the first frame."""
        processor = object.__new__(Sam2VideoProcessor)  # its parts need torchvision
        processor.target_size = self._model.config.image_size
        numbers = list(range(1, len(masks) + 1))
        processor.process_new_mask_for_video_frame(self.session, 0, numbers, list(masks))

    def step(self, image):
        """Mask logits ``(N, h, w)`` of the next frame."""
        size = self._model.config.image_size
        pixels = (resize([image], size, CPU)[0].float() / 255 - self._mean) / self._deviation
        return self._model(self.session, frame=pixels).pred_masks[:, 0].numpy()


def iou(a, b):
    return np.count_nonzero(a & b) / max(np.count_nonzero(a | b), 1)


def lockstep(model, seed, frames=64):
    """The least IoU of all masks of a clip; how many there were; by how much their logits changed in the last frame."""
    tracker = tracker_of(model)
    state = tracker.new_state(PROMPTS)
    masks = np.stack([blob(np.random.default_rng(seed + number)) for number in range(len(PROMPTS))])
    reference = Reference(model)
    reference.condition(masks >= 0.5)
    worst, seen, expected = 1.0, 0, None
    for index, image in enumerate(scene(frames, seed)):
        before, expected = expected, reference.step(image)
        found = NOTHING if index else detections(masks, [0, 1, 2])
        [[result]] = tracker.follow([state], [frame(index, image)], [found], UNHEARD)
        if index == 0:  # both publish what they were given, each in its own size
            continue
        ours = {track.id: track.mask.full() for track in result.tracks}
        for number, logits in enumerate(expected, 1):
            theirs = upscale(logits, (96, 160))
            assert (number in ours) == bool(theirs.area), f"frame {index}"
            if theirs.area:
                worst, seen = min(worst, iou(ours[number], theirs.full())), seen + 1
    return worst, seen, np.abs(expected - before).max()


SAM_2_0 = {"enable_temporal_pos_encoding_for_object_pointers": False, "enable_occlusion_spatial_embedding": False}


@pytest.mark.parametrize(
    ("seed", "changes"),
    [(0, {}), (1, {}), (0, SAM_2_0)],
    ids=["several objects", "that hide and return", "SAM 2.0"],
)
def test_masks_equal_those_of_the_reference(seed, changes):
    worst, seen, change = lockstep(tiny_sam2.model(seed, **changes), seed)
    assert worst >= 0.99
    assert seen > 100
    assert change > 0.01


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 10))
def test_masks_equal_those_of_the_reference_in_other_scenes(seed):
    assert lockstep(tiny_sam2.model(seed), seed)[0] >= 0.99


def test_streams_and_objects_share_the_passes():
    """One image encoder pass and one attention pass for all; each stream as if it were alone."""
    model = tiny_sam2.model(0)
    tracker = tracker_of(model)
    founds = [
        detections(np.stack([blob(np.random.default_rng(n)) for n in part]), list(part)) for part in ((0, 1), (2,))
    ]
    scenes = [scene(5, 1), scene(5, 2)]
    passes = []
    encoder = tracker.propagation.model.vision_encoder
    encoder.register_forward_pre_hook(lambda _, arguments: passes.append(len(arguments[0])))

    def run(streams):
        states = [tracker.new_state(PROMPTS) for _ in streams]
        results = []
        for index in range(5):
            frames = [frame(index, scenes[stream][index]) for stream in streams]
            found = [NOTHING if index else founds[stream] for stream in streams]
            results = tracker.follow(states, frames, found, UNHEARD)
        return [{track.id: track.mask.full() for track in result.tracks} for [result] in results]

    together = run([0, 1])
    assert passes == [2] * 5
    for stream, masks in enumerate(together):
        [alone] = run([stream])
        assert masks.keys() == alone.keys()
        assert masks
        assert all(iou(masks[track], alone[track]) > 0.99 for track in masks)


def test_no_picture_is_encoded_where_there_is_nothing_to_follow():
    tracker = tracker_of(tiny_sam2.model(0))
    tracker.propagation.model.vision_encoder.register_forward_pre_hook(lambda *_: pytest.fail("encoded"))
    [[result]] = tracker.follow([tracker.new_state(PROMPTS)], [frame(0, scene(1)[0])], [NOTHING], UNHEARD)
    assert result.tracks == ()


def test_the_rules_of_sam_3_hold():
    """Detections start tracks, support them, renew their memories and hide what they contradict."""
    tracker = tracker_of(
        tiny_sam2.model(0),
        recondition_every_nth_frame=2,
        high_iou_thresh=0.0,
        high_conf_thresh=0.5,
        assoc_iou_thresh=0.001,
        hide_unmatched=True,
        init_trk_keep_alive=3,
        max_trk_keep_alive=3,
        lost_after=0.2,
    )
    state = tracker.new_state(PROMPTS)
    masks = np.stack([blob(np.random.default_rng(n), 48) for n in range(2)])
    events = []
    for index, image in enumerate(scene(24)):
        found = detections(masks[:1] if index < 4 else masks, [0] if index < 4 else [0, 1])
        [[result]] = tracker.follow([state], [frame(index, image)], [found if index < 10 else NOTHING], UNHEARD)
        events += result.events
        if index == 9:
            conditioning = state.table.spatial.conditioning[state.table.rows()].sum(axis=1).tolist()
            states = [track.state for track in result.tracks]
    assert conditioning[0] > 1
    assert states == [TrackState.CONFIRMED] * 2
    assert [(event.kind, event.track_id) for event in events][:2] == [(EventKind.STARTED, 1), (EventKind.STARTED, 2)]
    assert {event.track_id for event in events if event.kind is EventKind.ENDED} == {1, 2}


def test_memory_is_bounded():
    """`max_cond_frame_num` is -1 in published checkpoints: all of them, without end."""
    always = dict.fromkeys(("assoc_iou_thresh", "high_iou_thresh", "high_conf_thresh"), -99.0)
    tracker = tracker_of(tiny_sam2.model(0), recondition_every_nth_frame=1, **always)
    state = tracker.new_state(PROMPTS)
    found = detections(blob(np.random.default_rng(0))[None], [0])
    bank = state.table.spatial
    place, entries = bank.values.data_ptr(), bank.values.shape[1]
    for index, image in enumerate(scene(12)):
        tracker.follow([state], [frame(index, image)], [found], UNHEARD)
    assert (bank.values.data_ptr(), bank.values.shape[1]) == (place, entries)
    assert len(state.table) == 1


def test_track_states_go_on_with_the_same_masks(tmp_path):
    tracker = tracker_of(tiny_sam2.model(0))
    state = tracker.new_state(PROMPTS)
    found = detections(np.stack([blob(np.random.default_rng(n)) for n in range(2)]), [0, 1])
    images = scene(6)
    for index in range(5):
        tracker.follow([state], [frame(index, images[index])], [NOTHING if index else found], UNHEARD)
    track_state.take(state, "revision", final=True).write(tmp_path / "state")
    resumed = track_state.load(tracker, tmp_path / "state", "revision")
    [[expected]], [[actual]] = (
        tracker.follow([one], [frame(5, images[5])], [NOTHING], UNHEARD) for one in (state, resumed)
    )
    assert len(expected.tracks) == 2
    for a, b in zip(expected.tracks, actual.tracks, strict=True):
        assert a.id == b.id
        assert iou(a.mask.full(), b.mask.full()) > 0.999


def test_want_of_memory_while_encoding_leaves_the_states_as_they_were():
    tracker = tracker_of(tiny_sam2.model(0))
    state = tracker.new_state(PROMPTS)
    found = detections(blob(np.random.default_rng(0))[None], [0])

    def fail(*_):
        raise torch.OutOfMemoryError

    hook = tracker.propagation.model.vision_encoder.register_forward_pre_hook(fail)
    with pytest.raises(TooLargeError, match="out of memory"):
        tracker.follow([state], [frame(0, scene(1)[0])], [found], UNHEARD)
    assert (state.step, len(state.table)) == (0, 0)
    hook.remove()
    [[result]] = tracker.follow([state], [frame(0, scene(1)[0])], [found], UNHEARD)
    assert len(result.tracks) == 1


@pytest.mark.parametrize("top_down", [[2, 3], [1, 2, 3], [0, 1, 2, 3]])
@torch.inference_mode()
def test_the_neck_says_what_its_readers_say_of_it(top_down):
    model = tiny_sam2.model(0)
    model.vision_encoder.neck.fpn_top_down_levels = top_down
    decoder = model.mask_decoder
    pixels = torch.randn(2, 3, tiny_sam2.IMAGE_SIZE, tiny_sam2.IMAGE_SIZE)
    fine, middle, coarse = model.vision_encoder(pixels).fpn_hidden_states
    expected = decoder.conv_s0(fine), decoder.conv_s1(middle), coarse
    ours = image_encoder.OwnEncoder(deepcopy(model.vision_encoder), decoder, tiny_sam2.IMAGE_SIZE, CPU, torch.float32)
    folded = sum(isinstance(reader, torch.nn.Identity) for reader in ours._readers)
    assert folded == max(0, 4 - len(top_down))
    for actual, wanted in zip(ours.pyramid(pixels), expected, strict=True):
        torch.testing.assert_close(actual, wanted, atol=1e-5, rtol=1e-5)


def test_pictures_are_normalised_as_those_of_imagenet():
    assert list(image_encoder.MEAN) == IMAGENET_DEFAULT_MEAN
    assert list(image_encoder.DEVIATION) == IMAGENET_DEFAULT_STD
