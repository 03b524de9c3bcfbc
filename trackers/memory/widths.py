"""How many memories a compiled pass reads: one of a few numbers, with a mask where a track has fewer.

From the seventeenth frame on a track remembers as many recent frames as it can, and only the number of its conditioning
frames still differs; see `MemoryBank`. So a width stands for each of these numbers. Before, the narrowest is padded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from trackers.memory.memory_bank import MemoryBank
from trackers.memory.propagation import Memories

# Frame memories and object pointers.
Width: TypeAlias = tuple[int, int]


def fixed_widths(spatial: MemoryBank, pointers: MemoryBank) -> list[Width]:
    """The widths of tracks with full rings and one conditioning memory or more, the narrowest first."""
    banks = [(bank.max_recent, bank.values.shape[1]) for bank in (spatial, pointers)]
    more = max(entries - recent for recent, entries in banks)
    return [
        (min(banks[0][0] + extra, banks[0][1]), min(banks[1][0] + extra, banks[1][1])) for extra in range(1, more + 1)
    ]


def widened(memories: Memories, widths: Sequence[Width]) -> Memories:
    """The same, in the first of the widths that holds them; as they are if there are no widths."""
    if not widths:
        return memories
    (count, frames), pointers = memories.place.shape, memories.offset.shape[1]
    wide = next(width for width in widths if width[0] >= frames and width[1] >= pointers)
    if wide == (frames, pointers):
        return memories
    missing = wide[0] - frames, wide[1] - pointers
    used = memories.used
    if used is None:
        used = torch.ones(count, frames + pointers, dtype=torch.bool, device=memories.place.device)
    return Memories(
        spatial=F.pad(memories.spatial, (0, 0, 0, 0, 0, missing[0])),
        place=F.pad(memories.place, (0, missing[0])),
        pointers=F.pad(memories.pointers, (0, 0, 0, missing[1])),
        offset=F.pad(memories.offset, (0, missing[1])),
        used=torch.cat([_padded(used[:, :frames], missing[0]), _padded(used[:, frames:], missing[1])], dim=1),
    )


def _padded(used: Tensor, missing: int) -> Tensor:
    return F.pad(used, (0, missing), value=False)
