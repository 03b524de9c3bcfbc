"""The settings file as text: what is read of it, and that nothing but settings or one kind of error comes of it."""

from __future__ import annotations

import copy
import json
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskcast.errors import UsageError
from maskcast.prompts import Prompt
from streaming.settings.tables import Settings, load_settings, restart_needed
from tests.settings_files import DOCS, MINIMAL, SECRET, load, refusal, stream


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    assert load(tmp_path, b"\xef\xbb\xbf" + MINIMAL.encode()).streams


def test_variables_fill_strings_once_and_wherever_they_stand(tmp_path: Path) -> None:
    text = stream('ca_file = "${A}.pem"', source="rtsps://u:${B}@h/${A}", prompts='["${A} and $${A} for $5"]')
    door = load(tmp_path, text, {"A": "x", "B": "${A}$${"}).streams["door"]
    assert unquote(door.source) == "rtsps://u:${A}$${@h/x"
    assert door.wanted() == (Prompt("x and ${A} for $5"),)
    assert door.ca_file == tmp_path / "x.pem"


def test_an_unset_variable_is_named_with_its_key(tmp_path: Path) -> None:
    text = stream(source="rtsp://u:${NOWHERE}@h/") + '[streams.b]\nsource = "${GONE}"\nprompts = ["x"]'
    assert refusal(tmp_path, text).splitlines() == [
        "cameras.toml: streams.door.source: the environment variable NOWHERE is not set",
        "cameras.toml: streams.b.source: the environment variable GONE is not set",
    ]


@pytest.mark.parametrize("text", ["${}", "${a b}", "${x", "${A:-b}", "$(id)${`id`}"])
def test_only_names_are_variables(tmp_path: Path, text: str) -> None:
    assert "streams.door.prompts[0]: write ${NAME}" in refusal(tmp_path, stream(prompts=json.dumps([text])))


@pytest.mark.parametrize("value", ["a\nb", "a\0b", "\udcff"])
def test_values_that_no_setting_can_hold(tmp_path: Path, value: str) -> None:
    with pytest.raises(UsageError, match=r"streams.door.source: holds a control character"):
        load(tmp_path, stream(source="rtsp://u:${P}@h/"), {"P": value})


def test_nothing_is_replaced_in_keys(tmp_path: Path) -> None:
    assert list(load(tmp_path, MINIMAL.replace("door", '"a${TOKEN}"')).streams) == ["a${TOKEN}"]


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nothing.toml: no such file"):
        load_settings(tmp_path / "nothing.toml", {})
    with pytest.raises(UsageError, match="not a file"):
        load_settings(tmp_path, {})
    with pytest.raises(UsageError, match="not a path"):
        load_settings(Path("a\0b"), {})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("settings")


def survives(folder: Path, text: str | bytes) -> None:
    """Settings or one kind of error, and no secret in either."""
    try:
        found = load(folder, text)
    except UsageError as error:
        lines = str(error).splitlines()
    else:
        assert isinstance(found, Settings)
        assert restart_needed(found, found) == []
        assert found.mqtt is None or found.mqtt.address().host
        found.http.address()
        return
    assert 1 <= len(lines) <= 11
    for line in lines:
        assert SECRET not in line
        assert line.isprintable()
        assert len(line) < 1200


@given(st.binary(max_size=200))
@settings(deadline=None, max_examples=100)
def test_any_bytes_are_settings_or_an_error(folder: Path, content: bytes) -> None:
    survives(folder, content)


def keys_of(table: Any) -> set[str]:
    if not isinstance(table, dict):
        return set()
    return set(table).union(*map(keys_of, table.values()))


def toml(value: Any) -> str:
    """TOML of a value; tables inline, which is enough."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(str(key))} = {toml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return str(value).lower()


def document(value: dict[str, Any]) -> str:
    return "".join(f"{toml(key)} = {toml(inner)}\n" for key, inner in value.items())


EXAMPLE = tomllib.loads((DOCS / "cameras.toml").read_text(encoding="utf-8"))


text_values = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
    st.sampled_from(
        ["${TOKEN}", "rtsp://u:${TOKEN}@h:x/", "mqtt://${TOKEN}", f"rtsp://u:{SECRET}@h/", "a.mp4", "1 MB", "~x"]
    ),
)


values = st.recursive(
    st.one_of(st.booleans(), st.integers(), st.floats(), text_values),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(st.sampled_from(sorted(keys_of(EXAMPLE))), text_values), inner, max_size=4),
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["model", "mqtt", "http", "streams", "x"]), values, max_size=4))
@settings(deadline=None, max_examples=100)
def test_any_document_is_settings_or_an_error(folder: Path, found: dict[str, Any]) -> None:
    survives(folder, document(found))


@given(st.data())
@settings(deadline=None, max_examples=150)
def test_any_change_to_good_settings_gives_settings_or_an_error(folder: Path, data: st.DataObject) -> None:
    changed = copy.deepcopy(EXAMPLE)
    for _ in range(data.draw(st.integers(1, 3))):
        table: Any = changed
        while True:
            key = data.draw(st.sampled_from(sorted(table)))
            if not isinstance(table[key], dict) or not table[key] or data.draw(st.integers(0, 5)) == 0:
                break
            table = table[key]
        match data.draw(st.sampled_from(["value", "delete", "rename"])):
            case "value":
                table[key] = data.draw(values)
            case "delete":
                del table[key]
            case "rename":
                table[data.draw(text_values)] = table.pop(key)
        if not changed:
            break
    survives(folder, document(changed))


@given(st.data())
@settings(deadline=None, max_examples=100)
def test_any_damage_to_the_text_gives_settings_or_an_error(folder: Path, data: st.DataObject) -> None:
    text = (DOCS / "cameras.toml").read_bytes()
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 40)))
    survives(folder, text[:start] + data.draw(st.binary(max_size=20)) + text[end:])
