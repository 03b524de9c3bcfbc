"""What `maskcast check` does: try everything that `maskcast run` would need, and start nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from maskcast.errors import MaskcastError, ModelError, SettingsError, SinkError, SourceError, UsageError
from maskcast.prompts import names
from maskcast.redaction import redact
from maskcast.threads import in_daemon_thread
from sinks.filename import with_stream
from sinks.formats import parse_output
from sinks.through import destination, kind_of_target
from sinks.video.recording_settings import RecordingSettings
from streaming.commands import cluster_probe, model_probe, probes
from streaming.commands.probes import Finding, Verdict, failed
from streaming.settings.model import ModelSettings
from streaming.settings.tables import Settings, load_settings

# Cameras opened at the same moment: more would starve each other on a small machine, and be reported for that.
CAMERAS_AT_ONCE = 8
# Importing torch from a cold disk takes most of it.
MODEL_SECONDS = 180.0
LOCAL_SECONDS = 30.0
# Beyond a source's own time-outs, for the thread to be scheduled and the decoder to be opened.
GRACE_SECONDS = 10.0
# A longer name of a part puts only its own line out of the table.
LONGEST_NAME_CHARACTERS = 40


@dataclass(frozen=True)
class Probe:
    """One thing to try.

    Attributes:
        what: it is, for the table.
        run: tries it; blocking.
        seconds: after which it has failed.
        error: the kind of failure that it is if it does not end.
    """

    what: str
    run: Callable[[], list[Finding]]
    seconds: float
    error: type[MaskcastError]


def run_check(file: Path | None) -> tuple[list[str], int]:
    """Try all that a settings file needs, or without one what this machine can do; always ends.

    Args:
        file: the settings of `maskcast run`.

    Returns:
        The lines of the table, and the exit code: 0, or the lowest of those of the failures: 2 for settings, 3 for
        sources, 4 for sinks, 5 for the model.
    """
    if file is None:
        return _table(asyncio.run(_run(_machine())))
    try:
        settings = load_settings(file)
    except UsageError as error:
        problems = error.problems if isinstance(error, SettingsError) else [error]
        return _table([failed("settings", problem) for problem in problems])
    read = Finding(Verdict.OK, "settings", f"{file}: {_count(len(settings.streams), 'stream')}")
    return _table([read, *asyncio.run(_run(_everything(settings)))])


def _table(findings: Sequence[Finding]) -> tuple[list[str], int]:
    """A line for each finding, and the exit code."""
    width = min(LONGEST_NAME_CHARACTERS, max(len(finding.what) for finding in findings))
    lines = [
        f"{finding.verdict:<4}  {finding.what:<{width}}  {redact(' '.join(finding.detail.split()))}"
        for finding in findings
    ]
    return lines, min((finding.exit_code for finding in findings if finding.verdict is Verdict.FAIL), default=0)


async def _run(todo: Sequence[Probe]) -> list[Finding]:
    """Run all probes at the same time, the cameras among them a few at a time; their findings in their order."""
    cameras = asyncio.Semaphore(CAMERAS_AT_ONCE)

    async def one(probe: Probe) -> list[Finding]:
        if probe.error is not SourceError:
            return await _bounded(probe)
        async with cameras:
            return await _bounded(probe)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(probe), name=f"check {probe.what}") for probe in todo]
    return [finding for task in tasks for finding in task.result()]


async def _bounded(probe: Probe) -> list[Finding]:
    """The probe's findings, whatever it does: one that hangs is left behind on its daemon thread."""
    running = in_daemon_thread(probe.run, f"check {probe.what}")
    done, _ = await asyncio.wait([running], timeout=probe.seconds)
    if not done:
        return [Finding(Verdict.FAIL, probe.what, f"no answer in {probe.seconds:.0f} s", probe.error.exit_code)]
    try:
        return running.result()
    except Exception as error:  # noqa: BLE001 - a check reports whatever happens; the text may quote anything
        detail = f"failed in an unforeseen way ({type(error).__name__})"
        return [Finding(Verdict.FAIL, probe.what, detail, probe.error.exit_code)]


