"""Words that a model does not know are told of before they find nothing."""

from __future__ import annotations

import logging
import tomllib
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from tests.paths import ROOT
from trackers.defaults import MODEL
from trackers.detection.checkpoint import load_checkpoint
from trackers.detection.text import TextEncoder
from trackers.detection.tokenizer import unknown_words


def test_words_outside_of_a_vocabulary_are_unknown() -> None:
    tokenizer = load_checkpoint("nano", weights=False).tokenizer
    assert unknown_words(tokenizer, "red circle") == ()
    assert unknown_words(tokenizer, "red car beside a car and a person") == ("car", "beside", "and", "person")


def test_a_tokenizer_of_bytes_knows_every_word() -> None:
    """As CLIP's, whose token for unknown words is the one that ends each text."""
    end = "<|endoftext|>"
    alphabet = [*sorted(pre_tokenizers.ByteLevel.alphabet()), end]
    core = Tokenizer(models.BPE({symbol: index for index, symbol in enumerate(alphabet)}, [], unk_token=end))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.post_processor = processors.TemplateProcessing(single=f"$A {end}", special_tokens=[(end, len(alphabet) - 1)])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, unk_token=end, eos_token=end)
    assert tokenizer("a").input_ids[-1] == tokenizer.unk_token_id
    assert unknown_words(tokenizer, "a zebra, 斑馬") == ()


def test_doubts_are_told_once_a_prompt(caplog: pytest.LogCaptureFixture) -> None:
    encoder = TextEncoder(load_checkpoint("nano"), torch.device("cpu"), torch.float32)
    with caplog.at_level(logging.WARNING):
        for prompt in ("red circle", "person", "person"):
            encoder.embed(prompt)
    (line,) = caplog.messages
    assert line.startswith("prompt 'person': the model nano does not know 'person' and may find nothing; use other")
    assert line.endswith("such as vil-uob/sam3-litetext-s0")


def test_a_list_within_one_prompt_is_asked_about(tiny_checkpoint: Path) -> None:
    checkpoint = load_checkpoint(str(tiny_checkpoint))
    assert checkpoint.doubt("dog") is None
    assert checkpoint.doubt("dog, cat") == (
        "prompt 'dog, cat': it is one phrase; if several were meant, give each as a prompt of its own"
    )


def test_the_documented_settings_name_the_default_model() -> None:
    settings = tomllib.loads((ROOT / "docs" / "cameras.toml").read_text(encoding="utf-8"))
    assert settings["model"]["name"] == MODEL
