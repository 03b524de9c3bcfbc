"""Settings files for tests."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from maskcast.errors import UsageError
from streaming.settings.tables import Settings, load_settings
from tests.paths import ROOT

DOCS = ROOT / "docs"


SECRET = "Zq7-unspeakable"


ENVIRONMENT = {"MQTT_PASSWORD": SECRET, "DOOR_PASSWORD": SECRET, "TOKEN": SECRET}


MINIMAL = '[streams.door]\nsource = "rtsp://10.0.0.5/stream1"\nprompts = ["person"]\n'


def load(folder: Path, text: str | bytes, environment: dict[str, str] | None = None) -> Settings:
    file = folder / "cameras.toml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return load_settings(file, ENVIRONMENT if environment is None else environment)


def refusal(folder: Path, text: str | bytes) -> str:
    with pytest.raises(UsageError) as caught:
        load(folder, text)
    assert SECRET not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None  # a traceback would quote the values
    return str(caught.value)


def stream(more: str = "", *, source: str = "rtsp://10.0.0.5/stream1", prompts: str = '["person"]') -> str:
    return f"[streams.door]\nsource = {json.dumps(source)}\nprompts = {prompts}\n{more}\n"
