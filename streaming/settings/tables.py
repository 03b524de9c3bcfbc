"""The settings of `maskcast run`: what `cameras.toml` may say. Nothing here imports a model, a decoder or a client."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from maskcast.errors import SettingsError, UsageError
from maskcast.places import Places
from maskcast.prompts import Prompt, names
from maskcast.redaction import hide, passwords_of
from sinks.filename import STREAM_FIELD, with_stream
from sinks.formats import parse_output
from sinks.messages.control import ACTIONS
from sinks.messages.places import Lines, Zones, places_of
from sinks.messages.prompt import prompts_of
from sinks.mqtt.journal import DEFAULT_LIMIT_EVENTS
from sinks.video.recording_settings import RecordingSettings
from sinks.video.style import DEFAULT_STYLE, Styles, styles_of
from sources.location import HTTP_SCHEMES, Kind, kind_of, scheme_of
from sources.pixels import HIGHEST_MAX_PIXELS, MAX_PIXELS
from sources.settings import (
    CONNECT_SECONDS,
    DEFAULT_DECODER,
    DEFAULT_TRANSPORT,
    HLS_SILENCE_SECONDS,
    SILENCE_SECONDS,
    DecoderName,
    SourceSettings,
    Transport,
    silence_of,
)
from streaming.defaults import (
    BATCH_WAIT_SECONDS,
    HIGHEST_MAX_RATE,
    LOWEST_MAX_RATE,
    MAX_BATCH,
    SAVE_INTERVAL_SECONDS,
    SHORTEST_SAVE_INTERVAL_SECONDS,
)
from streaming.settings.broker import MqttSettings
from streaming.settings.cluster import ClusterSettings
from streaming.settings.file import fill_in, read_toml
from streaming.settings.model import ModelSettings
from streaming.settings.problems import found_problems
from streaming.settings.table import DAY_SECONDS, Table
from streaming.settings.values import (
    Actions,
    ClockTime,
    FilePath,
    Outs,
    Prompts,
    SourceSpec,
    StreamId,
    StyleWords,
)
from streaming.settings.web import HttpSettings
from streaming.zones.checks import check_places

MAX_STREAMS = 256


class StateSettings(Table):
    """What survives a restart."""

    folder: FilePath = Field(
        default=Path("maskcast-state"),
        validate_default=True,
        description="Where the journal, the track states, what the broker retains and the page's events are kept, for "
        "this user alone.",
    )
    save_seconds: float = Field(
        default=SAVE_INTERVAL_SECONDS,
        ge=SHORTEST_SAVE_INTERVAL_SECONDS,
        le=DAY_SECONDS,
        description="Seconds between two savings of a track state; a killed process forgets what came since.",
    )
    max_events: int = Field(
        default=DEFAULT_LIMIT_EVENTS,
        ge=100,
        le=10_000_000,
        description="Events kept while the broker is away; the oldest go first.",
    )


class LogSettings(Table):
    """What is logged, on the standard error output."""

    level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="What is logged at least.")
    format: Literal["text", "json"] = Field(default="text", description="For people or for machines.")


class WorkerSettings(Table):
    """How frames are batched."""

    max_batch: int = Field(default=MAX_BATCH, ge=1, le=64, description="Frames that the model sees at once.")
    batch_wait: float = Field(
        default=BATCH_WAIT_SECONDS, ge=0.0, le=1.0, description="Seconds to wait for more frames of a batch."
    )


class RecordingTable(RecordingSettings, Table):
    """Annotated video of a stream, in segments."""

    folder: FilePath = Field(description="Each stream has a folder of its own in it.")


class StreamSettings(Table):
    """One camera, network stream or file."""

    source: SourceSpec = Field(
        description="`rtsp://`, `rtsps://`, `http(s)://`, `rtmp://`, `srt://`, `udp://`, `camera:0`, a file, or "
        "a folder of pictures."
    )
    prompts: Prompts = Field(description="What to look for: phrases, or tables of phrases with conditions.")
    transport: Transport = Field(default=DEFAULT_TRANSPORT, description="How RTSP's media travels.")
    ca_file: FilePath | None = Field(
        default=None,
        description="PEM file of the authority that signed an rtsps:// certificate; without it none is verified.",
    )
    connect_timeout: float = Field(
        default=CONNECT_SECONDS, ge=0.1, le=600.0, description="Seconds to wait for a connection."
    )
    silence_timeout: float = Field(
        default=SILENCE_SECONDS,
        ge=0.1,
        le=3600.0,
        description=f"Seconds without data after which to connect anew; HLS: {HLS_SILENCE_SECONDS:.0f}.",
    )
    live: bool | None = Field(
        default=None, description="Drop all but the newest frame, or process every one; by default as the source is."
    )
    max_pixels: int = Field(
        default=MAX_PIXELS,
        ge=1,
        le=HIGHEST_MAX_PIXELS,
        description="Largest picture, width times height; larger ones are refused before they are decoded.",
    )
    decoder: DecoderName = Field(
        default=DEFAULT_DECODER,
        description="What decodes the video: a graphics card's decoder where it is there, which leaves processors for "
        "other work; `auto` takes the first that works, else the processor.",
    )
    private_redirects: bool = Field(
        default=False, description="Let HTTP redirect to another host of a private network."
    )
    weight: float = Field(
        default=1.0, ge=0.01, le=100.0, description="Share of the model when there are too many frames."
    )
    max_rate: float | None = Field(
        default=None,
        ge=LOWEST_MAX_RATE,
        le=HIGHEST_MAX_RATE,
        description="Most frames a second that are tracked, and so published and recorded; the others are left out.",
    )
    control: Actions = Field(
        default=ACTIONS,
        description="What may be asked for on the topic `control`; `[]` switches it off.",
    )
    out: Outs = Field(
        default=(),
        description="Files to write as well, of sources that end; `coco:name` where its suffix does not say the "
        "format. `{stream}` stands for the stream's id. Folders are made, and a file that exists is replaced, so that "
        "a service starts again by itself.",
    )
    recording: RecordingTable | None = Field(
        default=None,
        description="Record annotated video of the frames that are tracked: not of those that `max_rate` leaves out, "
        "or that are dropped because the model is too slow. No file replaces another: its name is the time of its "
        "first frame.",
    )
    style: StyleWords = Field(
        default=DEFAULT_STYLE,
        description="How objects are shown in recordings, stills and annotated video: outlined; hidden, by `blur`, "
        "`pixelate` or `fill`; or `only` they are shown and all else is hidden. A word for all prompts, or a table of "
        'prompts and words, `{ person = "blur" }`, where the others are outlined.',
    )
    zones: Zones = Field(default={}, description="Areas in which objects are counted.")
    lines: Lines = Field(default={}, description="Lines at which objects are counted.")
    reset: ClockTime | None = Field(
        default=None,
        description='Local time, such as `"00:00"`, at which the totals of zones and lines begin anew each day; by '
        "default they do on request alone.",
    )

    @model_validator(mode="before")
    @classmethod
    def _patience(cls, data: Any) -> Any:
        """HLS needs longer than a camera before it counts as dead."""
        if isinstance(data, dict) and "silence_timeout" not in data and isinstance(url := data.get("source"), str):
            with suppress(ValueError):  # said when the source itself is checked
                return {**data, "silence_timeout": silence_of(url)}
        return data

    @model_validator(mode="after")
    def _fits(self) -> StreamSettings:
        scheme = scheme_of(self.source) if "://" in self.source else ""
        if self.ca_file and scheme != "rtsps":
            raise ValueError("ca_file needs a source that begins with rtsps://")
        if self.transport == "udp" and scheme != "rtsp":
            raise ValueError("transport udp needs a source that begins with rtsp://")
        outputs = [parse_output(out) for out in self.out]
        if not self.ends() and not all(output.format.endless for output in outputs):
            raise ValueError(
                "out would grow without bound, because this source never ends: use [mqtt] or recording instead"
            )
        if os.path.realpath(self.source) in {os.path.realpath(output.path) for output in outputs if output.path}:
            raise ValueError("out names the source itself")
        published = names(self.wanted())
        check_places(self.places(), published)
        self.styles().check(published)
        if self.reset and not self.places():
            raise ValueError("reset needs a zone or a line")
        if self.reset and self.ends():
            raise ValueError("reset needs a source that never ends")
        return self

    def styles(self) -> Styles:
        """How objects are shown."""
        return styles_of(self.style)

    def places(self) -> Places:
        """The zones and lines."""
        return places_of(self.zones, self.lines)

    def wanted(self) -> tuple[Prompt, ...]:
        """What to look for."""
        return prompts_of(self.prompts)

    def source_settings(self) -> SourceSettings:
        """How the source is opened."""
        return SourceSettings(
            live=self.live,
            transport=self.transport,
            connect_seconds=self.connect_timeout,
            silence_seconds=self.silence_timeout,
            ca_file=self.ca_file,
            max_pixels=self.max_pixels,
            private_redirects=self.private_redirects,
            decoder=self.decoder,
        )

    def ends(self) -> bool:
        """Whether the source has an end: a file, images, or what HTTP serves if it is said not to be live."""
        kind = kind_of(self.source)
        recorded = kind is Kind.NETWORK and scheme_of(self.source) in HTTP_SCHEMES and self.live is False
        return kind in {Kind.FILE, Kind.IMAGES} or recorded


class Settings(Table):
    """A whole file."""

    model: ModelSettings = ModelSettings()
    mqtt: MqttSettings | None = None
    state: StateSettings = Field(default_factory=dict, validate_default=True)
    http: HttpSettings = HttpSettings()
    log: LogSettings = LogSettings()
    worker: WorkerSettings = WorkerSettings()
    cluster: ClusterSettings | None = None
    streams: dict[StreamId, StreamSettings] = Field(min_length=1, max_length=MAX_STREAMS)

    @model_validator(mode="after")
    def _apart(self) -> Settings:
        """Streams must not share a folder, not even where case does not count, nor an output."""
        names: dict[str, str] = {}
        outputs: dict[str, str] = {}
        for name, stream in self.streams.items():
            if (other := names.setdefault(name.casefold(), name)) != name:
                raise ValueError(f"streams {other[:40]!a} and {name[:40]!a} differ in case alone; rename one")
            for number, out in enumerate(stream.out):
                key = f"streams.{name}.out[{number}]"
                path = parse_output(with_stream(out, name)).path
                if path and (first := outputs.setdefault(os.path.realpath(path), key)) != key:
                    raise ValueError(f"{first} and {key} are the same file: put {STREAM_FIELD} into its name")
        return self


def load_settings(file: Path, environment: Mapping[str, str] = os.environ) -> Settings:
    """Read a settings file; relative paths in it become paths relative to the file's folder, made absolute.

    Args:
        file: TOML, at most 1 MiB.
        environment: where `${NAME}` in a string value comes from; `$${` stands for `${`.

    Raises:
        SettingsError: the first ten problems; none quotes a credential or a substituted value.
        UsageError: it cannot be read, is too large, or is not TOML.
    """
    document = read_toml(file, "maskcast run --help shows how one begins")
    filled = fill_in(document, environment, file.name)
    try:
        settings = Settings.model_validate(filled, context={"folder": Path(os.path.abspath(file)).parent})  # noqa: PTH100
    except ValidationError as error:
        # Without the cause: its text, and so a traceback, would quote what was given.
        raise SettingsError(found_problems(error, Settings, document, file.name)) from None
    except RecursionError:
        raise UsageError("nested too deeply", where=file.name) from None
    hide(_passwords(settings))
    return settings


def _passwords(settings: Settings) -> Iterator[str]:
    """Those that stand in the file itself, as they are written and as they are meant."""
    urls = [url for stream in settings.streams.values() for url in (stream.source, *stream.out)]
    if settings.mqtt is not None:
        urls.append(settings.mqtt.url)
        yield settings.mqtt.address().password or ""
    yield settings.http.secret() or ""
    for url in urls:
        yield from passwords_of(url)


def restart_needed(old: Settings, new: Settings) -> list[str]:
    """The dotted names of what differs and cannot be changed by a reload, such as `model.device`; empty if nothing."""
    changed = []
    # Streams are opened and closed one by one, all else belongs to the whole process.
    for section in (name for name in Settings.model_fields if name != "streams"):
        before, after = getattr(old, section), getattr(new, section)
        if before is None or after is None:
            changed += [section] if before is not after else []
            continue
        fields = type(before).model_fields
        changed += [f"{section}.{name}" for name in fields if getattr(before, name) != getattr(after, name)]
    return changed
