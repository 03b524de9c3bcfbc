"""Outputs of one video, which take their names, or are uploaded, when all of them are whole."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from maskcast.errors import SinkError, reason_of
from maskcast.files import publish
from sinks.filename import file_name, with_stream
from sinks.formats import parse_output
from streaming.cluster.node_folder import node_folder
from streaming.cluster.videos.remote_outputs import RemoteOutput
from streaming.cluster.videos.storage import shown
from streaming.cluster.videos.transfer import Moved, remove, upload
from streaming.commands.outputs import Outputs


class Staged:
    """A hidden folder beside each target, in which the outputs are written; for URLs, a temporary one of this node.

    Attributes:
        outputs: the same, there.
    """

    def __init__(
        self, outputs: Outputs, stream: str, prompts: Sequence[str], remote: Sequence[RemoteOutput] = ()
    ) -> None:
        """Prepare, without what a killed worker has left there.

        Args:
            outputs: of the command, those that are local.
            stream: whose.
            prompts: what is tracked.
            remote: the others.

        Raises:
            MaskcastError: a folder cannot be made.
        """
        self._files: list[tuple[Path, Path]] = []
        self._folders: list[Path] = []
        self._uploads: list[tuple[Path, str]] = []
        self._temporary = ExitStack()
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
        if remote:
            temporary = self._temporary.enter_context(node_folder())
            for number, elsewhere in enumerate(remote):
                folder = temporary / str(number)
                folder.mkdir()
                here = elsewhere.of(stream)
                specs.append(here.spec(folder))
                self._uploads += zip(parse_output(specs[-1]).files(prompts), here.urls(prompts), strict=True)
        self.outputs = replace(outputs, specs=specs, force=True)

    def publish(self, moved: Moved = lambda _: True) -> list[str]:
        """Upload, and give all files their names.

        Args:
            moved: see there.

        Returns:
            Their names; an output without results may have written no file.

        Raises:
            SinkError: the disk or a file system refuses.
            NotWantedError: see `Moved`.
        """
        uploaded: list[str] = []
        try:
            for part, url in self._uploads:
                if part.exists():
                    uploaded.append(url)
                    upload(part, url, moved)
            named = self._publish_local()
        except BaseException:
            for url in uploaded:  # or they would stand there without the others
                remove(url)
            raise
        return [*named, *map(shown, uploaded)]

    def _publish_local(self) -> list[str]:
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
        self._temporary.close()
