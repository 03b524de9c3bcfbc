"""Read the tensors of a checkpoint from its safetensors files, or only their shapes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from maskcast.errors import ModelError
from trackers.detection.architecture import MLX, of_mlx
from trackers.detection.folder import CheckpointFolder

# Types that weights and counters are published in; quantized ones need code that is not here.
TYPES = frozenset({"F64", "F32", "F16", "BF16", "I64", "I32", "U8", "BOOL"})
# Some versions of Transformers write the first prefix of a tracker twice, and read both.
_TWICE, _ONCE = "tracker_model.tracker_model.", "tracker_model."


class Weights:
    """The tensors of a checkpoint by name.

    Attributes:
        shapes: of all tensors, by name.
        size: of the files, in bytes.
    """

    def __init__(self, folder: CheckpointFolder, *, read: bool = True) -> None:
        """Open the files and read their headers.

        Args:
            folder: where they are.
            read: False to hand out zeros that take no memory in place of the tensors, of the right shapes.

        Raises:
            ModelError: one is missing, damaged or cut off, or holds what is not loaded.
        """
        self._name, self._read = folder.name, read
        self._places: dict[str, tuple[Path, str]] = {}  # file, and the name in it
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.size = 0
        for file in folder.weights():
            try:
                with safe_open(file, "pt") as opened:  # compares the header with the length of the file
                    if (opened.metadata() or {}).get("format") == MLX:
                        raise of_mlx(self._name)
                    for key in opened.keys():  # noqa: SIM118 - not a dictionary
                        found = opened.get_slice(key)
                        if found.get_dtype() not in TYPES:
                            what = f"{key[:80]} is of type {found.get_dtype()}"
                            advice = "take a checkpoint that is not quantized"
                            raise ModelError(what, where=f"model {self._name}", advice=advice)
                        name = _ONCE + key.removeprefix(_TWICE) if key.startswith(_TWICE) else key
                        self.shapes[name], self._places[name] = tuple(found.get_shape()), (file, key)
                self.size += file.stat().st_size
            except (OSError, SafetensorError) as error:
                what = f"cannot be loaded: {file.name} is damaged or cut off"
                raise ModelError(what, where=f"model {self._name}", advice=folder.mending) from error

    def tensors(self, prefix: str = "") -> dict[str, Tensor]:
        """Those whose names begin so; as zeros if only shapes were asked for.

        Raises:
            ModelError: a file cannot be read.
        """
        names = [name for name in self.shapes if name.startswith(prefix)]
        if not self._read:
            zero = torch.zeros(())
            return {name: zero.expand(self.shapes[name]) for name in names}
        return dict(self._from_files(names))

    def tensor(self, name: str) -> Tensor:
        """One of them, always as it is in its file.

        Raises:
            ModelError: the file cannot be read.
        """
        return dict(self._from_files([name]))[name]

    def _from_files(self, names: list[str]) -> Iterator[tuple[str, Tensor]]:
        with ExitStack() as stack:
            opened: dict[Path, Any] = {}
            for name in names:
                file, key = self._places[name]
                try:
                    if file not in opened:
                        opened[file] = stack.enter_context(safe_open(file, "pt"))
                    yield name, opened[file].get_tensor(key)
                except (OSError, SafetensorError) as error:
                    what = f"{file.name} cannot be read: {type(error).__name__}"
                    raise ModelError(what, where=f"model {self._name}") from error
