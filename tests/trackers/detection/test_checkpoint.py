import json
import logging
import shutil
from dataclasses import fields

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers.utils.logging import EmptyTqdm, set_tqdm_hook, tqdm

from maskcast.errors import ModelError
from trackers.detection.checkpoint import load_checkpoint, quiet_transformers
from trackers.hub.name import EMBEDDED
from trackers.rules import Rules


@pytest.fixture
def copy(tiny_checkpoint, tmp_path):
    return shutil.copytree(tiny_checkpoint, tmp_path / "model")


def error_of(name):
    with pytest.raises(ModelError) as caught:
        load_checkpoint(str(name))
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 5
    return str(caught.value)


def test_loads(tiny_checkpoint):
    checkpoint = load_checkpoint(str(tiny_checkpoint))
    assert not checkpoint.detector.training
    assert checkpoint.video is None
    assert load_checkpoint(str(tiny_checkpoint)).revision == checkpoint.revision


def test_other_weights_have_another_revision(tiny_checkpoint, copy):
    weights = load_file(copy / "model.safetensors")
    save_file({name: value + 1 for name, value in weights.items()}, copy / "model.safetensors", {"format": "pt"})
    assert load_checkpoint(str(copy)).revision != load_checkpoint(str(tiny_checkpoint)).revision


def test_unknown_id_without_network_says_how_to_get_it():
    message = error_of("someone/unknown-model")
    assert "hf download someone/unknown-model" in message
    assert "copy FOLDER here and give it in place of the name" in message


@pytest.mark.parametrize(
    "name", ["./nowhere", "/nowhere/at/all", "three/part/name", "word", "~nobody-of-that-name/model", "long" * 1000]
)
def test_no_such_folder(name):
    assert "no such folder" in error_of(name)


def test_another_architecture(copy):
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"model_type": "bert"}))
    assert "it is a bert checkpoint; Maskcast needs sam3_lite_text" in error_of(copy)


def test_a_video_model_with_another_detector(copy):
    (copy / "config.json").write_text(
        json.dumps({"model_type": "sam3_video", "detector_config": {"model_type": "owlv2"}})
    )
    assert "its detector is owlv2" in error_of(copy)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", "null"])
def test_damaged_configuration(copy, content):
    (copy / "config.json").write_text(content)
    assert "config.json cannot be read" in error_of(copy)


def test_no_configuration(tmp_path):
    assert "holds no config.json" in error_of(tmp_path)


def test_pickled_weights_are_not_loaded(copy):
    weights = load_file(copy / "model.safetensors")
    (copy / "model.safetensors").unlink()
    torch.save(weights, copy / "pytorch_model.bin")
    assert "safetensors" in error_of(copy)


def test_truncated_weights(copy):
    file = copy / "model.safetensors"
    file.write_bytes(file.read_bytes()[:5000])
    assert "cannot be loaded" in error_of(copy)


def test_missing_weights(copy):
    weights = load_file(copy / "model.safetensors")
    weights.pop("detr_decoder.query_embed.weight")
    save_file(weights, copy / "model.safetensors", {"format": "pt"})
    assert "1 weights are missing" in error_of(copy)


def test_no_tokenizer(copy):
    for file in copy.glob("tokenizer*"):
        file.unlink()
    error_of(copy)


def test_the_rules_that_a_checkpoint_sets_are_kept():
    """`nano` was measured with its own (trackers/nano/README.md); the library knows nothing of them."""
    stored = json.loads((EMBEDDED["nano"] / "config.json").read_text(encoding="utf-8"))
    own = {field.name for field in fields(Rules)} & stored.keys()
    assert {"box_margin", "reidentify_appearance", "select_memories"} <= own
    rules = Rules.from_config(load_checkpoint("nano").video.config)
    assert {name: getattr(rules, name) for name in own} == {name: stored[name] for name in own}


def test_the_library_is_quiet_for_a_while_and_then_as_it_was(monkeypatch):
    library = logging.getLogger("transformers")
    monkeypatch.setattr(library, "level", logging.INFO)
    bars = []
    before = set_tqdm_hook(lambda factory, arguments, options: bars.append(factory))
    try:
        with quiet_transformers():
            assert library.level == logging.ERROR
            assert isinstance(tqdm([1]), EmptyTqdm)
        assert library.level == logging.INFO
        assert bars == []
        tqdm([1])
        assert len(bars) == 1
    finally:
        set_tqdm_hook(before)
