"""Outputs of one video, which take their names when all of them are whole."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from maskcast.errors import SinkError, reason_of
from maskcast.files import publish
from sinks.filename import file_name, with_stream
from sinks.formats import parse_output
from streaming.commands.outputs import Outputs


class Staged:
    """A hidden folder beside each target, in which the outputs are written.

    Attributes:
        outputs: the same, there.
    """

    def __init__(self, outputs: Outputs, stream: str, prompts: Sequence[str]) -> None:
        """Prepare, without what a killed worker has left there.

        Args:
            outputs: of the command.
            stream: whose.
            prompts: what is tracked.

        Raises:
            SinkError: a folder cannot be made.
        """
        self._files: list[tuple[Path, Path]] = []
        self._folders: list[Path] = []
        specs = []
        for spec in outputs.specs:
            output = parse_output(with_stream(spec, stream))
            assert output.path is not None  # the command has refused others
            folder = output.path.parent / f".{file_name(stream)}.maskcast"
            there = f"{output.prefix}{folder / output.path.name}"
            specs.append(there)
            self._folders.append(folder)
            self._files += zip(parse_output(there).files(prompts), output.files(prompts), strict=True)
        self.discard()
        self.outputs = replace(outputs, specs=specs, force=True)

    def publish(self) -> list[str]:
        """Give all files their names.

        Returns:
            Their names; an output without results may have written no file.

        Raises:
            SinkError: the disk refuses.
        """
        done = []
        for part, file in self._files:
            if not part.exists():
                continue
            try:
                publish(part, file)
            except OSError as error:
                raise SinkError(f"cannot write: {reason_of(error)}", where=file) from error
            done.append(str(file))
        return done

    def discard(self) -> None:
        """Remove what has no name yet."""
        for folder in self._folders:
            shutil.rmtree(folder, ignore_errors=True)
