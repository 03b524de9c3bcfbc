"""What becomes of a prompt at each length, against Transformers and against the authors' computation written out."""

import pytest
import torch
from torch.nn.functional import interpolate

from maskcast.errors import UsageError
from tests import tiny
from trackers.defaults import CONTEXT_TOKENS
from trackers.detection.checkpoint import load_checkpoint
from trackers.detection.context import context_length, longest_context
from trackers.detection.text import TextEncoder, cache_folder

CPU = torch.device("cpu")


def encoder(folder, tokens):
    return TextEncoder(load_checkpoint(str(folder), context_tokens=tokens), CPU, torch.float32)


def through_the_layers(model, ids, positions, mask):
    """The text encoder and its projection, written out; ``mask`` hides keys from attention."""
    text = model.text_encoder
    states = text.embeddings.token_embedding(ids) + positions
    for layer in text.layers:
        states = layer(states, attention_mask=mask)
    return model.text_projection(text.final_layer_norm(states))[0]


@pytest.mark.parametrize("prompt", ["cat", "red ball", "x" * 14])
def test_sixteen_tokens_are_read_as_the_authors_do(tiny_checkpoint, prompt):
    """The first sixteen rows of the table, padding of id 0, and attention that sees the padding."""
    embedding = encoder(tiny_checkpoint, 16).embed(prompt)
    model, words = tiny.model(), tiny.tokenizer()(prompt).input_ids
    ids = torch.tensor([words + [0] * (16 - len(words))])
    rows = model.text_encoder.embeddings.position_embedding.position_embedding[0, :, :16]
    with torch.inference_mode():
        expected = through_the_layers(model, ids, rows, None)
    torch.testing.assert_close(embedding.features, expected, atol=1e-5, rtol=1e-5)
    assert embedding.mask.tolist() == [token != 0 for token in ids[0].tolist()]


@pytest.mark.parametrize("tokens", [32, 77])
def test_other_lengths_are_read_as_transformers_does(tiny_checkpoint, tokens):
    """All rows, interpolated; the tokenizer's own padding, which attention does not see."""
    embedding = encoder(tiny_checkpoint, tokens).embed("red ball")
    model = tiny.model()
    given = tiny.tokenizer()("red ball", padding="max_length", max_length=tokens, return_tensors="pt")
    table = model.text_encoder.embeddings.position_embedding.position_embedding
    rows = interpolate(table, size=(tokens, table.shape[-1]), mode="bilinear")[0]
    with torch.inference_mode():
        expected = through_the_layers(model, given.input_ids, rows, given.attention_mask.bool()[:, None, None])
    torch.testing.assert_close(embedding.features, expected, atol=1e-5, rtol=1e-5)
    assert torch.equal(embedding.mask, given.attention_mask[0].bool())


def test_each_length_has_its_own_cache(tiny_checkpoint):
    for tokens in (16, 32, 77):
        text = encoder(tiny_checkpoint, tokens)
        assert len(text.embed("cat").mask) == tokens
        assert text.encoded == 1
    for tokens in (16, 32, 77):
        text = encoder(tiny_checkpoint, tokens)
        text.embed("cat")
        assert text.encoded == 0
    assert len(list(cache_folder().rglob("*.safetensors"))) == 3


def test_the_refusal_names_the_context_in_force(tiny_checkpoint):
    text = encoder(tiny_checkpoint, 16)
    with pytest.raises(UsageError, match=r"too long: 17 tokens, the context is 16 .*set context_tokens to 77"):
        text.embed("x" * 15)
    with pytest.raises(UsageError, match=r"too long: 82 tokens, the context is 77 .*shorten it$"):
        encoder(tiny_checkpoint, 77).embed("x" * 80)


@pytest.mark.parametrize(
    ("positions", "asked", "read", "longest"),
    [
        (77, 16, 16, 77),
        (77, 32, 32, 77),
        (77, 77, 77, 77),
        (40, 32, 32, 32),
        (32, CONTEXT_TOKENS, 32, 32),  # SAM 3's own
        (16, CONTEXT_TOKENS, 16, 16),  # nano
        (16, 16, 16, 16),
    ],
)
def test_a_short_table_is_read_whole(positions, asked, read, longest):
    assert context_length(positions, asked, "some") == read
    assert longest_context(positions) == longest


@pytest.mark.parametrize(("positions", "asked"), [(32, 16), (32, 77), (16, 77), (40, 77)])
def test_a_length_that_a_model_does_not_have_is_refused(positions, asked):
    with pytest.raises(UsageError, match=rf"model some reads prompts of (at most )?{positions} tokens, not of {asked}"):
        context_length(positions, asked, "some")


def test_nano_keeps_its_own():
    assert load_checkpoint("nano", weights=False).context_length == 16
    with pytest.raises(UsageError, match="16 tokens, not of 77"):
        load_checkpoint("nano", context_tokens=77, weights=False)
