"""Fill a model that was built on torch's device `meta` with a checkpoint's weights of the same names."""

from __future__ import annotations

from itertools import chain

from torch import nn

from trackers.detection.weights import Weights


def fill(model: nn.Module, weights: Weights) -> bool:
    """Put the weights in their places, in the model's own types, if the files hold them all by the model's names.

    `PreTrainedModel.from_pretrained` does the same and renames before; for that it compiles some 1,700 expressions, of
    all models that it knows, which takes a third of the time that loading a small model needs.

    Args:
        model: built on `meta`, where its weights still are; other tables must be real.
        weights: of its checkpoint; what the model does not have is left out.

    Returns:
        Whether it was done. If not, a weight is missing, has another name or another shape, or a table was not built,
        and nothing has changed.

    Raises:
        ModelError: a file cannot be read.
    """
    places = model.state_dict()
    if any(weights.shapes.get(name) != tuple(place.shape) for name, place in places.items()):
        return False
    everything = chain(model.named_parameters(), model.named_buffers())
    if any(tensor.is_meta and name not in places for name, tensor in everything):
        return False
    tensors = weights.tensors()
    # Taken out one by one, so that no weight is held in two types for longer than it takes.
    cast = {name: tensors.pop(name).to(place.dtype) for name, place in places.items()}
    model.load_state_dict(cast, assign=True)
    return True
