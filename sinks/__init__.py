"""Maskcast's results out: MQTT, annotated video, JSON Lines and data-set formats."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sinks.formats import SinkOptions, parse_output
from sinks.video.style import OUTLINED, Styles

if TYPE_CHECKING:
    from sinks.sink import Sink


def open_sink(
    spec: str,
    *,
    prompts: Sequence[str] = (),
    codec: str | None = None,
    quality: int | None = None,
    preset: str | None = None,
    styles: Styles = OUTLINED,
) -> Sink:
    """Make the sink that `spec` names, not yet started.

    Args:
        spec: see `sinks.formats.parse_output`.
        prompts: see `sinks.formats.SinkOptions`.
        codec: see there.
        quality: see there.
        preset: see there.
        styles: see there.

    Raises:
        UsageError: no sink is called so, or its URL is malformed.
    """
    output = parse_output(spec)
    return output.format.open(output.target, SinkOptions(prompts, codec, quality, preset, styles))
