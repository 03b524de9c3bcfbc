"""The attention product: queries as wide as their keys, values a quarter of that."""

from __future__ import annotations

import torch
from torch import Tensor

# Scores that are held at once where they fit: what stays in a CPU's cache. With 9,100 keys of 256 numbers and 1,296
# queries this is faster than all at once and than the fused kernel of `scaled_dot_product_attention`.
BLOCK = 4_000_000


def attend(query: Tensor, key: Tensor, value: Tensor, used: Tensor | None) -> Tensor:
    """Attention without a scale, which is in the queries.

    Args:
        query: ``(N, heads, Q, d)``.
        key: ``(N, heads, K, d)``.
        value: ``(N, heads, K, C)``.
        used: ``(N, K)`` bool, False for keys that do not count; None if all do.

    Returns:
        ``(N, heads, Q, C)``.
    """
    count, heads, places, _ = query.shape
    rows = max(BLOCK // (heads * key.shape[2]), 1)
    if count * places <= rows:
        return _mixed(query, key, value, used)
    parts = []
    for index in range(count):
        one = slice(index, index + 1)
        blocks = torch.split(query[one], rows, 2)
        mask = None if used is None else used[one]
        parts.append(torch.cat([_mixed(block, key[one], value[one], mask) for block in blocks], 2))
    return torch.cat(parts)


def _mixed(query: Tensor, key: Tensor, value: Tensor, used: Tensor | None) -> Tensor:
    scores = query @ key.transpose(2, 3)
    if used is not None:
        scores = scores.masked_fill(~used[:, None, None], -torch.inf)
    return torch.softmax(scores, -1) @ value
