"""Which devices Home Assistant was told of: kept over restarts, so that what is gone can be taken back."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from sinks.partial import partial_path, publish
from streaming.errors import SinkError
from streaming.threads import in_daemon_thread

logger = logging.getLogger(__name__)

# Prompts that are not looked for any more and of which Home Assistant is reminded, the newest of a stream.
MOST_GONE = 64
# Seconds that the end of the process waits for a slow disk.
CLOSE_SECONDS = 5.0


class Announced:
    """The prompts that were published on each discovery topic.

    A file holds them: ``{topic: [prompt, …]}`` in JSON, UTF-8. It is written in the background, whole or not at all;
    a disk that refuses or hangs costs only the memory of what was announced.
    """

    def __init__(self, file: Path) -> None:
        """Read `file` if it is there and whole."""
        self._file = file
        self._prompts = _read(file)
        self._changed = False
        self._writing: asyncio.Task[None] | None = None
        self._complained = False

    @property
    def topics(self) -> set[str]:
        """Where discovery messages were published and not taken back."""
        return set(self._prompts)

    def replace(self, topic: str, prompts: Sequence[str]) -> list[str]:
        """Note that `prompts` are announced on `topic` from now on.

        Returns:
            Those of before that are not among them, at most the `MOST_GONE` newest. They are remembered: the newest
            message is the only one that is sure to arrive, so each must name all that is to be forgotten.
        """
        gone = [prompt for prompt in self._prompts.get(topic, []) if prompt not in prompts][-MOST_GONE:]
        self._prompts[topic] = [*gone, *prompts]
        self._save()
        return gone

    def forget(self, topic: str) -> None:
        """Note that the broker has taken back what was announced on `topic`."""
        if self._prompts.pop(topic, None) is not None:
            self._save()

    async def close(self) -> None:
        """Wait for what is being written."""
        if self._writing:
            await asyncio.wait([self._writing], timeout=CLOSE_SECONDS)

    def _save(self) -> None:
        self._changed = True
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write(), name="write announced")

    async def _write(self) -> None:
        while self._changed:
            self._changed = False
            text = json.dumps(self._prompts, indent=1)
            try:
                await in_daemon_thread(partial(_replace, self._file, text), "write announced")
            except (OSError, SinkError) as error:
                if not self._complained:
                    logger.warning(
                        "%s cannot be written (%s): Home Assistant may keep entities that are gone",
                        self._file,
                        error,
                    )
                self._complained = True
            else:
                self._complained = False


def _replace(file: Path, text: str) -> None:
    partial_path(file).write_text(text, encoding="utf-8")
    publish(file)


def _read(file: Path) -> dict[str, list[str]]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        return {topic: [str(prompt) for prompt in list(prompts)] for topic, prompts in found.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError, TypeError):
        logger.warning("%s cannot be read: Home Assistant may keep entities that are gone", file)
        return {}
