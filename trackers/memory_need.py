"""How much memory of its device the memory tracker takes, from the shapes of a model: before anything is allocated."""

from __future__ import annotations

from typing import Any

from trackers.rules import Rules

# Feature maps at the size of a mask that the mask head holds at once for a pair of frame and prompt, where each pair is
# of another frame, with what it makes of each frame: counted by `tests/trackers/test_memory_need.py` at full size.
MAPS_A_PAIR = 3.95
# Of the size of a track's queries, what the memory attention holds at once for each frame that the track remembers, and
# beside that: counted there, too.
QUERIES_A_MEMORY, QUERIES_A_TRACK = 1.4, 21
# Between its products the model holds float32, whatever its precision; see `trackers.precision`.
NUMBER_BYTES = 4


def entries(config: Any, rules: Rules) -> tuple[int, int]:
    """Frames that a track remembers, and object pointers; see `MemoryTracker.new_table`."""
    conditioning = int(config.max_cond_frame_num) if config.max_cond_frame_num > 0 else 4
    hidden_too = int(rules.select_memories)
    frames = int(config.num_maskmem) - 1 + conditioning + hidden_too
    return frames, int(config.max_object_pointers_in_encoder) - 1 + rules.conditioning_pointers + hidden_too


def track_bytes(config: Any, rules: Rules, memory_itemsize: int = 2) -> int:
    """What one track of a stream keeps, in bytes. A stream has slots for 8 tracks at first, then for twice as many.

    Args:
        config: a `Sam3TrackerVideoConfig`.
        rules: of the tracker.
        memory_itemsize: bytes of a number in the memories of frames.
    """
    frames, pointers = entries(config, rules)
    side = int(config.image_size) // int(config.prompt_encoder_config.patch_size)
    frame = side * side * int(config.memory_encoder_output_channels) * memory_itemsize
    return frames * frame + pointers * int(config.memory_attention_hidden_size) * NUMBER_BYTES


def prompt_bytes(context: int, hidden: int) -> int:
    """What the embedding of a prompt takes: its tokens, and which of them count."""
    return context * (hidden * NUMBER_BYTES + 1)


def pass_bytes(pairs: int, hidden: int, mask_side: int) -> int:
    """What the detector holds at its peak if so many pairs of frame and prompt find something: in the mask head."""
    return int(pairs * MAPS_A_PAIR * hidden * mask_side * mask_side * NUMBER_BYTES)


def tracking_bytes(tracks: int, config: Any, rules: Rules) -> int:
    """What the tracker holds at its peak when so many tracks share a pass: in the memory attention.

    Args:
        tracks: that remember as much as they can.
        config: a `Sam3TrackerVideoConfig`.
        rules: of the tracker.
    """
    frames, _ = entries(config, rules)
    side = int(config.image_size) // int(config.prompt_encoder_config.patch_size)
    queries = side * side * int(config.memory_attention_hidden_size)
    return int(tracks * (QUERIES_A_MEMORY * frames + QUERIES_A_TRACK) * queries * NUMBER_BYTES)


def tracks_that_fit(free: int, passing: int, track: int) -> int:
    """Tracks for which there is room beside two passes, one in each stage, in what is free once the model is loaded."""
    return max(free - passing, 0) // track
