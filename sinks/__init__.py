"""Maskcast's results out: MQTT, annotated video, JSON Lines and data-set formats."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from maskcast.errors import UsageError
from sinks.filename import STREAM_FIELD
from sinks.sink import Sink

__all__ = ["STREAM_FIELD", "Sink", "open_sink"]

KINDS = (
    "*.mp4, *.mkv, *.mov or *.webm (annotated video), *.jsonl or - (JSON Lines), *.json (COCO / YouTube-VIS), "
    "*.txt (MOTChallenge), mqtt[s]://host/prefix"
)


def open_sink(
    spec: str,
    *,
    prompts: Sequence[str] = (),
    codec: str | None = None,
    quality: int | None = None,
    preset: str | None = None,
) -> Sink:
    """Make the sink that `spec` names, not yet started.

    Args:
        spec: a path whose suffix says the format, ``-`` for JSON Lines on the standard output, or an MQTT URL.
        prompts: the phrases in the order of their category numbers, for data-set formats; others follow as they come.
        codec: of annotated video, see `sinks.video.codec.EncoderSettings`.
        quality: of annotated video, see there.
        preset: of annotated video, see there.

    Raises:
        UsageError: no sink is called so, or its URL is malformed.
    """
    # Each sink is imported where it is chosen: a subscriber of JSON Lines needs no encoder, and starts faster.
    if spec == "-":
        from sinks.datasets.jsonl import StdoutSink

        return StdoutSink()
    if "://" in spec:
        if spec.partition("://")[0].lower() not in {"mqtt", "mqtts"}:
            from maskcast.redaction import redact

            raise UsageError(f"no sink for {redact(spec)}; there are {KINDS}")
        from sinks.mqtt.sink import MqttSink

        return MqttSink(spec, prompts)
    path = Path(spec)
    match path.suffix.lower():
        case ".mp4" | ".mkv" | ".mov" | ".webm":
            from sinks.video.annotated import AnnotatedVideoSink
            from sinks.video.codec import EncoderSettings

            return AnnotatedVideoSink(path, EncoderSettings(codec, quality, preset))
        case ".jsonl":
            from sinks.datasets.jsonl import JsonLinesSink

            return JsonLinesSink(path)
        case ".json":
            from sinks.datasets.coco import CocoSink

            return CocoSink(path, prompts)
        case ".txt":
            from sinks.datasets.mot import MotSink

            return MotSink(path, prompts)
    raise UsageError(f"no sink for {spec!r}; there are {KINDS}")
