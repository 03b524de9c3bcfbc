"""The settings file: what it may say, and what is said when it says something else."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from maskcast.errors import UsageError
from maskcast.redaction import redact
from sinks import formats
from streaming.settings.tables import Settings, load_settings, restart_needed
from tests.paths import ROOT
from trackers.defaults import MODEL

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


# What is accepted


def test_the_example_is_complete_and_true() -> None:
    found = load_settings(DOCS / "cameras.toml", ENVIRONMENT)
    assert list(found.streams) == ["door", "yard", "archive"]
    assert found.mqtt is not None
    address = found.mqtt.address()
    assert (address.host, address.port, address.prefix, address.tls) == ("broker", 8883, "site", True)
    assert (address.username, address.password) == ("maskcast", SECRET)
    assert found.streams["door"].source == f"rtsp://cam:{SECRET}@10.0.0.5/stream1"
    assert found.streams["door"].recording is not None
    assert found.streams["door"].recording.keep_bytes == 50_000_000_000
    assert found.mqtt.max_payload == 262_144


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
    assert door.control == ("set", "add", "remove", "pause", "resume", "snapshot")


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


def test_two_streams_may_share_a_source_and_a_recording_folder(tmp_path: Path) -> None:
    one = 'source = "rtsp://h/x"\nprompts = ["a"]\nrecording = {folder = "r", keep_files = 2}\n'
    assert len(load(tmp_path, f"[streams.a]\n{one}[streams.b]\n{one}").streams) == 2


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    assert load(tmp_path, b"\xef\xbb\xbf" + MINIMAL.encode()).streams


# ${NAME}


def test_variables_fill_strings_once_and_wherever_they_stand(tmp_path: Path) -> None:
    text = stream('ca_file = "${A}.pem"', source="rtsps://u:${B}@h/${A}", prompts='["${A} and $${A} for $5"]')
    door = load(tmp_path, text, {"A": "x", "B": "${A}$${"}).streams["door"]
    assert unquote(door.source) == "rtsps://u:${A}$${@h/x"
    assert door.prompts == ("x and ${A} for $5",)
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


RAW = [
    "/s3c",
    "12/s3c",
    "s3c#x",
    "s3c?x",
    "s3c@x",
    "s3c:x",
    "s3c%41",
    "s3c%",
    "s3c[x]",
    "s 3c",
    "1883/@s3c",
    "ü&=+;$",
    "",
]


@pytest.mark.parametrize("password", RAW)
def test_any_password_is_taken_as_it_is(tmp_path: Path, password: str) -> None:
    text = '[mqtt]\nurl = "mqtt://me:${P}@10.0.0.1:1/site"\n' + stream(
        source="rtsp://me:${P}@cam:554/x?token=${P}&c=1#${P}"
    )
    found = load(tmp_path, text, {"P": password})
    assert found.mqtt is not None
    address = found.mqtt.address()
    assert (address.host, address.port, address.prefix) == ("10.0.0.1", 1, "site")
    assert (address.username, address.password) == ("me", password)
    parts = urlsplit(found.streams["door"].source)
    assert (parts.hostname, parts.port, parts.path, parts.username) == ("cam", 554, "/x", "me")
    assert unquote(parts.password or "") == password
    assert parse_qs(parts.query, keep_blank_values=True) == {"token": [password], "c": ["1"]}
    assert unquote(parts.fragment) == password


@pytest.mark.parametrize(
    ("source", "value", "filled"),
    [
        ("rtsp://${V}@h/x", "me:pa:s/s", "rtsp://me:pa%3As%2Fs@h/x"),
        ("rtsp://${V}:x@h/", "m:e", "rtsp://m%3Ae:x@h/"),
        ("rtsp://${V}/x", "10.0.0.1:554", "rtsp://10.0.0.1:554/x"),
        ("rtsp://h:${V}/x", "554", "rtsp://h:554/x"),
        ("${V}://h/x", "rtsps", "rtsps://h/x"),
        ("http://h/${V}/x", "a/b c?d@e", "http://h/a/b%20c%3Fd%40e/x"),
        ("http://h/x?${V}", "a=1&b=c d", "http://h/x?a=1&b=c%20d"),
        ("http://h/x?a=${V}", "1&b=2", "http://h/x?a=1%26b%3D2"),
        ("rtmp://me:${V}@h/live/x", "p@ss%41", "rtmp://me:p@ss%41@h/live/x"),
        ("rtmp://h/live/${V}", "key?sign=a%41", "rtmp://h/live/key?sign=a%41"),
        ("${V}", "rtsp://me:p%40ss@h/x", "rtsp://me:p%40ss@h/x"),
        ("http://h/$${V}", "no", "http://h/${V}"),
    ],
)
def test_a_value_is_written_as_its_place_needs(tmp_path: Path, source: str, value: str, filled: str) -> None:
    assert load(tmp_path, stream(source=source), {"V": value}).streams["door"].source == filled


@pytest.mark.parametrize(
    ("source", "value", "said"),
    [
        ("rtsp://${V}/x", "me:Zq7-@h", "${V}: the value in the place of the host must be a host"),
        ("rtsp://h:${V}/x", "1/Zq7-", "in the place of the host"),
        ("rtsp://${V}", "evil/Zq7-", "in the place of the host"),
        ("${V}://h/", "rtsp://u:Zq7-@evil", "before :// must be a scheme"),
        ("rtmp://me:${V}@h/live/x", "Zq7-/x", "with / ? # cannot be written into the URL of this protocol"),
        ("${V}", "rtsp://me:12/Zq7-@h/x", "write / ? # in its user name or password as %2F %3F %23"),
        ("rtsp://me:12/Zq7-@h/x", "", "write / ? # in its user name or password as %2F %3F %23"),
        ("rtsp://me:/Zq7-@h/x", "", "write / ? # in its user name or password as %2F %3F %23"),
        ("rtsp://me:Zq7-", "", "not a source"),
    ],
)
def test_a_value_that_could_be_read_as_something_else_is_refused(
    tmp_path: Path, source: str, value: str, said: str
) -> None:
    with pytest.raises(UsageError) as caught:
        load(tmp_path, stream(source=source), {"V": value})
    assert said in str(caught.value)
    assert "Zq7-" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["mqtt://me:12/s3c@h/x", "mqtt://me:/s3c@h/x", "mqtt://me:12#s3c@h/x", "mqtt://h:1/a@b"]
)
def test_a_brokers_password_written_raw_is_not_read_as_a_host(tmp_path: Path, url: str) -> None:
    found = refusal(tmp_path, f'[mqtt]\nurl = "{url}"\n{MINIMAL}')
    assert "mqtt.url: write / ? # in its user name or password as %2F %3F %23" in found


def test_a_broker_with_an_at_in_its_prefix_is_understood_where_its_host_is_certain(tmp_path: Path) -> None:
    found = load(tmp_path, f'[mqtt]\nurl = "mqtt://10.0.0.1:1/a@b"\n{MINIMAL}')
    assert found.mqtt is not None
    assert (found.mqtt.address().host, found.mqtt.address().prefix) == ("10.0.0.1", "a@b")


def test_what_came_from_the_environment_is_shown_nowhere(tmp_path: Path) -> None:
    environment = {"A": "Zq7-one", "B": "Zq7-t/wo", "C": "Zq7-three", "D": "Zq7-four", "E": "one"}
    text = '[state]\nfolder = "${D}"\n[mqtt]\nurl = "mqtt://h"\nusername = "${A}"\npassword = "${C}"\n'
    load(tmp_path, text + stream(source="rtsp://u:${B}@h/${E}"), environment)
    assert redact("Zq7-one Zq7-t/wo Zq7-t%2Fwo Zq7-t%2fwo Zq7-three Zq7-four one") == "*** *** *** *** *** *** one"


def test_passwords_of_the_file_itself_are_shown_nowhere(tmp_path: Path) -> None:
    text = '[mqtt]\nurl = "mqtt://u@h"\npassword = "Zq7-one"\n' + stream(source="rtsp://u:Zq7-t%2Fwo@h/")
    load(tmp_path, text, {})
    assert redact("Zq7-one Zq7-t%2Fwo Zq7-t/wo") == "*** *** ***"


def test_nothing_is_replaced_in_keys(tmp_path: Path) -> None:
    assert list(load(tmp_path, MINIMAL.replace("door", '"a${TOKEN}"')).streams) == ["a${TOKEN}"]


# What is refused, and how


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[model]\nname = \n", "cameras.toml: line 2, column 8: not TOML: Invalid value"),
        ("a = 1\na = 2", "cameras.toml: at its end: not TOML: Cannot overwrite a value"),
        (b"[model]\n# caf\xe9\n", "cameras.toml: line 2: not UTF-8 text"),
        ("a = " + "9" * 5000, "cameras.toml: a number in it is too long"),
        ("a = " + "[" * 5000, "cameras.toml: nested too deeply"),
        ("a" + ".a" * 3000 + " = 1", "cameras.toml: nested too deeply"),
        ("#" * ((1 << 20) + 1), "cameras.toml: larger than 1 MiB"),
        ("", "cameras.toml: streams is missing; add a table such as [streams.door]"),
        ("[streams]", "cameras.toml: streams: must not be empty"),
        ("streams = 3", "cameras.toml: streams = 3: must be a table"),
        ("[stream.door]\n" + MINIMAL, "cameras.toml: unknown key stream; did you mean streams?; known are model, mqtt"),
        (
            stream("promts = 1"),
            "cameras.toml: streams.door: unknown key promts; did you mean prompts?; known are source",
        ),
        (
            stream("[streams.door.recording]\nfoldr = 1\nkeep_files = 1"),
            "streams.door.recording: unknown key foldr; did",
        ),
        ('[streams.door]\nprompts = ["x"]', "cameras.toml: streams.door.source is missing (`rtsp://`"),
        (stream('transport = "tpc"'), 'streams.door.transport = "tpc": must be tcp or udp; did you mean tcp?'),
        (stream("weight = 1000"), "streams.door.weight = 1000: must be from 0.01 to 100"),
        (
            stream('control = ["stop"]'),
            'streams.door.control[0] = "stop": must be set or add or remove or pause or resume or snapshot',
        ),
        (stream("max_rate = inf"), "streams.door.max_rate = inf: must be a finite number"),
        (stream("live = 1"), "streams.door.live = 1: must be true or false"),
        (stream('connect_timeout = "5"'), 'streams.door.connect_timeout = "5": must be a number'),
        (stream("weight = 1979-05-27"), "streams.door.weight = 1979-05-27: must be a number"),
        (stream(prompts='"person"'), 'streams.door.prompts = "person": must be a list'),
        (stream(prompts="[]"), "streams.door.prompts: must not be empty"),
        (stream(prompts='["a", " "]'), 'streams.door.prompts[1] = " ": is empty'),
        (stream(prompts='["a", "a "]'), "streams.door.prompts: one of them is given twice"),
        (stream(prompts='["red car", "red\u00a0 car"]'), "streams.door.prompts: one of them is given twice"),
        (stream(prompts="[1]"), "streams.door.prompts[0] = 1: must be a string"),
        (stream(prompts=json.dumps([f"p{n}" for n in range(33)])), "prompts: must have at most 32 entries"),
        (stream(prompts=json.dumps(["p" * 501])), "streams.door.prompts[0]: must have at most 500 characters"),
        (stream(source=""), "streams.door.source: must not be empty"),
        (stream(source="gopher://h/x"), "streams.door.source: unknown scheme; use a path, camera:0 or one of http,"),
        (stream(source="rtsp:///x"), "streams.door.source: no host in the URL; write rtsp://host"),
        (
            stream(source="rtsp://h:port/"),
            "streams.door.source: not a source: its host or port cannot be read; write rtsp",
        ),
        (stream('transport = "udp"', source="rtsps://h/"), "streams.door: transport udp needs a source that"),
        (stream('ca_file = "x"'), "streams.door: ca_file needs a source that begins with rtsps://"),
        (stream('out = ["a.jsonl"]'), "out would grow without bound, because this source never ends"),
        (stream('out = ["a.jsonl"]', source="camera:0"), "out would grow without bound"),
        (stream('out = ["a.jsonl"]', source="http://h/a.mp4"), "out would grow without bound"),
        (stream('out = ["mqtt://u:p@h/x"]', source="a.mp4"), "streams.door.out[0]"),
        (stream('out = ["a.exe"]', source="a.mp4"), 'out[0] = "a.exe": must end in one of .mp4'),
        (stream('out = ["a.mp4"]', source="a.mp4"), "out names the source itself"),
        (stream('out = ["coco:a.mp4"]', source="a.mp4"), "out names the source itself"),
        (stream('out = ["coco:a"]'), "out would grow without bound"),
        (stream('out = ["coco:"]', source="a.mp4"), "or begin with one of mp4:, "),
        (stream('out = ["mqtt://h/x"]', source="a.mp4"), "belongs into [mqtt]"),
        (stream('out = ["jsonl:-"]', source="a.mp4"), "must be a file"),
        (stream("[streams.door.recording]\nfolder = 'r'"), "recording: keep_files or keep_bytes is missing"),
        (stream("[streams.door.recording]\nfolder='r'\nkeep_bytes='9 MB'"), "keep_bytes must not be less than segment"),
        (
            stream("[streams.door.recording]\nfolder='r'\nkeep_bytes='9 XB'"),
            'keep_bytes = "9 XB": must be a size such as',
        ),
        (stream("[streams.door.recording]\nfolder=1\nkeep_files=1"), "recording.folder = 1: must be a path"),
        ("[worker]\nmax_batch = 0\n" + MINIMAL, "worker.max_batch = 0: must be from 1 to 64"),
        ("[worker]\nmax_batch = 1.5\n" + MINIMAL, "worker.max_batch = 1.5: must be a whole number"),
        (f"[worker]\nmax_batch = 0x{'f' * 300}\n" + MINIMAL, "worker.max_batch = a very large number: must be"),
        ('[model]\ndevice = "gpu"\n' + MINIMAL, 'model.device = "gpu": must be auto, cpu or cuda:N'),
        ('[http]\nlisten = "9464"\n' + MINIMAL, 'http.listen = "9464": must be host:port'),
        ('[http]\nhosts = ["a:80"]\n' + MINIMAL, 'http.hosts[0] = "a:80": must be a host\'s name, without a port'),
        ('[log]\nlevel = "verbose"\n' + MINIMAL, 'log.level = "verbose": must be debug or info or warning or error'),
        ('[mqtt]\nurl = "tcp://h"\n' + MINIMAL, "mqtt.url: must begin with mqtt:// or mqtts://"),
        ('[mqtt]\nurl = "mqtt://h/a?b"\n' + MINIMAL, "mqtt.url: '?' and '#' have no meaning here"),
        ('[mqtt]\nurl = "mqtt://h:x/a"\n' + MINIMAL, "mqtt.url: not a broker's URL; write mqtt"),
        (
            '[mqtt]\nurl = "mqtt://h"\nmax_payload = "1 KiB"\n' + MINIMAL,
            'mqtt.max_payload = "1 KiB": must be from 65536',
        ),
        (
            '[mqtt]\nurl = "mqtt://h"\nprotocol = 5\n' + MINIMAL,
            'mqtt.protocol = 5: must be 5 or 3.1.1; write "5"',
        ),
        ('[mqtt]\nurl = "mqtt://h"\npassword = "x"\n' + MINIMAL, "mqtt: password needs a username"),
        ('[mqtt]\nurl = "mqtt://u@h"\nusername = "v"\n' + MINIMAL, "the user name is given twice"),
        ('[mqtt]\nurl = "mqtt://h"\nca_file = "x"\n' + MINIMAL, "need a url that begins with mqtts://"),
        ('[mqtt]\nurl = "mqtts://h"\nkey_file = "x"\n' + MINIMAL, "key_file needs a cert_file"),
        (MINIMAL.replace("door", '"../etc"'), 'streams."../etc": cannot be used: 1 to 128 characters, no / \\ + #'),
        (
            MINIMAL.replace("door", '"a\\u0000b"'),
            'streams."a\\x00b": cannot be used: it holds the control character U+0000',
        ),
        (MINIMAL.replace("door", '"#"'), 'streams."#": cannot be used: 1 to 128 characters'),
        (MINIMAL + MINIMAL.replace("door", "Door"), "streams 'door' and 'Door' differ in case alone"),
    ],
)
def test_mistakes_are_named_with_what_is_allowed(tmp_path: Path, text: str | bytes, said: str) -> None:
    found = refusal(tmp_path, text)
    assert said in found
    assert all(line.startswith("cameras.toml: ") for line in found.splitlines())


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


def test_two_streams_cannot_write_one_file(tmp_path: Path) -> None:
    one = 'source = "a.mp4"\nprompts = ["a"]\n'
    text = f"[streams.a]\n{one}out = ['x.json']\n[streams.b]\n{one}out = ['x.json']\n"
    for spelled in (text, text.replace("x.json", "sub/../x.json", 1)):
        assert "streams.a.out[0] and streams.b.out[0] are the same file: put {stream} into its name" in refusal(
            tmp_path, spelled
        )
    assert load(tmp_path, text.replace("x.json", "{stream}.json"))


def test_all_mistakes_are_told_at_once_but_not_more_than_ten(tmp_path: Path) -> None:
    text = "".join(f'[streams.s{number}]\nsource = "rtsp://h/"\nprompts = []\n' for number in range(25))
    lines = refusal(tmp_path, text).splitlines()
    assert lines[:2] == [f"cameras.toml: streams.s{number}.prompts: must not be empty" for number in (0, 1)]
    assert len(lines) == 11
    assert lines[-1] == "cameras.toml: and 15 more problems"


def test_a_list_whose_only_entry_is_wrong_is_not_called_empty_as_well(tmp_path: Path) -> None:
    text = stream(prompts='["a\\u202eb"]')
    assert refusal(tmp_path, text).splitlines() == [
        'cameras.toml: streams.door.prompts[0] = "a\\u202eb": holds the control character U+202E'
    ]


def test_too_many_streams(tmp_path: Path) -> None:
    many = "".join(f'[streams.s{number}]\nsource = "rtsp://h/"\nprompts = ["a"]\n' for number in range(256))
    assert len(load(tmp_path, many).streams) == 256
    assert "streams: must have at most 256 entries" in refusal(tmp_path, many + MINIMAL)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nothing.toml: no such file"):
        load_settings(tmp_path / "nothing.toml", {})
    with pytest.raises(UsageError, match="not a file"):
        load_settings(tmp_path, {})
    with pytest.raises(UsageError, match="not a path"):
        load_settings(Path("a\0b"), {})


def test_a_file_of_mistakes_alone_is_told_of_briefly(tmp_path: Path) -> None:
    assert len(refusal(tmp_path, "".join(f"k{number} = 1\n" for number in range(50_000))).splitlines()) == 11


# Secrets


@pytest.mark.parametrize(
    "text",
    [
        stream(source="${TOKEN}"),
        stream(source="${TOKEN}://h/"),
        stream(source="rtsp://u:${TOKEN}@h:port/${TOKEN}"),
        stream(source="rtsp://${TOKEN}:${TOKEN}"),
        stream(source=f"rtsp://u:{SECRET}/x@h:99999/"),
        stream(source=f"camera:{SECRET}"),
        stream(prompts='"${TOKEN}"'),
        stream(prompts=json.dumps(["${TOKEN}" * 40])),
        stream('transport = "${TOKEN}"'),
        stream('connect_timeout = "${TOKEN}"'),
        stream('out = ["${TOKEN}"]', source="a.mp4"),
        stream(f'sourc = "rtsp://u:{SECRET}@h/"'),
        stream(f'passwort = "{SECRET}"'),
        stream().replace("door", f'"rtsp://u:{SECRET}@h/{"x" * 60}"'),
        stream().replace("door", f'"rtsp://{"u" * 60}:{SECRET}@h"'),
        f'[mqtt]\nurl = "mqtt://u:{SECRET}@h:x/"\n',
        f'[mqtt]\nurl = "http://u:{SECRET}@h/"\n',
        f'[mqtt]\nurl = ["mqtt://u:{SECRET}@h/"]\n',
        f'[mqtt]\nurl = "mqtt://h/"\npassword = ["{SECRET}"]\n',
        f'[mqtt]\nurl = "mqtt://h/"\npassword = {{a = "{SECRET}"}}\n',
        f'[mqtt]\nurl = "mqtt://u:{SECRET}@h/"\nusername = "{SECRET}"\n',
        '[http]\nlisten = "${TOKEN}"\n',
        '[model]\ndevice = "${TOKEN}"\n',
        '[log]\nlevel = "${TOKEN}"\n',
    ],
)
def test_no_message_tells_a_secret(tmp_path: Path, text: str) -> None:
    assert "unknown key wrong" in refusal(tmp_path, "wrong = 1\n" + text)


def test_no_representation_tells_a_secret() -> None:
    found = load_settings(DOCS / "cameras.toml", ENVIRONMENT)
    for text in (repr(found), str(found), f"{found.mqtt!r} {found.streams['door']!r}"):
        assert "10.0.0.5" in text or "broker" in text
        assert SECRET not in text


# Reload


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


# Anything else


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
