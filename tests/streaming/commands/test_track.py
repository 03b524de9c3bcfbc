"""`maskcast track` as a user runs it: real files, real servers, a tiny model."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading

import paho.mqtt.client as paho
import pytest
import torch
from pycocotools import mask as coco
from typer.testing import CliRunner

from maskcast.errors import ModelError, SourceError, UsageError
from streaming import track
from streaming.cli.app import app
from tests import broker, forked, sinks_media
from tests.clips import clip
from tests.patience import eventually, patient
from tests.rtsp import camera
from tests.schemas import VALIDATORS
from tests.tracking import command, one_line, run

needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg on this machine")


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    return sinks_media.clip(tmp_path_factory.mktemp("short") / "short.mp4", seconds=1, size="320x180")


@pytest.mark.long
def test_the_shown_run(tmp_path, tiny_checkpoint):
    """The run that the issue shows: 241 frames, same size, same duration to one frame, every line and mask valid."""
    source = clip("19_cyclist.mp4")
    video, lines = tmp_path / "out.mp4", tmp_path / "out.jsonl"
    arguments = command(source, "--prompt", "person", "--out", video, "--out", lines, model=tiny_checkpoint)
    done = forked.run(*arguments)
    assert done.returncode == 0, done.stderr
    start, summary, *times = done.stderr.splitlines()
    assert re.fullmatch(r"model .+, cpu \(\d+ threads?\), float32, association tracker", start)
    assert re.fullmatch(r"19_cyclist: 241 frames, \d+ tracks, [\d.]+ frames/s", summary)
    *times, wrote_video, wrote_lines = times
    assert [line.split(":")[0] for line in times] == ["time a frame", "of the model", "what limits"]
    assert re.fullmatch(rf"wrote {re.escape(str(video))} \([\d.]+ [kM]B, 241 frames\)", wrote_video)
    assert re.fullmatch(rf"wrote {re.escape(str(lines))} \([\d.]+ [kM]B, 241 frames\)", wrote_lines)
    assert done.stdout == ""

    show = ("-show_entries", "stream=width,height,duration,nb_frames,codec_name,pix_fmt")
    (before,) = sinks_media.probe(source, "-select_streams", "v", *show)["streams"]
    (after,) = sinks_media.probe(video, "-select_streams", "v", *show)["streams"]
    assert (after["width"], after["height"], int(after["nb_frames"])) == (before["width"], before["height"], 241)
    assert abs(float(after["duration"]) - float(before["duration"])) < 1001 / 24000
    assert (after["codec_name"], after["pix_fmt"]) == ("h264", "yuv420p")

    messages = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [message["frame"] for message in messages] == list(range(241))
    check = VALIDATORS["frame"]
    masks = 0
    for message in messages:
        check.validate(message)
        for item in message["tracks"]:
            decoded = coco.decode(item["segmentation"])
            assert decoded.shape == (before["height"], before["width"])
            assert decoded.sum() == item["area"] > 0
            masks += 1
    assert masks > 0, "a run that tracks nothing shows nothing"


@needs_ffmpeg
def test_from_rtsp_to_mqtt(tmp_path, tiny_checkpoint, short):
    """A subscriber that knows only the schema receives every frame that was published."""
    looped = tmp_path / "looped.mp4"
    sinks_media.ffmpeg("-stream_loop", "5", "-i", str(short), "-c", "copy", str(looped))
    received = {"tracks": [], "events": [], "status": [], "counts": []}
    subscribed = threading.Event()
    with broker.running(tmp_path / "broker") as server, camera(looped) as rtsp:
        subscriber = paho.Client(paho.CallbackAPIVersion.VERSION2)
        subscriber.on_message = lambda _c, _u, m: received[m.topic.rsplit("/", 1)[-1]].append(json.loads(m.payload))
        subscriber.on_subscribe = lambda *_: subscribed.set()
        subscriber.connect("127.0.0.1", server.port)
        subscriber.subscribe("maskcast/door/+", qos=1)
        subscriber.loop_start()
        try:
            assert subscribed.wait(patient(10))
            lines = tmp_path / "door.jsonl"
            mqtt = f"mqtt://127.0.0.1:{server.port}/maskcast"
            arguments = (rtsp.url(), "--prompt", "person", "--stream", "door", "--max-frames", 20)
            done = forked.run(*command(*arguments, "--out", mqtt, "--out", lines, model=tiny_checkpoint))
            assert done.returncode == 0, done.stderr
            eventually(lambda: received["status"] and received["status"][-1]["status"] == "offline")
        finally:
            subscriber.loop_stop()
            subscriber.disconnect()
    written = [json.loads(line) for line in lines.read_text().splitlines()]
    assert len(written) >= 1
    frames = [message["frame"] for message in received["tracks"]]
    assert frames == sorted(set(frames))
    assert 10 <= len(frames) <= 20, "what was published is what came, in order and once"
    for name, schema in (("tracks", "frame"), ("events", "event"), ("status", "status"), ("counts", "counts")):
        check = VALIDATORS[schema]
        for message in received[name]:
            check.validate(message)
    assert received["status"][0]["status"] == "online"
    published = {message["frame"]: message for message in written}
    for message in received["tracks"]:
        if message["frame"] in published:
            assert message["tracks"] == published[message["frame"]]["tracks"]


@needs_ffmpeg
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_finished_outputs(tmp_path, tiny_checkpoint, number):
    source = sinks_media.clip(tmp_path / "long.mp4", seconds=60)
    video, lines = tmp_path / "out.mp4", tmp_path / "out.jsonl"
    arguments = (source, "--prompt", "person", "--out", video, "--out", lines)
    partial, log = tmp_path / "out.partial.jsonl", tmp_path / "log"
    with forked.running(*command(*arguments, model=tiny_checkpoint), folder=tmp_path, log=log) as process:

        def tracks():
            assert process.poll() is None, log.read_text()
            return partial.exists() and partial.stat().st_size > 3000

        eventually(tracks)
        process.send_signal(number)
        assert process.wait(patient(60)) == 130
    assert "(interrupted)" in log.read_text()
    frames = len(lines.read_text().splitlines())
    assert 0 < frames < 1500
    assert len(sinks_media.times(video)) == frames


@needs_ffmpeg
def test_json_lines_on_stdout_are_the_default(tiny_checkpoint, short):
    done = forked.run(*command(short, "--prompt", "person", "--max-frames", 5, model=tiny_checkpoint))
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["frame"] for line in done.stdout.splitlines()] == [0, 1, 2, 3, 4]


@needs_ffmpeg
def test_several_sources_write_several_files(tmp_path, tiny_checkpoint, short):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        shutil.copy(short, tmp_path / name / "same.mp4")
    sources = [tmp_path / name / "same.mp4" for name in ("a", "b")]
    out = tmp_path / "{stream}.jsonl"
    done = run(*sources, "--prompt", "person", "--max-frames", 3, "--out", out, model=tiny_checkpoint)
    assert done.exit_code == 0, done.stderr
    for name in ("same", "same-2"):
        lines = (tmp_path / f"{name}.jsonl").read_text().splitlines()
        assert [json.loads(line)["stream"] for line in lines] == [name] * 3


@needs_ffmpeg
def test_a_truncated_video_keeps_what_decodes(tmp_path, tiny_checkpoint):
    source = sinks_media.clip(tmp_path / "cut.mkv", seconds=2)
    source.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    out = tmp_path / "out.jsonl"
    done = run(source, "--prompt", "person", "--out", out, model=tiny_checkpoint)
    assert done.exit_code == 3
    assert len(out.read_text().splitlines()) > 5
    assert re.search(r"error: .*cut\.mkv: .*truncated", done.stderr)


@needs_ffmpeg
def test_one_broken_sink_does_not_spoil_the_other(tmp_path, tiny_checkpoint, short):
    out = tmp_path / "out.jsonl"
    bad = "mqtt://user:secret@127.0.0.1:9/x"
    done = run(short, "--prompt", "person", "--max-frames", 4, "--out", bad, "--out", out, model=tiny_checkpoint)
    assert done.exit_code == 4
    assert len(out.read_text().splitlines()) == 4
    assert "secret" not in done.stderr


@needs_ffmpeg
def test_full_disk(tiny_checkpoint, short, tmp_path):
    (tmp_path / "out.partial.jsonl").symlink_to("/dev/full")
    done = run(short, "--prompt", "person", "--out", tmp_path / "out.jsonl", model=tiny_checkpoint)
    assert done.exit_code == 4, done.stderr
    assert one_line(done)
    assert f"incomplete {tmp_path / 'out.jsonl'}" in done.stderr.splitlines()
    assert "wrote" not in done.stderr


@needs_ffmpeg
def test_a_stderr_that_nobody_reads_costs_no_output(tiny_checkpoint, short, tmp_path):
    """A sink that fails is told of in the middle of the run, on which all other sinks depend."""
    (tmp_path / "full.partial.jsonl").symlink_to("/dev/full")
    outputs = [item for name in ("full.jsonl", "whole.jsonl", "whole.mp4") for item in ("--out", tmp_path / name)]
    arguments = command(short, "--prompt", "person", *outputs, model=tiny_checkpoint)
    reading, writing = os.pipe()
    os.close(reading)
    try:
        fresh = [sys.executable, "-m", "maskcast", *arguments]
        done = subprocess.run(fresh, stderr=writing, timeout=patient(60), check=False)
    finally:
        os.close(writing)
    assert done.returncode == 4
    frames = len((tmp_path / "whole.jsonl").read_text().splitlines())
    assert len(sinks_media.times(tmp_path / "whole.mp4")) == frames > 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["none.mp4", "--prompt", "cat"], 3, "none.mp4: no such file"),
        (["short.mp4"], 2, "no prompt"),
        (["short.mp4", "--prompt", " "], 2, "no prompt"),
        (["short.mp4", "--prompt", "x" * 40], 2, "prompt too long: 42 tokens, the context is 32"),
        (["short.mp4", "--prompt", "cat", "--out", "short.mp4"], 2, "is the input itself"),
        (["short.mp4", "--prompt", "cat", "--out", "coco:short.mp4"], 2, "is the input itself"),
        (["short.mp4", "--prompt", "cat", "--out", "coco:a.x", "--out", "mot:./a.x"], 2, "are one file"),
        (["short.mp4", "--prompt", "cat", "-p", "dog", "-o", "mot:a.x", "-o", "jsonl:a.dog.x"], 2, "are one file"),
        (["short.mp4", "short.mp4", "--prompt", "cat", "--out", "coco:b/a.x"], 2, "example coco:b/{stream}.x"),
        (["short.mp4", "--prompt", "cat", "--out", "a.xyz"], 2, "no sink for 'a.xyz'"),
        (["short.mp4", "--prompt", "cat", "--out", "a.mp4", "--out", "a.mp4"], 2, "given twice"),
        (["short.mp4", "short.mp4", "--prompt", "cat", "--out", "a.mp4"], 2, "cannot share the output"),
        (["short.mp4", "short.mp4", "--prompt", "cat", "--stream", "x"], 2, "--stream names one stream"),
        (["short.mp4", "--prompt", "cat", "--stream", "../x"], 2, "stream id"),
        (["short.mp4", "--prompt", "cat", "--out", "short.mp4/a.mp4"], 4, "the folder cannot be made: File exists"),
        (["short.mp4", "--prompt", "cat", "--out", "kept.txt"], 2, "kept.txt: exists already; .* --force"),
        (["short.mp4", "-p", "cat", "-p", "dog", "--out", "new/a.txt", "--out", "mot:kept.x"], 2, "kept.dog.x: exists"),
        (["short.mp4", "--prompt", "cat", "--out", "coco:empty", "--force"], 4, "empty: is a folder"),
        (["short.mp4", "--prompt", "cat", "--tracker", "memory"], 2, "no memory tracker weights"),
        (["empty", "--prompt", "cat"], 3, "no images"),
        (["foo://host/x", "--prompt", "cat"], 2, "unknown scheme"),
        (
            ["rtsp://u:secret@127.0.0.1:9/x", "--prompt", "cat"],
            3,
            r"rtsp://127.0.0.1:9 \(127.0.0.1-9-\w+\): connection refused",
        ),
    ],
)
@needs_ffmpeg
def test_bad_input(tmp_path, monkeypatch, tiny_checkpoint, short, arguments, code, message):
    shutil.copy(short, tmp_path / "short.mp4")
    (tmp_path / "empty").mkdir()
    for name in ("kept.txt", "kept.dog.x"):
        (tmp_path / name).write_text("worth keeping")
    monkeypatch.chdir(tmp_path)
    done = run(*arguments, model=tiny_checkpoint)
    assert done.exit_code == code, done.stderr
    line = one_line(done)
    assert re.search(message, line)
    assert "secret" not in done.output
    assert (tmp_path / "short.mp4").read_bytes() == short.read_bytes()
    assert {(tmp_path / name).read_text() for name in ("kept.txt", "kept.dog.x")} == {"worth keeping"}
    assert not (tmp_path / "new").exists(), "nothing is made for a run that is refused"


@pytest.mark.parametrize(
    ("model", "message"), [("nobody/nothing", "hf download nobody/nothing"), ("./nowhere", "no such folder")]
)
@needs_ffmpeg
def test_models_that_cannot_be_had(short, model, message):
    done = run(short, "--prompt", "cat", model=model)
    assert done.exit_code == 5
    assert message in one_line(done)


@pytest.mark.parametrize("arguments", [[], ["x.mp4", "--max-frames", "0"], ["x.mp4", "--tracker", "magic"]])
def test_wrong_usage(arguments):
    assert run(*arguments).exit_code == 2


def test_verbose_adds_the_traceback(tmp_path):
    done = forked.run(*command(tmp_path / "none.mp4", "--prompt", "cat", "--verbose", model="unused"))
    assert done.returncode == 3
    assert "Traceback" in done.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
@needs_ffmpeg
def test_unwritable_folder(tmp_path, tiny_checkpoint, short):
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    done = run(short, "--prompt", "cat", "--out", folder / "a.jsonl", model=tiny_checkpoint)
    assert done.exit_code == 4


@needs_ffmpeg
def test_the_python_api(tiny_checkpoint, short):
    results = list(track(short, ["person"], model=str(tiny_checkpoint), device="cpu", max_frames=6))
    assert [result.frame.index for result in results] == list(range(6))
    before = threading.active_count()
    for result in track(str(short), "person", model=str(tiny_checkpoint), device="cpu"):
        assert result.frame.picture.rgb().shape == (180, 320, 3)
        break
    eventually(lambda: threading.active_count() <= before, what="its threads end when nobody asks it for more")


def test_the_python_api_raises_one_of_its_own_errors(tmp_path, tiny_checkpoint):
    with pytest.raises(SourceError):
        list(track(tmp_path / "none.mp4", ["cat"], model=str(tiny_checkpoint)))
    with pytest.raises(UsageError):
        list(track(tmp_path, ["cat"], max_frames=0))
    image = tmp_path / "1.png"
    sinks_media.ffmpeg("-f", "lavfi", "-i", "testsrc2=size=64x64", "-frames:v", "1", str(image))
    with pytest.raises(ModelError):
        list(track(image, ["cat"], model="./nowhere"))
    with pytest.raises(UsageError):
        list(track(image, [], model=str(tiny_checkpoint)))


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
@needs_ffmpeg
def test_cuda_asked_for_and_absent(short, tiny_checkpoint):
    done = CliRunner().invoke(
        app, ["track", str(short), "--prompt", "cat", "--model", str(tiny_checkpoint), "--device", "cuda:1"]
    )
    assert done.exit_code == 2
    assert one_line(done).startswith("device cuda:1 is not available (0 CUDA devices found)")
