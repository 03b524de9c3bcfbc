"""What is said of settings that are wrong, and what is never said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from maskcast.errors import SettingsError
from maskcast.redaction import redact
from streaming.settings.tables import load_settings
from tests.settings_files import DOCS, ENVIRONMENT, MINIMAL, SECRET, load, refusal, stream


def test_what_came_from_the_environment_is_shown_nowhere(tmp_path: Path) -> None:
    environment = {"A": "Zq7-one", "B": "Zq7-t/wo", "C": "Zq7-three", "D": "Zq7-four", "E": "one"}
    text = '[state]\nfolder = "${D}"\n[mqtt]\nurl = "mqtt://h"\nusername = "${A}"\npassword = "${C}"\n'
    load(tmp_path, text + stream(source="rtsp://u:${B}@h/${E}"), environment)
    assert redact("Zq7-one Zq7-t/wo Zq7-t%2Fwo Zq7-t%2fwo Zq7-three Zq7-four one") == "*** *** *** *** *** *** one"


def test_passwords_of_the_file_itself_are_shown_nowhere(tmp_path: Path) -> None:
    text = '[mqtt]\nurl = "mqtt://u@h"\npassword = "Zq7-one"\n' + stream(source="rtsp://u:Zq7-t%2Fwo@h/")
    load(tmp_path, text, {})
    assert redact("Zq7-one Zq7-t%2Fwo Zq7-t/wo") == "*** *** ***"


def entry(table: str) -> str:
    """A file whose one prompt is this table."""
    return stream(prompts=f"[{{{table}}}]")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[model]\nname = \n", "cameras.toml: line 2, column 8: not TOML: Invalid value"),
        (
            "[model]\nname = nano\n",
            'statement; texts stand in quotes: name = "..."',
        ),
        ("[model]\ndevice = cpu", 'not TOML: Invalid value; texts stand in quotes: device = "..."'),
        ("prompts = [person]", 'Invalid value; texts stand in quotes: prompts = ["...", "..."]'),
        ("ip = 192.168.0.7", 'texts stand in quotes: ip = "..."'),
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
        (stream(prompts="[1]"), "streams.door.prompts[0] = 1: must be a string or a table"),
        (stream(prompts=json.dumps([f"p{n}" for n in range(33)])), "prompts: must have at most 32 entries"),
        (stream(prompts=json.dumps(["p" * 501])), "streams.door.prompts[0]: must have at most 500 characters"),
        (entry(""), "streams.door.prompts[0].text is missing (The phrase that the model reads)"),
        (entry('text = ""'), "streams.door.prompts[0].text: must not be empty"),
        (entry('text = " "'), "streams.door.prompts[0]: text is empty"),
        (entry('text = "a", name = "\u202e"'), "streams.door.prompts[0]: name holds the control character"),
        (entry('text = "a", threshold = 1.0'), "prompts[0].threshold = 1: must be at least 0 and below 1"),
        (entry('text = "a", threshold = "high"'), 'prompts[0].threshold = "high": must be a number'),
        (entry('text = "a", min_area = 1.5'), "streams.door.prompts[0].min_area = 1.5: must be from 0 to 1"),
        (entry('text = "a", max_area = -1'), "streams.door.prompts[0].max_area = -1: must be from 0 to 1"),
        (
            entry('text = "a", min_area = 0.5, max_area = 0.2'),
            "streams.door.prompts[0]: min_area 0.5 is more than max_area 0.2",
        ),
        (entry('text = "a", min_frames = 0'), "streams.door.prompts[0].min_frames = 0: must be from 1 to 1000"),
        (entry('text = "a", min_frames = 2.5'), "streams.door.prompts[0].min_frames = 2.5: must be a whole number"),
        (entry('text = "a", avoid = "b"'), 'streams.door.prompts[0].avoid = "b": must be a list'),
        (entry('text = "a", avoid = ["a "]'), "streams.door.prompts[0]: avoid names what is looked for: 'a'"),
        (entry('text = "a", group = "g"'), "streams.door.prompts: group 'g' has one prompt"),
        (entry('text = "a", minarea = 0.5'), "streams.door.prompts[0]: unknown key minarea; did you mean min_area?"),
        (stream(prompts='["a", {text = "b", name = "a"}]'), "streams.door.prompts: name 'a' is given to 2 different"),
        (
            stream(prompts=f'[{{text = "a", avoid = {json.dumps([f"p{n}" for n in range(32)])}}}]'),
            "streams.door.prompts: 33 prompts, phrases to avoid included, are too many",
        ),
        ("[model]\nthreshold = 1.0\n" + stream(), "model.threshold = 1: must be at least 0 and below 1"),
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
        ('[model]\ndevice = "gpu"\n' + MINIMAL, 'model.device = "gpu": must be auto, cpu, cuda:N or mps'),
        ('[http]\nlisten = "9464"\n' + MINIMAL, 'http.listen = "9464": must be host:port'),
        ('[http]\nhosts = ["a:80"]\n' + MINIMAL, 'http.hosts[0] = "a:80": must be a host\'s name, without a port'),
        ('[http]\npassword = "short"\n' + MINIMAL, "http.password: must have at least 8 characters"),
        ('[http]\npassword = "long enough"\npassword_file = "f"\n' + MINIMAL, "http: the password is given twice"),
        ('[http]\nprefix = "cameras"\n' + MINIMAL, 'http.prefix = "cameras": must be a path such as "/cameras"'),
        ('[http]\nprefix = "/a/../b"\n' + MINIMAL, 'http.prefix = "/a/../b": must be a path such as "/cameras"'),
        ('[http]\nprefix = "//host"\n' + MINIMAL, 'http.prefix = "//host": must be a path such as "/cameras"'),
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
    assert refusal(tmp_path, entry('text = "a", min_frames = 0')).splitlines() == [
        "cameras.toml: streams.door.prompts[0].min_frames = 0: must be from 1 to 1000"
    ]


def test_too_many_streams(tmp_path: Path) -> None:
    many = "".join(f'[streams.s{number}]\nsource = "rtsp://h/"\nprompts = ["a"]\n' for number in range(256))
    assert len(load(tmp_path, many).streams) == 256
    assert "streams: must have at most 256 entries" in refusal(tmp_path, many + MINIMAL)


def test_a_file_of_mistakes_alone_is_told_of_briefly(tmp_path: Path) -> None:
    assert len(refusal(tmp_path, "".join(f"k{number} = 1\n" for number in range(50_000))).splitlines()) == 11


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
        f'[http]\npassword = ["{SECRET}"]\n',
        f'[http]\npassword = "{SECRET}"\npassword_file = "f"\n',
        f'[http]\npassword = "{SECRET * 100}"\n',
        '[http]\nprefix = "${TOKEN}"\n',
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


def test_each_mistake_has_its_key_and_what_to_do(tmp_path: Path) -> None:
    text = f'[log]\nlevel = "debgu"\n[model]\nfrm = 1\n{stream(source="gopher://h/x", prompts="[]")}'
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, text)
    found = {problem.where: (problem.what, problem.advice) for problem in caught.value.problems}
    assert found['cameras.toml: log.level = "debgu"'] == (
        "must be debug or info or warning or error",
        "did you mean debug?",
    )
    assert found["cameras.toml: model"][0] == "unknown key frm"
    assert found["cameras.toml: streams.door.prompts"] == ("must not be empty", None)
    assert found["cameras.toml: streams.door.source"][0].startswith("unknown scheme; use a path, camera:0")
