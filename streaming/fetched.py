"""Whether the checkpoints that an engine needs are here, for those who cannot wait until they are downloaded."""

from __future__ import annotations

from trackers.options import EngineOptions


def require_fetched(options: EngineOptions, command: str) -> None:
    """Refuse what would have to be downloaded first: who starts the engine waits for some minutes only.

    Args:
        options: of the engine.
        command: what fetches it, as a person is told.

    Raises:
        ModelError: a model is not in the cache of this machine, or not whole.
    """
    from trackers.detection.location import NotFetchedError, locate, wanted

    try:
        locate(wanted(options.model, options.tracker_from), fetch=False)
    except NotFetchedError as error:
        raise error.advising(f"run {command} first, which takes as long as it takes") from None
