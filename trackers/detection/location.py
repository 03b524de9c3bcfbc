"""Find the folder of a checkpoint by its name: embedded, on this disk, or of the Hugging Face hub."""

from __future__ import annotations

import os
from pathlib import Path

from maskcast.errors import ModelError, reason_of
from trackers.detection.folder import CONFIG, FILES, CheckpointFolder

EMBEDDED = {"nano": Path(__file__).parents[1] / "nano"}


class NotFetchedError(ModelError):
    """A checkpoint of the hub that is not, or not whole, in the cache, where nothing may be fetched."""


def locate(name: str, *, fetch: bool) -> CheckpointFolder:
    """Find a checkpoint.

    Args:
        name: `nano`, a folder, or the id of a Hugging Face repository (its cached copy is used when there is no
            network).
        fetch: download what is not in the cache.

    Raises:
        ModelError: there is none, or it cannot be fetched.
        NotFetchedError: it would have to be fetched, and `fetch` is False.
    """
    if name in EMBEDDED:
        if not (EMBEDDED[name] / CONFIG).is_file():
            raise ModelError("the embedded checkpoint is not part of this installation", where=f"model {name}")
        return CheckpointFolder(name, EMBEDDED[name])
    # os.path's questions, unlike pathlib's, have an answer for every string, such as one that is too long.
    folder = os.path.expanduser(name)  # noqa: PTH111
    if os.path.isdir(folder):  # noqa: PTH112
        return CheckpointFolder(name, Path(folder))
    if os.path.isfile(folder) or name.startswith((".", "/", "~")) or name.count("/") != 1:  # noqa: PTH113
        advice = "give a folder that holds config.json, or owner/name of a hub"
        raise ModelError("no such folder", where=f"model {name}", advice=advice)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError, RepositoryNotFoundError

    try:
        snapshot = Path(snapshot_download(name, allow_patterns=FILES, local_files_only=not fetch))
    except GatedRepoError:
        advice = f"open huggingface.co/{name} in a browser, accept it, then run `hf auth login`"
        raise ModelError("its licence must be accepted first", where=f"model {name}", advice=advice) from None
    except RepositoryNotFoundError:
        what = "no such repository on the hub, or it is private"
        raise ModelError(what, where=f"model {name}", advice="`hf auth login`") from None
    except Exception as error:  # of the hub, of the disk, or of httpx where a connection breaks
        if not fetch and isinstance(error, LocalEntryNotFoundError):
            raise NotFetchedError("not in the cache", where=f"model {name}") from None
        what = f"cannot be downloaded and is not in the cache ({reason_of(error)})"
        advice = (
            f"on a machine with network run `hf download {name} --local-dir FOLDER`, copy FOLDER here and use "
            "`--model FOLDER`"
        )
        raise ModelError(what, where=f"model {name}", advice=advice) from error
    found = CheckpointFolder(name, snapshot, commit=snapshot.name)
    if not fetch and not found.is_whole():  # the rest of it will be fetched, too
        raise NotFetchedError("not whole in the cache", where=f"model {name}")
    return found
