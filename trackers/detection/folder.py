"""The files of a checkpoint: only those that are named here, regular, of a sane size, and inside its folder."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maskcast.errors import ModelError, reason_of
from trackers.hub.name import without_revision

# Pickled weights can run code when they are loaded, and other files can name them: only these are ever fetched or read.
CONFIG = "config.json"
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
TOKENIZER = "tokenizer.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
FILES = [CONFIG, WEIGHTS, INDEX, "model-*-of-*.safetensors", TOKENIZER, TOKENIZER_CONFIG]
# What is never loaded, by the endings of its names.
PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
# facebook/sam3.1 has `sam3.1_multiplex.pt`, as has what is made of it.
_SAM_3_1 = "sam3.1"
_PART = re.compile(r"model-[0-9]{5}-of-[0-9]{5}\.safetensors")

# Of the files that are read whole. CLIP's vocabulary, the largest of them, takes 3.6 MB.
MOST_BYTES = 32 << 20
MOST_CONFIG_BYTES = 1 << 20
# facebook/sam3 has one.
MOST_PARTS = 256


@dataclass(frozen=True)
class CheckpointFolder:
    """Where a checkpoint lies.

    Attributes:
        name: as the user named it, for messages.
        path: the folder.
        commit: of the hub, if the folder was found through it; None for a folder that anyone may have changed.
    """

    name: str
    path: Path
    commit: str | None = None

    @property
    def mending(self) -> str:
        """What to do when a file is damaged or missing, as advice."""
        return "fetch the checkpoint again" if self.commit is None else f"run `maskcast fetch --verify {self.name}`"

    def file(self, name: str, most_bytes: int | None = None) -> Path:
        """The real path of a file in the folder.

        Raises:
            FileNotFoundError: there is none.
            ModelError: it cannot be reached, is no regular file, larger than that, or a link that leads out of the
                folder.
        """
        try:
            file = (self.path / name).resolve(strict=True)
        except FileNotFoundError:
            raise
        except (OSError, RuntimeError) as error:  # a folder that may not be entered, or links in a circle
            reason = reason_of(error) if isinstance(error, OSError) else "its links go in a circle"
            raise ModelError(f"{name} cannot be read: {reason}", where=f"model {self.name}") from error
        if not any(file.is_relative_to(root) for root in self._roots()):
            what = f"{name} is a link that leads out of its folder"
            raise ModelError(what, where=f"model {self.name}", advice="copy the file there")
        if not file.is_file():
            raise ModelError(f"{name} is not a regular file", where=f"model {self.name}")
        if most_bytes is not None and file.stat().st_size > most_bytes:
            raise ModelError(f"{name} is larger than {most_bytes >> 20} MiB, which none is", where=f"model {self.name}")
        return file

    def _roots(self) -> list[Path]:
        """The folder; of a hub's cache also the blobs, of this repository or shared by all, that its links lead to."""
        folder = self.path.resolve()
        repository = folder.parent.parent
        hub = folder.parent.name == "snapshots" and repository.name.startswith("models--")
        blobs = [repository / "blobs", repository.parent / "blobs"] if hub else []
        return [folder, *(root.resolve() for root in blobs)]

    def json(self, name: str, most_bytes: int = MOST_BYTES) -> Any:
        """What a JSON file holds.

        Raises:
            FileNotFoundError: there is none.
            ModelError: it is no regular file of the folder, too large, or no JSON.
        """
        file = self.file(name, most_bytes)
        try:
            return json.loads(file.read_bytes())
        except (OSError, ValueError, RecursionError) as error:
            raise ModelError(f"{name} cannot be read: {reason_of(error)}", where=f"model {self.name}") from error

    def weights(self) -> list[Path]:
        """The real paths of the safetensors files: one, or the parts that the index names.

        Raises:
            ModelError: one is missing or not inside the folder, or the index names something else.
        """
        try:
            return [self.file(WEIGHTS)]
        except FileNotFoundError:
            pass
        try:
            return [self.file(part) for part in self._parts()]
        except FileNotFoundError as error:
            missing = Path(str(error.filename)).name
            if missing == INDEX:
                raise no_weights(os.listdir(self.path), self.name) from None  # noqa: PTH208 - names alone
            advice = self.mending
            raise ModelError(f"{missing} is missing", where=f"model {self.name}", advice=advice) from None

    def is_whole(self) -> bool:
        """Whether the configuration and all weights are there; a fetch that was interrupted leaves less.

        Raises:
            ModelError: the index of the weights cannot be read.
        """
        names = [CONFIG]
        if not (self.path / WEIGHTS).exists():
            names += [INDEX, *(self._parts() if (self.path / INDEX).exists() else [])]
        return all((self.path / name).exists() for name in names)

    def _parts(self) -> list[str]:
        index = self.json(INDEX)
        weights = index.get("weight_map") if isinstance(index, dict) else None
        if not isinstance(weights, dict) or not weights:
            advice = self.mending
            raise ModelError(f"{INDEX} names no files", where=f"model {self.name}", advice=advice)
        names = set(map(str, weights.values()))
        if foreign := sorted(name for name in names if not _PART.fullmatch(name)):
            advice = "only files such as model-00001-of-00002.safetensors beside it are loaded"
            raise ModelError(f"{INDEX} names {foreign[0][:80]!a}", where=f"model {self.name}", advice=advice)
        if len(names) > MOST_PARTS:
            raise ModelError(f"{INDEX} names more than {MOST_PARTS} files", where=f"model {self.name}")
        return sorted(names)

    @property
    def origin(self) -> str:
        """The name, with the commit if it is the hub's."""
        return self.name if self.commit is None else f"{without_revision(self.name)}@{self.commit}"

    def revision(self) -> str:
        """What changes whenever one of the files that are loaded does: the hub's commit, or a digest of them all."""
        if self.commit is not None:
            return self.commit
        digest = hashlib.sha256()
        for file in [*(self.path / name for name in (CONFIG, TOKENIZER, TOKENIZER_CONFIG)), *self.weights()]:
            if file.is_file():
                with file.open("rb") as content:
                    digest.update(f"{file.name} {hashlib.file_digest(content, 'sha256').hexdigest()}\n".encode())
        return digest.hexdigest()[:40]


def no_weights(files: Collection[str], name: str) -> ModelError:
    """Why a checkpoint has no weights that can be loaded.

    Args:
        files: names of what it holds.
        name: of the checkpoint.
    """
    if any(file.startswith(_SAM_3_1) for file in files):
        advice = "Transformers has no model for it yet: take facebook/sam3"
        return ModelError("it is SAM 3.1, which has another tracker", where=f"model {name}", advice=advice)
    what = f"no {WEIGHTS} in it"
    if pickled := sorted(file for file in files if file.endswith(PICKLED)):
        what = f"{what}, only {pickled[0][:80]}"
    advice = "other weight formats are not loaded for safety"
    return ModelError(what, where=f"model {name}", advice=advice)
