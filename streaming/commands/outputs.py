"""Where `maskcast track` writes to, without destroying an input or another output."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from maskcast.errors import UsageError
from maskcast.stream_info import StreamInfo
from sinks import open_sink
from sinks.filename import STREAM_FIELD, with_stream
from sinks.formats import STDOUT, Output, parse_output
from sinks.partial import partial_path, prepare_target
from sinks.sink import Sink
from sinks.through import destination, kind_of_target
from sinks.video.style import OUTLINED, Styles
from sources import STDIN
from streaming.commands.readable import ReadableSink


@dataclass(frozen=True, slots=True)
class OutputFile:
    """A file that a sink writes.

    Attributes:
        path: of it.
        stream: whose results it holds.
        spec: of the sink, with the stream's id.
        sink: its name, see `sinks.sink.Sink`.
    """

    path: Path
    stream: str
    spec: str
    sink: str


@dataclass(frozen=True)
class Outputs:
    """Where results go.

    Attributes:
        specs: sinks as on the command line; `{stream}` in one stands for the stream's id. None: JSON Lines on the
            standard output, or where that is a terminal a line that a person can read.
        codec, quality: of annotated video.
        force: whether files that exist are replaced.
        styles: of objects in annotated video.
    """

    specs: Sequence[str]
    codec: str | None = None
    quality: int | None = None
    force: bool = False
    styles: Styles = OUTLINED

    def check(self, sources: Sequence[str], streams: Sequence[str] = (), prompts: Sequence[str] = ()) -> None:
        """Refuse, before anything is opened, outputs that would destroy an input or each other.

        Args:
            sources: what is read.
            streams: the id of each.
            prompts: what is tracked, for which some outputs have files of their own.

        Raises:
            UsageError: which one and why.
        """
        for number, spec in enumerate(self.specs):
            open_sink(spec, codec=self.codec, quality=self.quality)  # an unknown kind fails here, not an hour later
            if spec in self.specs[:number]:
                raise UsageError(f"output {spec} is given twice")
            output = parse_output(spec)
            if output.path and len(sources) > 1 and STREAM_FIELD not in spec:
                example = output.path.with_name(f"{STREAM_FIELD}{output.path.suffix}")
                what = f"{len(sources)} sources cannot share the output {spec}"
                advice = f"put {STREAM_FIELD} into its name, for example {output.prefix}{example}"
                raise UsageError(what, advice=advice)
            for source in sources:
                _check_other(output, source)
        self._check_apart(streams, prompts)

    def _check_apart(self, streams: Sequence[str], prompts: Sequence[str]) -> None:
        """Two names may be one file: ``a.json`` and ``./a.json``, links, what `{stream}` or a prompt makes of them.

        Raises:
            UsageError: which.
        """
        taken: dict[Path, str] = {}
        for file in self.files(streams, prompts):
            name = file.spec if str(file.path) == file.sink else str(file.path)
            place = Path(os.path.realpath(file.path))
            if other := taken.get(place) or taken.get(partial_path(place)):
                raise UsageError(f"the outputs {other} and {name} are one file", advice="choose another name")
            taken[place] = taken[partial_path(place)] = name

    def files(self, streams: Sequence[str], prompts: Sequence[str]) -> list[OutputFile]:
        """All files that are written; pipes and devices among them."""
        specs = [(stream, with_stream(spec, stream)) for stream in streams for spec in self.specs]
        outputs = [(stream, spec, parse_output(spec)) for stream, spec in specs]
        return [
            OutputFile(file, stream, spec, str(output.path))
            for stream, spec, output in outputs
            for file in output.files(prompts)
        ]

    def prepare(self, streams: Sequence[str], prompts: Sequence[str]) -> None:
        """Refuse files that exist and are not to be replaced, and make the folders.

        Raises:
            UsageError: a file holds something already, and `force` is not set.
            SinkError: see `sinks.partial.prepare_target`.
        """
        files = [file.path for file in self.files(streams, prompts)]
        for file in files:
            if not self.force and holds_something(file):
                raise UsageError("exists already", where=file, advice="choose another name, or replace it with --force")
        for file in files:
            prepare_target(file)

    def open(self, info: StreamInfo, source: str, prompts: Sequence[str]) -> list[Sink]:
        """The sinks of the stream of `source`, not yet started.

        Raises:
            UsageError: the name made from the stream's id is that of the input, or would be while it is written.
        """
        if not self.specs and sys.stdout and sys.stdout.isatty():
            return [ReadableSink()]
        specs = [with_stream(spec, info.stream) for spec in self.specs or [STDOUT]]
        for spec in specs:
            _check_other(parse_output(spec), source)
        return [
            open_sink(spec, prompts=prompts, codec=self.codec, quality=self.quality, styles=self.styles)
            for spec in specs
        ]


def _check_other(output: Output, source: str) -> None:
    """Refuse an output that would destroy its input.

    Raises:
        UsageError: they are one file, or become one while the output is written.
    """
    if output.path is None:
        return
    medium = Path("/dev/stdin" if source == STDIN else source)
    if _same_file(output.path, medium):
        raise UsageError(f"output {output.path} is the input itself", advice="choose another name")
    part = partial_path(destination(output.path))
    if _same_file(part, medium):
        what = f"output {output.path} is written to {part.name}, the input itself"
        raise UsageError(what, advice="choose another name")


def holds_something(path: Path) -> bool:
    """Whether there is a file that is not empty: none that is written through, as a pipe is."""
    try:
        return not kind_of_target(path) and path.is_file() and path.stat().st_size > 0
    except OSError:  # whoever opens it says why
        return False


def _same_file(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:  # one does not exist, or is no path at all
        return False
