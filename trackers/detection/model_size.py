"""Refuse a model that would take more memory than its files can fill, before any is taken."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn

from maskcast.errors import ModelError, reason_of
from trackers.detection.unfilled import Unfilled
from trackers.detection.weights import Weights

Model = TypeVar("Model", bound=nn.Module)

# Weights and tables of a model together; facebook/sam3 has 8.6e8.
MOST_NUMBERS = 4_000_000_000


def build_on_meta(make: Callable[[], Model], weights: Weights, prefix: str, name: str) -> Model:
    """Build the model where nothing is allocated, and count.

    Args:
        make: builds it.
        weights: of its checkpoint.
        prefix: of the names that belong to it.
        name: of the checkpoint, for messages.

    Returns:
        It, with weights on torch's device `meta`, but small tables that have been computed.

    Raises:
        ModelError: it cannot be built, has more numbers than `MOST_NUMBERS`, or over twice as many as its files hold.
    """
    try:
        with Unfilled(), torch.device("meta"):
            model = make()
    except Exception as error:  # of any layer, for any pair of numbers that do not fit
        what = f"what its config.json describes cannot be built: {reason_of(error)}"
        raise ModelError(what, where=f"model {name}") from error
    parameters = sum(tensor.numel() for tensor in model.parameters())
    tables = sum(tensor.numel() for tensor in model.buffers())
    if parameters + tables > MOST_NUMBERS:
        what = f"its config.json describes {parameters + tables:.1e} numbers"
        raise ModelError(what, where=f"model {name}", advice=f"at most {MOST_NUMBERS:.0e} are loaded")
    held = sum(math.prod(shape) for key, shape in weights.shapes.items() if key.startswith(prefix))
    # Files that lack single weights are told of by name; these have more than half.
    if parameters > 2 * held:
        what = f"its config.json describes {parameters:.1e} weights, its files hold {held:.1e}"
        raise ModelError(f"{what}: they do not belong together", where=f"model {name}")
    return model
