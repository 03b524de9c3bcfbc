"""The attention product: queries as wide as their keys, values a quarter of that; which kernel computes it.

No kernel of PyTorch is made for this. Flash attention wants values as wide as the keys and no mask, so that half of
what it computes on them is thrown away; memory-efficient attention takes both as they are, and is slower. Which is
faster hangs on the GPU and on the number of objects: there it is measured once, at the start. On a CPU it is always the
same one, so that results are the same in each run. Which of torch's it may choose from: `trackers.attention_kernels`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from trackers.attention_kernels import few_kernels
from trackers.device import wait_for

# Takes queries ``(N, heads, Q, d)``, scaled, keys ``(N, heads, K, d)``, values ``(N, heads, K, C)``, and ``(N, K)``
# bool, False for keys that do not count, or None if all do; gives ``(N, heads, Q, C)``.
Kernel: TypeAlias = Callable[[Tensor, Tensor, Tensor, Tensor | None], Tensor]

# Scores that are held at once where they fit: what stays in a CPU's cache. With 9,100 keys of 256 numbers and 1,296
# queries this is faster than all at once and than the fused kernel of `scaled_dot_product_attention`.
BLOCK = 1_000_000
# Runs of each kernel when they are compared, after one that is not counted.
RUNS = 3


def product(query: Tensor, key: Tensor, value: Tensor, used: Tensor | None) -> Tensor:
    """Two matrix products and a softmax, block by block."""
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
    if used is not None:  # a sum in place, which a CPU does three times as fast as `masked_fill`
        absent = torch.zeros(used.shape, dtype=scores.dtype, device=scores.device).masked_fill_(~used, -torch.inf)
        scores += absent[:, None, None]
    return torch.softmax(scores, -1) @ value


def as_they_are(query: Tensor, key: Tensor, value: Tensor, used: Tensor | None) -> Tensor:
    """A fused kernel for values narrower than keys, and for masks."""
    mask = None if used is None else used[:, None, None].expand(-1, -1, query.shape[2], -1)
    return F.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=1.0)


def padded_values(query: Tensor, key: Tensor, value: Tensor, used: Tensor | None) -> Tensor:
    """Values filled up with zeros, as flash attention wants them, which torch prefers where it can be had.

    Nothing else is forbidden meanwhile: that would be for the whole process, and the model's other stage may need it.

    Raises:
        RuntimeError: there is a mask.
    """
    if used is not None:
        raise RuntimeError("flash attention takes no mask")
    wide = F.pad(value, (0, query.shape[-1] - value.shape[-1]))
    return F.scaled_dot_product_attention(query, key, wide, scale=1.0)[..., : value.shape[-1]]


FUSED: tuple[Kernel, ...] = (as_they_are, padded_values)


class Attention:
    """The kernel for each number of objects, with and without a mask."""

    def __init__(self) -> None:
        self._chosen: dict[tuple[int, bool], Kernel] = {}

    def __call__(self, query: Tensor, key: Tensor, value: Tensor, used: Tensor | None) -> Tensor:
        """See `Kernel`."""
        if query.device.type == "cpu":
            return product(query, key, value, used)
        masked = used is not None
        sizes = [count for count, with_mask in self._chosen if with_mask == masked and count >= len(query)]
        kernel = self._chosen[min(sizes), masked] if sizes else as_they_are
        return kernel(query, key, value, used)

    @torch.inference_mode()
    def measure(self, queries: Tensor, keys: int, width: int, counts: Sequence[int]) -> None:
        """Choose for each number of objects what is fastest on the device of the queries.

        Args:
            queries: ``(1, heads, Q, d)`` of the type that is computed in.
            keys: how many there are.
            width: of values.
            counts: numbers of objects.
        """
        _, heads, _, depth = queries.shape
        for count in counts:
            query = queries.expand(count, -1, -1, -1).contiguous()
            key, value = query.new_ones(count, heads, keys, depth), query.new_ones(count, heads, keys, width)
            for used in (None, torch.ones(count, keys, dtype=torch.bool, device=query.device)):
                with few_kernels():  # as later
                    taken = {kernel: _seconds(kernel, query, key, value, used) for kernel in FUSED}
                self._chosen[count, used is not None] = min(FUSED, key=taken.__getitem__)


def _seconds(kernel: Kernel, query: Tensor, key: Tensor, value: Tensor, used: Tensor | None) -> float:
    """What a kernel takes; without end if it cannot."""
    try:
        kernel(query, key, value, used)
        wait_for(query.device)
        start = time.perf_counter()
        for _ in range(RUNS):
            kernel(query, key, value, used)
        wait_for(query.device)
    except RuntimeError:  # no such kernel for these shapes, or no memory for them
        return float("inf")
    return time.perf_counter() - start
