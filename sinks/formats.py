"""What a sink can be opened for: a new format is a file for its sink and an entry in `FORMATS`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from maskcast.errors import UsageError
from sinks.video.container import CONTAINERS
from sinks.video.style import OUTLINED, Styles

if TYPE_CHECKING:  # the command line starts without an event loop
    from sinks.sink import Sink

STDOUT = "-"


@dataclass(frozen=True, slots=True)
class SinkOptions:
    """What a sink may be told beside its target; each takes what concerns it.

    Attributes:
        prompts: the phrases in the order of their category numbers, for data-set formats; others follow as they come.
        codec, quality, preset: of annotated video, see `sinks.video.codec.EncoderSettings`.
        styles: of objects in annotated video.
    """

    prompts: Sequence[str] = ()
    codec: str | None = None
    quality: int | None = None
    preset: str | None = None
    styles: Styles = OUTLINED


@dataclass(frozen=True, slots=True)
class Format:
    """A format that results are written in.

    Attributes:
        name: what `name:target` begins with.
        title: what it is, for people.
        open: makes the sink for a target, not yet started. It imports what it needs by itself, so that a format costs
            nothing where another one is chosen.
        suffixes: of names of files, in lower case, that mean this format.
        stdout: whether `-`, the standard output, is one of its targets.
        schemes, url: what its URLs begin with, and how they look; such a format has no files.
        endless: whether what it takes is bounded by itself, as at a server, so that a stream without an end may be
            written to it.
        table: of the settings of `maskcast run` that asks for it; `out` does, if this is empty.
        beside: the files that it writes beside its target, for these prompts.
    """

    name: str
    title: str
    open: Callable[[str, SinkOptions], Sink]
    suffixes: tuple[str, ...] = ()
    stdout: bool = False
    schemes: tuple[str, ...] = ()
    url: str = ""
    endless: bool = False
    table: str = ""
    beside: Callable[[Path, Sequence[str]], Iterable[Path]] = lambda _path, _prompts: ()

    @property
    def patterns(self) -> list[str]:
        """What its targets look like, for people."""
        if self.schemes:
            return [self.url]
        files = [f"*{suffix}" for suffix in self.suffixes] or [f"{self.name}:target"]
        return [*files, STDOUT] if self.stdout else files


@dataclass(frozen=True, slots=True)
class Output:
    """Where results go, as a person has written it.

    Attributes:
        format: which one it means.
        target: a path, a URL, or `STDOUT`.
        prefix: the name of the format with its colon, if it is written before the target.
    """

    format: Format
    target: str
    prefix: str = ""

    @property
    def path(self) -> Path | None:
        """The file or folder; None for others."""
        return None if self.target == STDOUT or self.format.schemes else Path(self.target)

    def files(self, prompts: Sequence[str]) -> list[Path]:
        """All that it writes, where these prompts are tracked."""
        return [self.path, *self.format.beside(self.path, prompts)] if self.path else []


def parse_output(spec: str) -> Output:
    """Read the spec of a sink.

    Args:
        spec: in this order ``-`` for JSON Lines on the standard output; a URL, whose scheme says the format;
            ``name:target``, if a format has that name (a file that is called so is written ``./name:target``); or a
            path, whose suffix says the format.

    Raises:
        UsageError: there is no such format, or it cannot go there.
    """
    scheme, is_url, _ = spec.partition("://")
    name, colon, rest = spec.partition(":")
    target, prefix = spec, ""
    if spec == STDOUT:
        chosen = [one for one in FORMATS if one.stdout]
    elif is_url:
        chosen = [one for one in FORMATS if scheme.lower() in one.schemes]
    elif chosen := [one for one in FORMATS if colon and one.name == name and not one.schemes]:
        target, prefix = rest, name + colon
    else:
        chosen = [one for one in FORMATS if Path(spec).suffix.lower() in one.suffixes]
    if not chosen:
        raise UsageError(f"no sink for {spec if is_url else repr(spec)}", advice=f"there are {known_formats()}")
    output = Output(chosen[0], target, prefix)
    if output.path and not output.path.name:
        raise UsageError(f"{spec} names no file", advice=f"write {prefix}name")
    if output.target == STDOUT and not output.format.stdout:
        what = f"{output.format.name} cannot be written to the standard output"
        raise UsageError(what, advice="name a file")
    return output


def known_formats() -> str:
    """All formats with what their targets look like, for people, in one line."""
    parts = []
    for title, formats in groupby(FORMATS, key=lambda one: one.title):
        *others, last = [pattern for one in formats for pattern in one.patterns]
        parts.append(f"{', '.join(others)} or {last} ({title})" if others else f"{last} ({title})")
    return ", ".join(parts)


def _video(suffix: str) -> Callable[[str, SinkOptions], Sink]:
    def open_video(target: str, options: SinkOptions) -> Sink:
        from sinks.video.annotated import AnnotatedVideoSink
        from sinks.video.codec import EncoderSettings

        settings = EncoderSettings(options.codec, options.quality, options.preset)
        return AnnotatedVideoSink(Path(target), settings, suffix, options.styles)

    return open_video


def _json_lines(target: str, _: SinkOptions) -> Sink:
    from sinks.datasets.jsonl import JsonLinesSink, StdoutSink

    return StdoutSink() if target == STDOUT else JsonLinesSink(Path(target))


def _coco(target: str, options: SinkOptions) -> Sink:
    from sinks.datasets.coco import CocoSink

    return CocoSink(Path(target), options.prompts)


def _mot(target: str, options: SinkOptions) -> Sink:
    from sinks.datasets.mot import MotSink

    return MotSink(Path(target), options.prompts)


def _mot_files(path: Path, prompts: Sequence[str]) -> Iterable[Path]:
    from sinks.datasets.mot import prompt_files

    return prompt_files(path, prompts).values()


def _mqtt(target: str, options: SinkOptions) -> Sink:
    from sinks.mqtt.sink import MqttSink

    return MqttSink(target, options.prompts)


FORMATS: tuple[Format, ...] = (
    *(Format(suffix[1:], "annotated video", _video(suffix), (suffix,)) for suffix in CONTAINERS),
    Format("jsonl", "JSON Lines", _json_lines, (".jsonl",), stdout=True),
    Format("coco", "COCO / YouTube-VIS", _coco, (".json",)),
    Format("mot", "MOTChallenge", _mot, (".txt",), beside=_mot_files),
    Format("mqtt", "MQTT", _mqtt, schemes=("mqtt", "mqtts"), url="mqtt[s]://host/prefix", endless=True, table="mqtt"),
)
