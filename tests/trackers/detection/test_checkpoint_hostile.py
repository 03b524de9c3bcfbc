"""Checkpoints from anywhere: no code of theirs runs, nothing outside their folder is read, no size is believed."""

import json
import os
import resource
import shutil
import struct
import sys
import threading
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from maskcast.errors import ModelError
from trackers.detection.checkpoint import load_checkpoint
from trackers.detection.location import NotFetchedError


@pytest.fixture
def copy(tiny_checkpoint, tmp_path):
    return shutil.copytree(tiny_checkpoint, tmp_path / "model")


def refusal(name, tracker_from=None):
    """What both a run and a check say."""
    said = []
    for weights in (True, False):
        with pytest.raises(ModelError) as caught:
            load_checkpoint(str(name), tracker_from, weights=weights)
        said.append(str(caught.value))
    assert said[0] == said[1]
    assert "\n" not in said[0]
    return said[0]


def change(folder, *path, value, file="config.json"):
    """Set one key of a JSON file."""
    whole = json.loads((folder / file).read_text())
    table = whole
    for key in path[:-1]:
        table = table[key]
    table[path[-1]] = value
    (folder / file).write_text(json.dumps(whole))


def divided(folder, names, weight_map=None):
    """Replace the weights by parts of these names, and an index."""
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    keys = sorted(tensors)
    found = {}
    for number, name in enumerate(names):
        part = {key: tensors[key] for key in keys[number :: len(names)]}
        save_file(part, folder / name, {"format": "pt"})
        found |= dict.fromkeys(part, name)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map or found}))
    return tensors


