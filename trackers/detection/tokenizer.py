"""Load the tokenizer of a checkpoint, and count the tokens of a prompt."""

from __future__ import annotations

from typing import Any

from maskcast.errors import ModelError, UsageError, reason_of
from trackers.detection.folder import MOST_BYTES, TOKENIZER, TOKENIZER_CONFIG, CheckpointFolder

_SPECIAL = ("bos_token", "eos_token", "unk_token", "pad_token")


def load_tokenizer(folder: CheckpointFolder, vocabulary: int) -> Any:
    """The tokenizer that `tokenizer.json` describes, a `PreTrainedTokenizerFast`; no class that a file names is used.

    Args:
        folder: of the checkpoint.
        vocabulary: tokens that the model knows.

    Raises:
        ModelError: there is none, it is damaged, or it has tokens that the model does not know.
    """
    import transformers

    try:
        file = folder.file(TOKENIZER, MOST_BYTES)
        given = folder.json(TOKENIZER_CONFIG)
    except FileNotFoundError as error:
        missing = TOKENIZER if TOKENIZER in str(error.filename) else TOKENIZER_CONFIG
        raise ModelError(
            f"no {missing} in it", where=f"model {folder.name}", advice="fetch the checkpoint again"
        ) from None
    if not isinstance(given, dict):
        raise ModelError(f"{TOKENIZER_CONFIG} cannot be read: no table", where=f"model {folder.name}")
    special = {}
    for key in _SPECIAL:
        token = given.get(key)
        token = token.get("content") if isinstance(token, dict) else token
        if isinstance(token, str):
            special[key] = token
    try:
        make: Any = transformers.PreTrainedTokenizerFast
        tokenizer = make(tokenizer_file=str(file), **special)
        highest = max(tokenizer.get_vocab().values(), default=0)
        tokenizer("a", padding="max_length", max_length=4)
    except BaseException as error:
        if not _is_damage(error):
            raise
        raise ModelError(f"its tokenizer cannot be loaded: {reason_of(error)}", where=f"model {folder.name}") from error
    if highest >= vocabulary:
        what = f"its tokenizer has {highest + 1} tokens and the model knows {vocabulary}"
        raise ModelError(f"{what}: they do not belong together", where=f"model {folder.name}")
    return tokenizer


def check_prompt(tokenizer: Any, context: int, longest: int, prompt: str) -> None:
    """Refuse a prompt that the model cannot read.

    Args:
        tokenizer: of the checkpoint.
        context: tokens that are read, start and end included.
        longest: what `context` could be.
        prompt: without blanks around it.

    Raises:
        UsageError: it is empty, longer than the context, or nothing that the tokenizer takes.
    """
    if not prompt:
        raise UsageError("the prompt is empty", advice="say what to look for, for example --prompt person")
    try:
        tokens = len(tokenizer(prompt).input_ids)
    except BaseException as error:
        if not _is_damage(error):
            raise
        what = f"the tokenizer cannot read the prompt {prompt[:60]!r}"
        raise UsageError(what, advice="write it in other words") from error
    if tokens > context:
        bound = f"{tokens} tokens, the context is {context} (start and end included)"
        advice = f"shorten it, or set context_tokens to {longest}" if context < longest else "shorten it"
        raise UsageError(f"prompt too long: {bound}: {prompt[:60]!r}", advice=advice)


def unknown_words(tokenizer: Any, prompt: str) -> tuple[str, ...]:
    """The words of a readable prompt that the tokenizer maps to its token for unknown ones, each once; no punctuation.

    Tokenizers that read every text by its bytes, as those of the full-size checkpoints, have none.
    """
    encoding = tokenizer(prompt, return_offsets_mapping=True)
    read = zip(encoding.input_ids, encoding.offset_mapping, strict=True)
    # Start and end, which stand for nothing in the text, may have the same token as what is unknown.
    words = [prompt[start:end] for token, (start, end) in read if token == tokenizer.unk_token_id and start < end]
    return tuple(dict.fromkeys(word for word in words if any(map(str.isalnum, word))))


def _is_damage(error: BaseException) -> bool:
    """Errors, and the panics of Rust, which are no `Exception`."""
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"
