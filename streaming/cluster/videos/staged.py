"""Outputs of one video, which take their names, or are uploaded, when all of them are whole."""

from __future__ import annotations

import hashlib
import platform
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from secrets import token_hex

from maskcast.errors import SinkError, reason_of
from maskcast.files import publish
from sinks.filename import file_name, with_stream
from sinks.formats import parse_output
from streaming.cluster.node_folder import node_folder
from streaming.cluster.videos.remote_outputs import RemoteOutput
from streaming.cluster.videos.storage import shown
from streaming.cluster.videos.transfer import Moved, remove, upload
from streaming.commands.outputs import Outputs

# Enough to tell commands from each other that write outputs of one stream beside each other.
DIGITS = 8


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
        folders: dict[Path, None] = {}
        self._uploads: list[tuple[Path, str]] = []
        self._temporary = ExitStack()
        specs = []
        whose = hashlib.sha256("\0".join(outputs.specs).encode(errors="surrogateescape")).hexdigest()[:DIGITS]
        for spec in outputs.specs:
            output = parse_output(with_stream(spec, stream))
            assert output.path is not None  # the command has refused others
            folder = output.path.parent / f".{file_name(stream)}.{whose}.maskcast"
            there = f"{output.prefix}{folder / output.path.name}"
            specs.append(there)
            folders[folder] = None
            self._files += zip(parse_output(there).files(prompts), output.files(prompts), strict=True)
        # By it a folder is known as ours: on disks without locks a worker that was given up may be at it still.
        mark = f".{token_hex(DIGITS)}"
        self._marks: list[Path] = []
        try:
            for folder in folders:
                self._marks.append(_made(folder, mark))
        except SinkError:
            self.discard()
            raise
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
            self._require()
            for part, url in self._uploads:
                if part.exists():
                    upload(part, url, moved)
                    uploaded.append(url)
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

    def _require(self) -> None:
        for mark in self._marks:
            if not mark.exists():
                raise SinkError("was removed while outputs were written to it", where=mark.parent)

    def discard(self) -> None:
        """Remove what has no name yet."""
        for mark in self._marks:
            if mark.exists():
                shutil.rmtree(mark.parent, ignore_errors=True)
        self._temporary.close()


def _made(folder: Path, mark: str) -> Path:
    """Make a folder anew, beside outputs, with a mark in it.

    Raises:
        SinkError: there is no place for it. The command has made that: what is not there is not shared.
    """
    shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.mkdir(exist_ok=True)
        (folder / mark).touch()
    except FileNotFoundError:
        what = f"is not there on {platform.node()}: all nodes must share it"
        raise SinkError(what, where=folder.parent) from None
    except OSError as error:
        raise SinkError(f"cannot write: {reason_of(error)}", where=folder.parent) from error
    return folder / mark
