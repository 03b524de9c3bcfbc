"""Weights that bear the model's own names are put in their places as Transformers would, without asking it."""

import json
import shutil
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from tests import tiny
from trackers.detection import checkpoint
from trackers.detection.checkpoint import load_checkpoint
from trackers.detection.filling import fill
from trackers.detection.folder import CheckpointFolder
from trackers.detection.weights import Weights


def model_of(name) -> Any:
    found = load_checkpoint(str(name))
    return found.video or found.detector


def assert_same(ours, theirs):
    """Weights, tables, and how attention is computed."""
    tensors, others = ({**model.state_dict(), **dict(model.named_buffers())} for model in (ours, theirs))
    assert tensors.keys() == others.keys()
    for name, tensor in tensors.items():
        assert tensor.dtype == others[name].dtype
        assert torch.equal(tensor, others[name]), name
    for mine, their in zip(ours.modules(), theirs.modules(), strict=True):
        assert type(mine) is type(their)
        if hasattr(mine, "config"):
            assert mine.config._attn_implementation == their.config._attn_implementation == "sdpa"
        assert not mine.training
    assert not any(parameter.requires_grad for parameter in ours.parameters())


def unasked(*_):
    raise AssertionError("Transformers would have to rename")


@pytest.fixture(scope="module")
def narrow(tmp_path_factory):
    """A checkpoint in half precision with a full text encoder, as it is published."""
    folder = tmp_path_factory.mktemp("models") / "narrow"
    tiny.save(folder, full=True)
    save(folder, {name: value.half() for name, value in load_file(folder / "model.safetensors").items()})
    return folder


def save(folder, weights):
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


@pytest.mark.parametrize("which", ["nano", "tiny_checkpoint", "video_checkpoint", "narrow"])
def test_it_is_what_transformers_makes_of_it(request, monkeypatch, which):
    name = "nano" if which == "nano" else request.getfixturevalue(which)
    with monkeypatch.context() as patched:
        patched.setattr(checkpoint, "_renamed", unasked)
        ours = model_of(name)
    monkeypatch.setattr(checkpoint, "fill", lambda *_: False)
    assert_same(ours, model_of(name))


@pytest.mark.parametrize("prefix", ["tracker_model.", "tracker_model.tracker_model."])
def test_both_layouts_of_a_tracker(video_checkpoint, tmp_path, monkeypatch, prefix):
    """`save_pretrained` of some releases writes its prefix twice."""
    folder = shutil.copytree(video_checkpoint, tmp_path / "video")
    weights = load_file(folder / "model.safetensors")
    first = "tracker_model."
    bare = {name.removeprefix(first).removeprefix(first): name for name in weights if name.startswith(first)}
    renamed = {prefix + name: weights.pop(old) for name, old in bare.items()}
    save(folder, weights | renamed)
    monkeypatch.setattr(checkpoint, "_renamed", unasked)
    assert_same(model_of(folder), model_of(video_checkpoint))


def test_other_names_that_transformers_knows_are_still_read(tiny_checkpoint, tmp_path):
    folder = shutil.copytree(tiny_checkpoint, tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    save(folder, {f"detector_model.{name}": value for name, value in weights.items()})
    assert_same(model_of(folder), model_of(tiny_checkpoint))


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 3)
        self.register_buffer("count", torch.zeros(1, dtype=torch.int64))
        self.register_buffer("table", torch.arange(3), persistent=False)


WEIGHTS = {"layer.weight": torch.ones(3, 2).half(), "layer.bias": torch.zeros(3), "count": torch.tensor([7])}


def small(folder, weights, table=None):
    (folder / "config.json").write_text(json.dumps({}))
    save(folder, weights)
    with torch.device("meta"):
        model = Small()
    if table is not None:
        model.table = table
    return model, fill(model, Weights(CheckpointFolder("small", folder)))


def test_weights_get_the_models_types_and_what_it_does_not_have_is_left(tmp_path):
    model, filled = small(tmp_path, WEIGHTS | {"more": torch.ones(4)}, table := torch.arange(3))
    assert filled
    assert torch.equal(model.layer.weight, torch.ones(3, 2))
    assert model.layer.weight.dtype == torch.float32
    assert model.count.tolist() == [7]
    assert model.table is table


@pytest.mark.parametrize(
    ("changed", "table"),
    [
        ({"layer.bias": None}, torch.arange(3)),
        ({"layer.bias": torch.zeros(2)}, torch.arange(3)),
        ({"layer.bias": None, "layer.offset": torch.zeros(3)}, torch.arange(3)),
        ({}, None),
    ],
    ids=["missing", "another shape", "another name", "a table that is not there"],
)
def test_what_does_not_fit_changes_nothing(tmp_path, changed, table):
    weights = {name: value for name, value in (WEIGHTS | changed).items() if value is not None}
    model, filled = small(tmp_path, weights, table)
    assert not filled
    assert all(tensor.is_meta for tensor in model.state_dict().values())
