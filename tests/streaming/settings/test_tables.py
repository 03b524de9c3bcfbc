"""What settings say, and what differs after a change."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from maskcast.errors import UsageError
from maskcast.redaction import redact
from sinks import formats
from sources.settings import SILENCE_SECONDS, SourceSettings
from streaming.settings.tables import load_settings, restart_needed
from tests.settings_files import DOCS, ENVIRONMENT, MINIMAL, SECRET, load, refusal, stream
from trackers.defaults import MODEL


def test_the_example_is_complete_and_true() -> None:
    found = load_settings(DOCS / "cameras.toml", ENVIRONMENT)
    assert list(found.streams) == ["door", "yard", "site", "archive"]
    assert found.mqtt is not None
    address = found.mqtt.address()
    assert (address.host, address.port, address.prefix, address.tls) == ("broker", 8883, "site", True)
    assert (address.username, address.password) == ("maskcast", SECRET)
    assert found.streams["door"].source == f"rtsp://cam:{SECRET}@10.0.0.5/stream1"
    assert found.streams["door"].recording is not None
    assert found.streams["door"].recording.keep_bytes == 50_000_000_000
    assert found.mqtt.max_payload == 262_144
    helmet, bare = found.streams["site"].wanted()
    assert (helmet.name, helmet.group, helmet.avoid) == ("helmet", bare.group, ("poster", "statue"))


def test_the_example_shows_every_key() -> None:
    text = (DOCS / "cameras.toml").read_text(encoding="utf-8")
    shown = {line.lstrip("# ").split(" = ")[0] for line in text.splitlines() if " = " in line}
    sections = [(DOCS / "settings.md").read_text(encoding="utf-8").split("<!-- generated: settings -->")[1]]
    keys = {line.split("`")[1] for line in sections[0].splitlines() if line.startswith("| `")}
    assert len(keys) > 40
    assert keys <= shown


def test_defaults_of_the_smallest_file(tmp_path: Path) -> None:
    found = load(tmp_path, MINIMAL)
    assert found.model.name == MODEL
    assert found.mqtt is None
    assert found.state.folder == tmp_path / "maskcast-state"
    assert found.http.address() == ("127.0.0.1", 9464)
    door = found.streams["door"]
    assert (door.transport, door.connect_timeout, door.silence_timeout, door.live, door.weight) == (
        "tcp",
        10.0,
        10.0,
        None,
        1.0,
    )
    assert (door.max_rate, door.out, door.recording) == (None, (), None)
    assert door.control == ("set", "add", "remove", "pause", "resume", "snapshot", "reset", "places")


def test_settings_load_without_torch_or_a_decoder() -> None:
    heavy = ("torch", "av", "cv2", "aiomqtt")
    code = f"import sys, streaming.settings.tables; print([m for m in {heavy} if m in sys.modules])"
    output = subprocess.run([sys.executable, "-c", code], cwd=DOCS.parent, capture_output=True, text=True, check=True)
    assert output.stdout.strip() == "[]"


def test_paths_start_at_the_files_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "etc").mkdir()
    text = '[state]\nfolder = "../state"\n[model]\nname = "./checkpoint"\n' + stream(
        'out = ["{stream}.jsonl"]\n[streams.door.recording]\nfolder = "rec"\nkeep_files = 1', source="clips/a.mp4"
    )
    file = tmp_path / "etc" / "cameras.toml"
    file.write_text(text)
    monkeypatch.chdir(elsewhere)
    found = load_settings(Path("../etc/cameras.toml"), {})
    assert found.state.folder.resolve() == tmp_path / "state"
    door = found.streams["door"]
    assert door.source == str(tmp_path / "etc" / "clips" / "a.mp4")
    assert door.out == (str(tmp_path / "etc" / "{stream}.jsonl"),)
    assert door.recording is not None
    assert door.recording.folder == tmp_path / "etc" / "rec"
    assert found.model.name == str(tmp_path / "etc" / "checkpoint")


@pytest.mark.parametrize("source", ["camera:0", "/dev/video1", "http://h/a.mp4", "udp://@:5000", "/absolute/a.mp4"])
def test_sources_that_are_no_relative_path_stay_as_they_are(tmp_path: Path, source: str) -> None:
    assert load(tmp_path, stream(source=source)).streams["door"].source == source


def test_hls_may_be_silent_for_longer(tmp_path: Path) -> None:
    url = "https://h/live/index.m3u8"
    assert load(tmp_path, stream(source=url)).streams["door"].silence_timeout == 30.0
    assert load(tmp_path, stream("silence_timeout = 4", source=url)).streams["door"].silence_timeout == 4.0


@pytest.mark.parametrize(("listen", "address"), [("", None), ("[::1]:80", ("::1", 80)), ("box:0", ("box", 0))])
def test_addresses_to_listen_on(tmp_path: Path, listen: str, address: tuple[str, int] | None) -> None:
    assert load(tmp_path, f'[http]\nlisten = "{listen}"\n{MINIMAL}').http.address() == address


def test_the_pages_password_is_text_a_variable_or_the_first_line_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("correct horse\r\nnothing of this\n")
    for line in ('password = "correct horse"', 'password = "${WORDS}"', 'password_file = "secret"'):
        (tmp_path / "cameras.toml").write_text(f"[http]\n{line}\n{MINIMAL}")
        found = load_settings(tmp_path / "cameras.toml", {"WORDS": "correct horse"})
        assert found.http.secret() == "correct horse"
        assert "correct horse" not in f"{found!r} {found.http}"
        assert redact("as in correct horse") == "as in ***"
    assert load(tmp_path, MINIMAL).http.secret() is None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"", "its first line is the password, of 8 to 1000 characters"),
        (b"\ncorrect horse\n", "its first line is the password"),
        (b"short\n", "its first line is the password"),
        (b"x" * 10_000_000, "its first line is the password"),
        (b"\xff" * 9, "its first line is no text in UTF-8"),
    ],
)
def test_a_file_without_a_password_is_refused(tmp_path: Path, content: bytes | None, reason: str) -> None:
    if content is not None:
        (tmp_path / "secret").write_bytes(content)
    with pytest.raises(UsageError, match=rf"^http\.password_file: {re.escape(reason)}[^\n]*$"):
        load(tmp_path, f'[http]\npassword_file = "secret"\n{MINIMAL}')


def test_a_prefix_ends_in_no_slash(tmp_path: Path) -> None:
    for written, meant in (("", ""), ("/", ""), ("/cameras", "/cameras"), ("/a/b-c_~.d/", "/a/b-c_~.d")):
        assert load(tmp_path, f'[http]\nprefix = "{written}"\n{MINIMAL}').http.prefix == meant


def test_two_streams_may_share_a_source_and_a_recording_folder(tmp_path: Path) -> None:
    one = 'source = "rtsp://h/x"\nprompts = ["a"]\nrecording = {folder = "r", keep_files = 2}\n'
    assert len(load(tmp_path, f"[streams.a]\n{one}[streams.b]\n{one}").streams) == 2


def test_a_format_goes_before_a_path_that_is_made_absolute(tmp_path: Path) -> None:
    settings = load(tmp_path, stream('out = ["coco:masks/{stream}.out"]', source="a.mp4"))
    assert settings.streams["door"].out == (f"coco:{tmp_path}/masks/{{stream}}.out",)


def test_a_camera_may_write_to_what_has_no_end_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = formats.Format("queue", "a queue", lambda *_: pytest.fail("not yet"), schemes=("queue",), endless=True)
    monkeypatch.setattr(formats, "FORMATS", (*formats.FORMATS, queue))
    settings = load(tmp_path, stream('out = ["queue://user:s3cret@host/x"]'))
    assert settings.streams["door"].out == ("queue://user:s3cret@host/x",)
    assert redact("s3cret") == "***"
    assert "out would grow without bound" in refusal(tmp_path, stream('out = ["queue://host/x", "a.jsonl"]'))
    assert refusal(tmp_path, stream('out = ["quue://host/x"]')).endswith("mot:, queue://")


def test_two_streams_cannot_write_one_file(tmp_path: Path) -> None:
    one = 'source = "a.mp4"\nprompts = ["a"]\n'
    text = f"[streams.a]\n{one}out = ['x.json']\n[streams.b]\n{one}out = ['x.json']\n"
    for spelled in (text, text.replace("x.json", "sub/../x.json", 1)):
        assert "streams.a.out[0] and streams.b.out[0] are the same file: put {stream} into its name" in refusal(
            tmp_path, spelled
        )
    assert load(tmp_path, text.replace("x.json", "{stream}.json"))


def test_settings_cannot_be_changed(tmp_path: Path) -> None:
    found = load(tmp_path, MINIMAL)
    with pytest.raises(ValidationError):
        found.streams["door"].weight = 2.0  # type: ignore[misc]


def test_a_reload_sees_which_streams_changed(tmp_path: Path) -> None:
    both = MINIMAL + MINIMAL.replace("door", "yard")
    old, new = load(tmp_path, both), load(tmp_path, both.replace('person"]', 'dog"]', 1))
    assert old.streams["door"] != new.streams["door"]
    assert old.streams["yard"] == new.streams["yard"]
    assert restart_needed(old, new) == []


def test_a_reload_says_what_needs_a_restart(tmp_path: Path) -> None:
    old = load(tmp_path, '[model]\nname = "nano"\n[mqtt]\nurl = "mqtt://u@h"\npassword = "a"\n' + MINIMAL)
    new = load(tmp_path, '[mqtt]\nurl = "mqtt://u@h"\npassword = "b"\n[worker]\nmax_batch = 2\n' + MINIMAL)
    assert restart_needed(old, new) == ["model.name", "mqtt.password", "worker.max_batch"]
    assert restart_needed(old, load(tmp_path, MINIMAL)) == ["model.name", "mqtt"]
    assert restart_needed(old, old) == []


def test_a_source_is_opened_as_the_settings_say_and_by_the_same_defaults(tmp_path: Path) -> None:
    smallest = load(tmp_path, MINIMAL).streams["door"].source_settings()
    assert smallest == SourceSettings(silence_seconds=SILENCE_SECONDS)
    more = "connect_timeout = 3\nsilence_timeout = 4\nmax_pixels = 5\nlive = false\nprivate_redirects = true"
    assert load(tmp_path, stream(more, source="http://h/a.mp4")).streams["door"].source_settings() == SourceSettings(
        live=False, connect_seconds=3, silence_seconds=4, max_pixels=5, private_redirects=True
    )
