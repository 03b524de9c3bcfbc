"""SAM 2's tracker beside a detector: what is loaded of it, and what is refused."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import Sam2VideoModel

from maskcast.errors import ModelError
from tests import tiny, tiny_sam2
from tests.frames import frame
from tests.lockstep import scene
from trackers.detection.checkpoint import load_checkpoint
from trackers.detection.config import build_config
from trackers.engine import Engine
from trackers.memory.tracker import MemoryTracker
from trackers.options import EngineOptions


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return tiny_sam2.save(tmp_path_factory.mktemp("models") / "sam2")


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    """One that finds something in `scene`."""
    return tiny.save(tmp_path_factory.mktemp("models") / "detector", seed=2)


@pytest.fixture
def copy(original, tmp_path):
    return shutil.copytree(original, tmp_path / "sam2")


def refusal(detector, tracker):
    """What both a run and a check say."""
    said = []
    for weights in (True, False):
        with pytest.raises(ModelError) as caught:
            load_checkpoint(str(detector), str(tracker), weights=weights)
        said.append(str(caught.value))
    assert said[0] == said[1]
    assert "\n" not in said[0]
    return said[0]


def change(folder, *path, value):
    """Set one key of config.json; None removes it."""
    whole = json.loads((folder / "config.json").read_text())
    table = whole
    for key in path[:-1]:
        table = table[key]
    table[path[-1]] = value
    if value is None:
        del table[path[-1]]
    (folder / "config.json").write_text(json.dumps(whole))


def test_all_weights_are_taken(tiny_checkpoint, original):
    checkpoint = load_checkpoint(str(tiny_checkpoint), str(original))
    assert checkpoint.revision != load_checkpoint(str(tiny_checkpoint)).revision
    assert checkpoint.video.tracker_neck is None
    found, expected = checkpoint.video.tracker_model.state_dict(), load_file(original / "model.safetensors")
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], expected[key]) for key in expected)


def test_rules_are_those_of_the_detector(original):
    own = load_checkpoint("nano").video.config
    rules = load_checkpoint("nano", str(original)).video.config
    assert rules.box_margin == own.box_margin is not None
    assert rules.new_det_thresh == own.new_det_thresh
    # It was measured on features that SAM 2 does not see.
    assert own.reidentify_appearance is not None
    assert rules.reidentify_appearance is None


@pytest.mark.parametrize("hot_start", [0, 10])
def test_a_stream_from_pixels_to_track_state(detector, original, tmp_path, hot_start):
    engine = Engine(EngineOptions(str(detector), "cpu", tracker_from=str(original), hot_start=hot_start))
    assert isinstance(engine._tracker, MemoryTracker)
    stream = engine.open_stream(["dog", "cat"])
    images = scene(4)
    for index in range(3):
        [results] = engine.step([stream], [frame(index, images[index])])
    assert (results or engine.close_stream(stream))[-1].tracks
    engine.save_stream(stream, final=True).write(tmp_path / "state")
    resumed, events = engine.resume_stream(tmp_path / "state", ["dog", "cat"])
    assert events == []
    for one in (stream, resumed):
        engine.step([one], [frame(3, images[3])])
    assert stream.state.table.ids.tolist() == resumed.state.table.ids.tolist()
    other = Engine(EngineOptions("nano", "cpu", tracker_from=str(original)))
    with pytest.raises(ModelError, match="another model"):
        other.resume_stream(tmp_path / "state", ["dog"])


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_it_computes_in_the_precision_of_the_engine(detector, original, precision):
    options = EngineOptions(str(detector), "cpu", tracker_from=str(original), precision=precision)
    engine = Engine(options)
    stream = engine.open_stream(["dog"])
    for index, image in enumerate(scene(3)):
        [[result]] = engine.step([stream], [frame(index, image)])
    assert result.tracks
    kinds = {parameter.dtype for parameter in engine._tracker.propagation.model.parameters()}
    assert kinds == {torch.float32, getattr(torch, precision)}, "products alone are narrow"


def test_a_configuration_of_the_first_release(tiny_checkpoint, copy):
    """As facebook/sam2.1-hiera-tiny has it: an older name of the rotation's base."""
    change(copy, "rope_parameters", value=None)
    change(copy, "memory_attention_rope_theta", value=10000)
    config = load_checkpoint(str(tiny_checkpoint), str(copy)).video.tracker_model.config
    assert config.rope_parameters == {"rope_theta": 10000, "rope_type": "axial"}


