"""What an output's spec means, and that everything which names formats names all of them."""

import json

import av
import pytest

from maskcast.errors import UsageError
from sinks import open_sink
from sinks.formats import FORMATS, known_formats, parse_output
from tests.paths import ROOT
from tests.sinks_media import feed, info, stream


@pytest.mark.parametrize(
    ("spec", "name", "target"),
    [
        ("-", "jsonl", "-"),
        ("jsonl:-", "jsonl", "-"),
        ("a/b.MKV", "mkv", "a/b.MKV"),
        ("a.json", "coco", "a.json"),
        ("coco:a.txt", "coco", "a.txt"),
        ("jsonl:a:b", "jsonl", "a:b"),
        ("mot:coco:a", "mot", "coco:a"),
        ("./coco:a.txt", "mot", "./coco:a.txt"),
        ("COCO:a.txt", "mot", "COCO:a.txt"),
        ("12:30.mp4", "mp4", "12:30.mp4"),
        ("webm:/dev/fd/3", "webm", "/dev/fd/3"),
        ("mqtt://host/x.json", "mqtt", "mqtt://host/x.json"),
        ("MQTTS://host/x", "mqtt", "MQTTS://host/x"),
    ],
)
def test_a_url_says_its_format_then_a_name_before_the_target_then_the_suffix(spec, name, target):
    output = parse_output(spec)
    assert (output.format.name, output.target) == (name, target)
    assert output.prefix + output.target == spec


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        ("coco:", "coco: names no file; write coco:name"),
        ("mot:./", "mot:./ names no file"),
        ("coco:-", "coco cannot be written to the standard output; name a file"),
        ("mqtt:host/prefix", "no sink for 'mqtt:host/prefix'; there are"),
        ("coco://a.json", "no sink for coco"),
        ("jsonl:http://user:s3cret@host/x", "no sink for"),
    ],
)
def test_what_no_format_can_take_is_refused(spec, complaint):
    with pytest.raises(UsageError, match=complaint) as caught:
        parse_output(spec)
    assert "s3cret" not in str(caught.value)


async def test_an_output_with_the_name_of_its_format_is_what_it_is_with_its_suffix(tmp_path):
    for suffix, prefix in (("jsonl", "jsonl"), ("json", "coco"), ("txt", "mot")):
        for spec in (f"{tmp_path}/plain.{suffix}", f"{prefix}:{tmp_path}/named"):
            await feed(open_sink(spec, prompts=["person"]), info(), stream(3))
        assert (tmp_path / f"plain.{suffix}").read_bytes() == (tmp_path / "named").read_bytes()
    await feed(open_sink(f"mkv:{tmp_path}/video", preset="ultrafast"), info(), stream(3))
    with av.open(str(tmp_path / "video")) as video:
        assert video.format.name == "matroska,webm"
        assert len(list(video.decode(video=0))) == 3


def test_all_files_of_an_output_are_known_before_it_is_opened(tmp_path):
    named = parse_output(f"mot:{tmp_path}/a.out")
    assert {file.name for file in named.files(["red car", "cat"])} == {"a.out", "a.red-car.out", "a.cat.out"}
    assert parse_output("-").files(["cat"]) == []
    assert parse_output("mqtt://host/x").files(["cat"]) == []


def test_the_readme_and_the_messages_name_each_format():
    table = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Sinks")[2].partition("`--out`")[0]
    for known in FORMATS:
        assert all(pattern in known_formats() for pattern in known.patterns)
        names = [f"`{scheme}://" for scheme in known.schemes] or [f"`{known.name}:…`"]
        suffixes = [f"`*{suffix}`" for suffix in known.suffixes]
        assert all(written in table for written in [*names, *suffixes]), known.name


def test_names_suffixes_and_schemes_mean_one_format_each():
    for meanings in (
        [known.name for known in FORMATS],
        [suffix for known in FORMATS for suffix in known.suffixes],
        [scheme for known in FORMATS for scheme in known.schemes],
    ):
        assert len(meanings) == len(set(meanings)), json.dumps(meanings)


@pytest.mark.parametrize("spec", ["out.avi", "out", "http://host/x", "ftp://u:secret@host/x", "http://u:[secret@h", ""])
def test_unknown_sinks_list_the_known_ones(spec: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_sink(spec)
    message = str(caught.value)
    for known in ("mp4", "jsonl", "json", "txt", "mqtt[s]://"):
        assert known in message
    assert "secret" not in message
    assert "\n" not in message