def _everything(settings: Settings) -> list[Probe]:
    prompts = {name: stream.wanted() for name, stream in settings.streams.items()}

    def model() -> list[Finding]:  # one after the other: both wait for torch
        return [*model_probe.probe_device(settings.model), *model_probe.probe_model(settings.model, prompts)]

    published = {name: names(wanted) for name, wanted in prompts.items()}
    todo = [Probe("model", model, MODEL_SECONDS, ModelError)]
    if (cluster := settings.cluster) is not None:  # its workers have the model
        seconds = cluster_probe.CLUSTER_SECONDS
        todo = [Probe("cluster", lambda: cluster_probe.probe_cluster(settings, cluster), seconds, ModelError)]
    mqtt, http = settings.mqtt, settings.http
    if mqtt is not None:
        seconds = probes.BROKER_SECONDS + len(prompts) * probes.BROKER_STREAM_SECONDS
        todo.append(Probe("mqtt", lambda: probes.probe_broker(mqtt, published), seconds, SinkError))
    folder = settings.state.folder
    todo.append(Probe("state", lambda: probes.probe_folder("state", folder), LOCAL_SECONDS, SinkError))
    if http.listen:
        todo.append(Probe("http", lambda: probes.probe_http(http), LOCAL_SECONDS, UsageError))
    todo += _outputs(settings)
    for name, stream in settings.streams.items():
        waits = (stream.connect_timeout, stream.silence_timeout)
        seconds = sum(min(wait, probes.LONGEST_WAIT_SECONDS) for wait in waits) + GRACE_SECONDS
        todo.append(
            Probe(
                f"streams.{name}",
                lambda name=name, stream=stream: probes.probe_source(name, stream),  # type: ignore[misc]
                seconds,
                SourceError,
            )
        )
    return todo


def _outputs(settings: Settings) -> list[Probe]:
    """Folders that are written to, each once, and the encoders."""
    recordings: dict[Path, list[tuple[str, RecordingSettings]]] = {}
    for name, stream in settings.streams.items():
        if stream.recording is not None:
            recordings.setdefault(stream.recording.folder, []).append((name, stream.recording))
    todo = [
        Probe(
            "recording",
            lambda folder=folder, those=those: probes.probe_recordings(folder, those),  # type: ignore[misc]
            LOCAL_SECONDS,
            SinkError,
        )
        for folder, those in recordings.items()
    ]
    codecs = dict.fromkeys(recording.codec for those in recordings.values() for _, recording in those)
    if codecs:
        todo.append(Probe("encoder", lambda: probes.probe_encoders(codecs), LOCAL_SECONDS, SinkError))
    specs = (with_stream(out, name) for name, stream in settings.streams.items() for out in stream.out)
    paths = [path for path in (parse_output(spec).path for spec in specs) if path and not kind_of_target(path)]
    todo.append(Probe("out", lambda: probes.probe_targets("out", paths), LOCAL_SECONDS, SinkError))
    folders = dict.fromkeys(destination(path).parent for path in paths)
    todo += [
        Probe("out", lambda folder=folder: probes.probe_folder("out", folder), LOCAL_SECONDS, SinkError)  # type: ignore[misc]
        for folder in folders
    ]
    return todo


def _machine() -> list[Probe]:
    """What can be said of this machine without settings."""

    def model() -> list[Finding]:
        default = ModelSettings()
        return [
            *model_probe.probe_device(default),
            *model_probe.probe_nano(),
            *model_probe.probe_model(default, {}),
        ]

    return [
        Probe("video", _video, LOCAL_SECONDS, SinkError),
        Probe("encoder", _encoders, 2 * LOCAL_SECONDS, SinkError),
        Probe("model", model, MODEL_SECONDS, ModelError),
    ]


def _video() -> list[Finding]:
    import av

    return [Finding(Verdict.OK, "video", f"PyAV {av.__version__}, FFmpeg {av.ffmpeg_version_info}")]


def _encoders() -> list[Finding]:
    """Which encoder each format would get: hardware is tried on a frame."""
    from sinks.video.codec import ENCODERS, EncoderSettings, choose_encoder, software_for

    findings = []
    for form in ENCODERS:
        try:
            name = choose_encoder(EncoderSettings(form), ".mp4", 640, 360)
        except SinkError as error:
            findings.append(Finding(Verdict.WARN, "encoder", str(error)))
        else:
            kind = "hardware" if software_for(name) else "software"
            findings.append(Finding(Verdict.OK, "encoder", f"{form}: {name} ({kind})"))
    return findings


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
