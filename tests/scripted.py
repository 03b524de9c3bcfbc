"""A detector that finds what it is told: the same for the reference and for us, so that trackers can be compared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from trackers.detection.detector import Detector, Found
from trackers.detection.text import TextEmbedding


@dataclass
class Script:
    """What the detector finds in the current frame: for each prompt, scores and mask logits ``(h, w)``."""

    found: list[list[tuple[float, NDArray[np.float32]]]] = field(default_factory=list)


@dataclass(frozen=True)
class _Output:
    pred_logits: Tensor
    presence_logits: Tensor
    pred_masks: Tensor
    pred_boxes: Tensor


@contextmanager
def scripted(detector: nn.Module, embeddings: Sequence[Tensor], size: int, *, work: bool = False) -> Iterator[Script]:
    """Let `detector` find what the script says; it knows a prompt by its text embedding.

    Args:
        detector: whose forward is replaced, and that of our own `Detector`s on its weights.
        embeddings: ``(L, C)`` text features of each prompt, by which it is known.
        size: side of the masks.
        work: let the detector find something itself first, and forget it: for those who measure time. Ours then makes
            as many masks as the script has named last, as if it had found what is being followed.
    """
    script = Script()
    queries = 40
    itself, ours = detector.forward, Detector._find
    like = embeddings[0]
    followed = [0] * len(embeddings)

    def prompt_of(text: Tensor) -> int:
        return min(range(len(embeddings)), key=lambda i: float((embeddings[i] - text).abs().max()))

    def forward(*, vision_embeds: Any, text_embeds: Any, attention_mask: Tensor) -> _Output:
        if work:
            itself(vision_embeds=vision_embeds, text_embeds=text_embeds, attention_mask=attention_mask)
        scores, masks = [], []
        for text in text_embeds.pooler_output:
            row = torch.full((queries,), -20.0)
            stack = torch.full((queries, size, size), -10.0)
            for index, (score, mask) in enumerate(script.found[prompt_of(text)]):
                row[index] = torch.tensor(score).logit()
                stack[index] = torch.from_numpy(mask)
            scores.append(row)
            masks.append(stack)
        count = len(scores)
        return _Output(
            torch.stack(scores).to(like),
            torch.full((count, 1), 50.0).to(like),
            torch.stack(masks).to(like),
            torch.zeros(count, queries, 4).to(like),
        )

    def find(self: Detector, features: Any, levels: Any, pairs: Any, texts: Sequence[TextEmbedding]) -> Found:
        if self.mask_head._head is not detector.mask_decoder:
            return ours(self, features, levels, pairs, texts)
        prompts = [prompt_of(text.features) for text in texts]
        for prompt in prompts:
            followed[prompt] = len(script.found[prompt]) or followed[prompt]
        if work:
            counts = [followed[prompt] for prompt in prompts]
            pair = np.repeat(np.arange(len(prompts)), counts)
            query = np.concatenate([np.arange(count) for count in counts])
            with patch.object(self, "_chosen", lambda scores, *_: (pair, query % scores.shape[1])):
                ours(self, features, levels, pairs, texts)
        found = [(index, *one) for index, prompt in enumerate(prompts) for one in script.found[prompt]]
        logits = torch.tensor([score for _, score, _ in found]).logit().to(like)
        scores = (logits.float().sigmoid() * torch.tensor(50.0).sigmoid()).cpu().numpy()
        kept = np.flatnonzero(scores > self.score_threshold)
        masks = torch.from_numpy(np.array([found[index][2] for index in kept]).reshape(-1, size, size))
        pair = np.array([found[index][0] for index in kept], np.int64)
        return Found(pair, scores[kept], masks.to(like).float())

    with patch.object(detector, "forward", forward), patch.object(Detector, "_find", find):
        yield script
