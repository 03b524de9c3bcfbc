"""A prompt becomes tokens, and these the features that the detector reads, at the length that is asked for.

The length matters: LiteText's first and last layers mix neighbouring tokens, padding among them, and its positions are
stretched or cut to it.
"""

from __future__ import annotations

from typing import Any, get_args

import torch
from torch import Tensor
from torch.func import functional_call

from maskcast.errors import UsageError
from trackers.defaults import CONTEXT_TOKENS, ContextTokens
from trackers.detection.architecture import DETECTOR_TYPE

# What the authors' code pads with, and takes for padding afterwards: `SimpleTokenizer` in `tokenizer_ve.py`,
# `TextStudentEncoder.forward` in `text_encoder_student.py` of SimonZeng7108/efficientsam3.
AUTHORS_TOKENS = 16
_AUTHORS_PADDING = 0
_POSITIONS = "embeddings.position_embedding.position_embedding"


def context_length(positions: int, asked: int, name: str) -> int:
    """Tokens that a text encoder reads, start and end included.

    Args:
        positions: rows of its table. LiteText's 77 are those that MobileCLIP began with; of them a shorter context is
            made. A table of `CONTEXT_TOKENS` or less, such as SAM 3's own, is as long as its prompts were in training.
        asked: see `EngineOptions.context_tokens`.
        name: of the checkpoint, for messages.

    Raises:
        UsageError: it cannot read prompts of that length.
    """
    if positions <= CONTEXT_TOKENS:
        if asked not in {CONTEXT_TOKENS, positions}:
            what = f"model {name} reads prompts of {positions} tokens, not of {asked}"
            raise UsageError(what, advice="leave context_tokens out")
        return positions
    if asked > positions:
        what = f"model {name} reads prompts of at most {positions} tokens, not of {asked}"
        raise UsageError(what, advice=f"use context_tokens {CONTEXT_TOKENS}")
    return asked


def longest_context(positions: int) -> int:
    """The longest that can be asked for; see `context_length`."""
    return positions if positions <= CONTEXT_TOKENS else max(n for n in get_args(ContextTokens) if n <= positions)


@torch.inference_mode()
def encode_prompt(detector: Any, tokenizer: Any, prompt: str, tokens: int) -> tuple[Tensor, Tensor]:
    """Run the text encoder.

    16 tokens of a longer table are read as LiteText's authors do: the first rows of the table, padding of id 0 that
    the encoder does not know from words and the detector does not see. All other lengths as `Sam3Processor` and
    `get_text_features` of Transformers do: the whole table interpolated, the tokenizer's own padding, hidden from
    attention.

    Args:
        detector: a `Sam3LiteTextModel` or `Sam3Model`, whose text encoder is on the CPU.
        tokenizer: of the same checkpoint.
        prompt: that fits.
        tokens: see `context_length`.

    Returns:
        ``(L, C)`` float32 features, projected to the detector's hidden size, and ``(L,)`` bool, False for padding.
    """
    lite = detector.config.model_type == DETECTOR_TYPE
    if lite and tokens == AUTHORS_TOKENS < detector.config.text_config.max_position_embeddings:
        return _as_the_authors(detector, tokenizer(prompt).input_ids)
    given = tokenizer(prompt, padding="max_length", max_length=tokens, return_tensors="pt")
    mask = given.attention_mask.bool()
    output = detector.get_text_features(input_ids=given.input_ids, attention_mask=mask, return_dict=True)
    return output.pooler_output[0].float().contiguous(), mask[0]


def _as_the_authors(detector: Any, words: list[int]) -> tuple[Tensor, Tensor]:
    ids = torch.full((1, AUTHORS_TOKENS), _AUTHORS_PADDING)
    ids[0, : len(words)] = torch.tensor(words)
    encoder = detector.text_encoder
    rows = encoder.get_parameter(_POSITIONS)[:, :, :AUTHORS_TOKENS]
    output = functional_call(encoder, {_POSITIONS: rows}, kwargs={"input_ids": ids, "return_dict": True})
    features = detector.text_projection(output.last_hidden_state)
    return features[0].float().contiguous(), ids[0] != _AUTHORS_PADDING