BACKBONE = ("vision_config", "backbone_config")


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("image_size",), 256, "its image encoder makes other feature maps than its mask decoder reads"),
        (("image_size",), [128, 64], "cannot be built"),
        (("image_size",), 1 << 20, "must be from 1 to 4032"),
        (("memory_attention_rope_feat_sizes",), [64, 64], "memory_attention_rope_feat_sizes"),
        (("vision_config", "num_feature_levels"), 2, "other feature maps"),
        (("vision_config", "model_type"), "dinov2", "knows sam2_vision_model"),
        (("vision_config", "backbone_config", "model_type"), "bert", "knows sam2_hiera_det_model"),
        ((*BACKBONE, "blocks_per_stage"), [1, 1, 100_000, 1], "must be from -1 to 128"),
        ((*BACKBONE, "blocks_per_stage"), [1, 1, 128, 1], "do not belong together"),
        ((*BACKBONE, "blocks_per_stage"), [], "cannot be built"),
        ((*BACKBONE, "query_stride"), [0, 0], "cannot be built"),
        ((*BACKBONE, "window_size_per_stage"), [8, 0, 0, 0], "cannot be built"),
        ((*BACKBONE, "num_attention_heads_per_stage"), [0, 0, 0, 0], "cannot be built"),
        ((*BACKBONE, "window_positional_embedding_background_size"), [10_000, 10_000], "must be from 1 to 288"),
        ((*BACKBONE, "hidden_act"), "os.system", "is none of a model"),
    ],
)
def test_no_size_is_believed(tiny_checkpoint, copy, path, value, said):
    change(copy, *path, value=value)
    assert said in refusal(tiny_checkpoint, copy)


def test_nothing_else_of_a_configuration_is_read(tiny_checkpoint, copy):
    change(copy, "auto_map", value={"AutoModel": "evil.Model"})
    change(copy, *BACKBONE, "attn_implementation", value="someone/kernels")
    change(copy, "vision_config", "_attn_implementation", value="someone/kernels")
    model = load_checkpoint(str(tiny_checkpoint), str(copy)).video.tracker_model
    assert model.config.vision_config.backbone_config._attn_implementation == "sdpa"


def test_weights_that_are_missing_or_of_another_shape(tiny_checkpoint, copy):
    weights = load_file(copy / "model.safetensors")
    less = {key: tensor for key, tensor in weights.items() if "memory_encoder" not in key}
    save_file(less, copy / "model.safetensors", {"format": "pt"})
    assert "weights are missing (first: memory_encoder" in refusal(tiny_checkpoint, copy)
    weights["no_memory_embedding"] = torch.zeros(1, 1, 7)
    save_file(weights, copy / "model.safetensors", {"format": "pt"})
    assert "cannot be loaded" in refusal(tiny_checkpoint, copy)


def test_it_finds_nothing_by_a_phrase(original):
    with pytest.raises(ModelError, match="it is a sam2_video checkpoint"):
        load_checkpoint(str(original))


# Hiera's sizes as Transformers' own conversion script has them, and what the hub tells of `model.safetensors`.
HIERA = {
    "tiny": ({}, 469, 155_908_064),
    "small": ({"blocks_per_stage": [1, 2, 11, 2], "global_attention_blocks": [7, 10, 13]}, 517, 184_305_280),
    "base-plus": (
        {
            "hidden_size": 112,
            "embed_dim_per_stage": [112, 224, 448, 896],
            "num_attention_heads_per_stage": [2, 4, 8, 16],
            "blocks_per_stage": [2, 3, 16, 3],
            "global_attention_blocks": [12, 16, 20],
            "window_positional_embedding_background_size": [14, 14],
        },
        613,
        323_476_296,
    ),
    "large": (
        {
            "hidden_size": 144,
            "embed_dim_per_stage": [144, 288, 576, 1152],
            "num_attention_heads_per_stage": [2, 4, 8, 16],
            "blocks_per_stage": [2, 6, 36, 4],
            "global_attention_blocks": [23, 33, 43],
            "window_size_per_stage": [8, 4, 16, 8],
        },
        901,
        897_897_416,
    ),
}


@pytest.mark.parametrize("name", HIERA)
def test_the_published_sizes_pass_the_checks_and_fill_their_files(name):
    hiera, count, size = HIERA[name]
    channels = hiera.get("embed_dim_per_stage", [96, 192, 384, 768])[::-1]
    vision = {"backbone_config": hiera, "backbone_channel_list": channels, "model_type": "sam2_vision_model"}
    config = build_config({"model_type": "sam2_video", "image_size": 1024, "vision_config": vision}, name)
    with torch.device("meta"):
        tensors = Sam2VideoModel(config).state_dict()
    assert len(tensors) == count
    header, end = {"__metadata__": {"format": "pt"}}, 0
    for key in sorted(tensors):
        start, end = end, end + 4 * tensors[key].numel()
        header[key] = {"dtype": "F32", "shape": list(tensors[key].shape), "data_offsets": [start, end]}
    length = len(json.dumps(header, separators=(",", ":")))
    assert 8 + -(-length // 8) * 8 + end == size


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_two_frames_of_the_full_size_tracker(detector, tmp_path):
    """SAM 2.1-tiny with random weights: its file is as large as the published one."""
    torch.manual_seed(0)
    vision = {"model_type": "sam2_vision_model"}
    Sam2VideoModel(build_config({"model_type": "sam2_video", "vision_config": vision}, "tiny")).save_pretrained(
        tmp_path
    )
    assert (tmp_path / "model.safetensors").stat().st_size == HIERA["tiny"][2]
    engine = Engine(EngineOptions(str(detector), "cpu", tracker_from=str(tmp_path)))
    stream = engine.open_stream(["person"])
    for index, image in enumerate(scene(2)):
        [[result]] = engine.step([stream], [frame(index, image)])
        assert all(track.mask.size == (96, 160) for track in result.tracks)
    assert stream.state.table.spatial.values.shape[2:] == (64 * 64, 64)
    assert len(stream.state.table) > 0