class Trap:
    """Unpickled, it makes a file."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return Path.touch, (self.file,)


# Which files are read


def test_a_divided_checkpoint_is_the_same(copy, tiny_checkpoint):
    divided(copy, ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"])
    whole, parts = load_checkpoint(str(tiny_checkpoint)).detector, load_checkpoint(str(copy)).detector
    assert all(torch.equal(value, parts.state_dict()[name]) for name, value in whole.state_dict().items())


@pytest.mark.parametrize(
    "name",
    [
        "pytorch_model.bin",
        "../outside.safetensors",
        "{outside}",
        "other.safetensors",
        "sub/model-00001-of-00001.safetensors",
        "model-00001-of-00001.safetensors/../x.bin",
        "",
    ],
)
def test_an_index_may_name_nothing_but_parts_beside_it(copy, tmp_path, name):
    marker = tmp_path / "ran"
    outside = tmp_path / "outside.safetensors"
    shutil.copy(copy / "model.safetensors", outside)
    name = name.format(outside=outside)
    tensors = divided(copy, ["model-00001-of-00001.safetensors"])
    torch.save({"x": Trap(marker)}, copy / "pytorch_model.bin")
    change(copy, "weight_map", value=dict.fromkeys(tensors, name), file="model.safetensors.index.json")
    assert "only files such as model-00001-of-00002.safetensors beside it" in refusal(copy)
    assert not marker.exists()


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"weight_map": 3}', '{"weight_map": {}}', "[" * 100_000])
def test_a_damaged_index(copy, content):
    (copy / "model.safetensors").unlink()
    (copy / "model.safetensors.index.json").write_text(content)
    assert "model.safetensors.index.json" in refusal(copy)


def test_a_part_that_is_missing_is_named(copy):
    divided(copy, ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"])
    (copy / "model-00002-of-00002.safetensors").unlink()
    assert "model-00002-of-00002.safetensors is missing; fetch the checkpoint again" in refusal(copy)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"])
def test_links_that_lead_out_of_the_folder(copy, tmp_path, name):
    (copy / name).rename(tmp_path / name)
    (copy / name).symlink_to(tmp_path / name)
    assert f"{name} is a link that leads out of its folder" in refusal(copy)


def test_the_links_of_a_hubs_cache_are_followed_and_no_others(tiny_checkpoint, tmp_path):
    snapshot = tmp_path / "hub" / "models--some--one" / "snapshots" / "abc"
    blobs = snapshot.parent.parent / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for number, file in enumerate(sorted(tiny_checkpoint.iterdir())):
        shutil.copy(file, blobs / str(number))
        (snapshot / file.name).symlink_to(Path("../../blobs") / str(number))
    assert load_checkpoint(str(snapshot)).kind == "sam3_lite_text"
    (tmp_path / "model").symlink_to(snapshot)
    assert load_checkpoint(str(tmp_path / "model"), weights=False).kind == "sam3_lite_text"
    shutil.copy(tiny_checkpoint / "config.json", tmp_path / "hub" / "foreign")
    (snapshot / "config.json").unlink()
    (snapshot / "config.json").symlink_to(tmp_path / "hub" / "foreign")
    assert "leads out of its folder" in refusal(snapshot)


def test_what_a_fetch_has_not_brought_yet_is_not_called_wrong(tiny_checkpoint, tmp_path, monkeypatch):
    snapshot = tmp_path / "models--some--one" / "snapshots" / "abc"
    shutil.copytree(tiny_checkpoint, snapshot)
    (snapshot.parent.parent / "refs").mkdir()
    (snapshot.parent.parent / "refs" / "main").write_text("abc")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert load_checkpoint("some/one", weights=False).kind == "sam3_lite_text"
    divided(snapshot, ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"])
    for name in ("model-00002-of-00002.safetensors", "model.safetensors.index.json", "config.json"):
        assert load_checkpoint("some/one", weights=False).kind == "sam3_lite_text"
        aside = (snapshot / name).rename(tmp_path / name)
        with pytest.raises(NotFetchedError, match="not whole in the cache"):
            load_checkpoint("some/one", weights=False)
        aside.rename(snapshot / name)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"])
def test_links_in_a_circle(copy, name):
    (copy / name).unlink()
    (copy / name).symlink_to(name)
    assert f"{name} cannot be read: its links go in a circle" in refusal(copy)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"])
def test_pipes_are_not_opened(copy, name):
    (copy / name).unlink()
    os.mkfifo(copy / name)
    said = []
    worker = threading.Thread(target=lambda: said.append(refusal(copy)), daemon=True)
    worker.start()
    worker.join(120)
    assert f"{name} is not a regular file" in said[0]


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json"])
def test_files_that_are_too_large_are_not_read(copy, name):
    with (copy / name).open("r+b") as file:
        file.truncate(1 << 40)  # a hole, which takes no room
    assert f"{name} is larger than" in refusal(copy)


def test_the_revision_covers_every_file_that_is_loaded(copy):
    divided(copy, ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"])
    seen = {load_checkpoint(str(copy)).revision}
    for file in sorted(copy.glob("*.json")):
        if "index" not in file.name:
            file.write_text(file.read_text() + " ")
            seen.add(load_checkpoint(str(copy)).revision)
    part = copy / "model-00002-of-00002.safetensors"
    save_file({name: value + 1 for name, value in load_file(part).items()}, part, {"format": "pt"})
    seen.add(load_checkpoint(str(copy)).revision)
    assert len(seen) == 5


def test_only_the_commit_of_a_real_hub_cache_stands_for_the_files(copy, tmp_path):
    folder = tmp_path / "snapshots" / "main"
    shutil.copytree(copy, folder)
    before = load_checkpoint(str(folder)).revision
    weights = load_file(folder / "model.safetensors")
    save_file({name: value + 1 for name, value in weights.items()}, folder / "model.safetensors", {"format": "pt"})
    assert load_checkpoint(str(folder)).revision not in {before, "main"}


def test_a_folder_is_loaded_without_the_network(copy, monkeypatch):
    change(copy, "_name_or_path", value="someone/else")
    (copy / "adapter_config.json").write_text('{"base_model_name_or_path": "someone/else"}')
    asked = []
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("socket.getaddrinfo", lambda *name, **_: asked.append(name))
    monkeypatch.setattr("socket.socket.connect", lambda _, address: asked.append(address))
    for weights in (True, False):
        assert load_checkpoint(str(copy), weights=weights).tokenizer("person").input_ids
    assert asked == []


# What a configuration may say

CODE = {"AutoConfig": "trap.Config", "AutoModel": "trap.Model", "AutoTokenizer": ["trap.Slow", "trap.Fast"]}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["auto_map"], CODE),
        (["attn_implementation"], "someone/kernel"),
        (["_attn_implementation"], "someone/kernel:revision"),
        (["attn_implementation"], {"": "someone/kernel", "vision_config": "flash_attention_2"}),
        (["vision_config", "_attn_implementation"], "someone/kernel"),
        (["vision_config", "backbone_config", "attn_implementation"], "flash_attention_2"),
        (["experts_implementation"], "someone/kernel"),
        (["dtype"], "os.system"),
        (["torch_dtype"], "__import__('os')"),
        (["text_config", "quantization_config"], {"quant_method": "bitsandbytes", "load_in_4bit": True}),
        (["fusion_config"], {"patch_embeddings": True}),
        (["transformers_weights"], "../outside.safetensors"),
        (["base_model_tp_plan"], {"x": "y"}),
        (["revision"], "evil"),
        (["_name_or_path"], "someone/else"),
        (["return_dict"], False),
        (["trust_remote_code"], True),
        (["num_labels"], 10**12),
        (["vision_config", "use_timm_backbone"], True),
        (["vision_config", "backbone"], "someone/else"),
        (["text_config", "auto_map"], CODE),
    ],
)
def test_what_could_lead_to_other_code_or_files_has_no_effect(copy, tiny_checkpoint, monkeypatch, path, value):
    (copy / "trap.py").write_text("raise SystemExit('ran')")
    (copy / "adapter_config.json").write_text('{"base_model_name_or_path": "someone/else"}')
    (copy / "chat_template.jinja").write_text("{{ 1 }}")
    change(copy, "auto_map", value=CODE, file="tokenizer_config.json")
    change(copy, "tokenizer_class", value="../trap.Tokenizer", file="tokenizer_config.json")
    change(copy, *path, value=value)
    before = set(sys.modules)
    found = load_checkpoint(str(copy), weights=False)
    assert not {name for name in set(sys.modules) - before if "trap" in name or "kernels" in name or "timm" in name}
    own = load_checkpoint(str(tiny_checkpoint), weights=False)
    assert found.detector.config._attn_implementation == own.detector.config._attn_implementation == "sdpa"
    assert found.detector.state_dict().keys() == own.detector.state_dict().keys()
    assert found.detector.config.return_dict


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["text_config", "vocab_size"], 10**9),
        (["text_config", "num_hidden_layers"], 10**6),
        (["text_config", "max_position_embeddings"], 10**8),
        (["text_config", "hidden_size"], 1 << 40),
        (["text_config", "hidden_size"], 0),
        (["text_config", "hidden_size"], -64),
        (["text_config", "hidden_size"], 1e300),
        (["text_config", "hidden_act"], "os.system"),
        (["text_config", "hidden_act"], ["gelu"]),
        (["vision_config", "backbone_config", "image_size"], 1_000_000),
        (["vision_config", "backbone_config", "image_size"], [100_000, 100_000]),
        (["vision_config", "backbone_config", "patch_size"], 0),
        (["vision_config", "backbone_config", "intermediate_size"], 10**7),
        (["vision_config", "backbone_config", "num_hidden_layers"], 1000),
        (["vision_config", "backbone_config", "num_channels"], 10**7),
        (["vision_config", "backbone_config", "rope_parameters"], {"rope_type": "../x"}),
        (["vision_config", "backbone_config", "model_type"], "bert"),
        (["vision_config", "backbone_feature_sizes"], [[1] * 4096] * 4096),
        (["vision_config", "model_type"], "timm_wrapper"),
        (["vision_config", "layer_norm_eps"], float("nan")),
        (["vision_config"], 3),
        (["detr_decoder_config", "num_queries"], 10**9),
        (["detr_decoder_config", "num_attention_heads"], 0),
        (["geometry_encoder_config", "roi_size"], 10**5),
        (["mask_decoder_config", "num_upsampling_stages"], 10**4),
    ],
)
def test_numbers_of_no_real_model_are_refused_before_anything_is_allocated(copy, path, value):
    change(copy, *path, value=value)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert "config.json" in refusal(copy)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # KiB


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["tracker_config", "model_type"], "sam2_video"),
        (["tracker_config", "memory_attention_num_layers"], 10**5),
        (["tracker_config", "max_cond_frame_num"], 10**6),
        (["tracker_config", "num_maskmem"], 10**6),
        (["tracker_config", "mask_decoder_config", "num_multimask_outputs"], 90_000),
        (["tracker_config", "mask_downsampler_stride"], 1),
        (["low_res_mask_size"], 10**6),
        (["det_nms_thresh"], float("inf")),
        (["max_tracks"], 10**4),
        (["confirm_after"], [3]),
        (["box_margin"], True),
        (["select_memories"], 3),
    ],
)
def test_numbers_of_a_tracker_likewise(video_checkpoint, tmp_path, path, value):
    folder = shutil.copytree(video_checkpoint, tmp_path / "video")
    change(folder, *path, value=value)
    assert "config.json" in refusal(folder)


def test_sizes_whose_product_is_too_large(copy):
    for path in (["text_config", "num_hidden_layers"], ["vision_config", "backbone_config", "num_hidden_layers"]):
        change(copy, *path, value=128)
    change(copy, "text_config", "intermediate_size", value=16_384)
    change(copy, "vision_config", "backbone_config", "intermediate_size", value=16_384)
    change(copy, "text_config", "vocab_size", value=900_000)
    assert "they do not belong together" in refusal(copy)


@pytest.mark.parametrize("text", ["[" * 200_000, "9" * 10_000, '{"model_type": ["sam3_lite_text"]}', '"\\ud800"', "\0"])
def test_a_config_that_is_none(copy, text):
    (copy / "config.json").write_text(text)
    assert "config.json cannot be read" in refusal(copy)


# Weights


def header(file, text, length=None):
    """A safetensors file with this header and no data."""
    data = text.encode()
    file.write_bytes(struct.pack("<Q", len(data) if length is None else length) + data)


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("{}", 1 << 62),
        ("", None),
        ("[]", None),
        ('{"x": {"dtype": "F32", "shape": [1000000000000], "data_offsets": [0, 4000000000000]}}', None),
        ('{"x": {"dtype": "F32", "shape": [4], "data_offsets": [16, 0]}}', None),
        ("[" * 1000, None),
    ],
)
def test_headers_are_not_believed(copy, text, length):
    header(copy / "model.safetensors", text, length)
    assert "model.safetensors is damaged or cut off" in refusal(copy)


def test_quantized_weights_are_refused(copy):
    weights = load_file(copy / "model.safetensors")
    name = next(name for name, value in weights.items() if value.ndim > 1)
    weights[name] = weights[name].to(torch.float8_e4m3fn)
    save_file(weights, copy / "model.safetensors", {"format": "pt"})
    assert "is not quantized" in refusal(copy)


def test_weights_of_another_shape_are_named(copy):
    weights = load_file(copy / "model.safetensors")
    weights["detr_decoder.query_embed.weight"] = torch.zeros(3, 3)
    save_file(weights, copy / "model.safetensors", {"format": "pt"})
    assert "1 weights are missing or of another shape (first: ('detr_decoder.query_embed.weight'" in refusal(copy)


# Tokenizer


@pytest.mark.parametrize("content", ["{", "[]", "{}", "null", '{"version": "1.0", "model": {"type": "BPE"}}'])
def test_a_damaged_tokenizer(copy, content):
    (copy / "tokenizer.json").write_text(content)
    assert "its tokenizer cannot be loaded" in refusal(copy)


def test_a_tokenizer_with_tokens_that_the_model_does_not_know(copy):
    change(copy, "model", "vocab", "word", value=64, file="tokenizer.json")
    assert "its tokenizer has 65 tokens and the model knows 64" in refusal(copy)
