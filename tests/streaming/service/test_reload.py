"""Reading the settings again: whatever comes, the running streams are those of the last file that was right."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import maskcast.__main__
import streaming.cli.app
import streaming.service.streams
from maskcast.errors import MaskcastError, ModelError, UsageError
from streaming.service.service import Service
from streaming.service.streams import Streams
from streaming.service.tracking import LocalTracking
from streaming.settings.tables import load_settings
from tests import forked
from tests.paths import ROOT
from tests.patience import eventually, patient
from tests.service import Service as ServiceProcess


class Fake:
    """A supervisor that runs until it is stopped."""

    def __init__(self, name, settings, resources):
        self.name, self.settings = name, settings
        self.stopped, self.removed = asyncio.Event(), False

    def stop(self, *, removed=False):
        self.removed = removed
        self.stopped.set()

    async def run(self):
        await self.stopped.wait()


def some_streams():
    """None yet; what those that go have left is not removed."""

    async def run(_name, _recalled):
        pass

    return Streams(SimpleNamespace(), SimpleNamespace(run=run))


tables = st.fixed_dictionaries(
    {"prompts": st.lists(st.sampled_from(["cat", "dog", "", " "]), max_size=2)},
    optional={"max_rate": st.sampled_from([1.0, 2.0, -1.0]), "weight": st.sampled_from([1.0, 3.0])},
)
documents = st.one_of(
    st.dictionaries(st.sampled_from(["a", "b", "c", "A", "../d"]), tables, max_size=4),
    st.text(max_size=30),
)


def text(document):
    if isinstance(document, str):
        return document
    lines = []
    for name, table in document.items():
        lines += [f'[streams."{name}"]', 'source = "rtsp://127.0.0.1/x"']
        lines += [f"{key} = {value!r}".replace("'", '"') for key, value in table.items()]
    return "\n".join(lines)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(documents=st.lists(documents, max_size=6))
async def test_the_running_streams_are_those_of_the_last_good_file(tmp_path, monkeypatch, documents):
    monkeypatch.setattr(streaming.service.streams, "Supervisor", Fake)
    file = tmp_path / "cameras.toml"
    file.write_text('[streams.a]\nsource = "rtsp://127.0.0.1/x"\nprompts = ["cat"]\n', encoding="utf-8")

    good = load_settings(file)
    service = Service(file, good)
    streams = some_streams()
    await service._apply(streams, good)
    for document in documents:
        before = streams.supervisors()
        file.write_text(text(document), encoding="utf-8", errors="surrogatepass")
        try:
            wanted = load_settings(file)
        except UsageError:
            wanted = None
        await service._read_again(streams)
        good = wanted or good
        running = streams.supervisors()
        assert {name: one.settings for name, one in running.items()} == dict(good.streams)
        for name, supervisor in before.items():
            if name in running and supervisor.settings == good.streams[name]:
                assert running[name] is supervisor, "what is the same is not touched"
                assert not supervisor.stopped.is_set()
            else:
                assert supervisor.stopped.is_set()
                assert supervisor.removed == (name not in good.streams)
    await streams.close()


async def test_a_stream_that_hangs_at_its_end_keeps_only_its_own_name_waiting(tmp_path, monkeypatch, caplog):
    """Its disk or its broker does not answer: streams come and go, and the process ends all the same."""
    released, order = asyncio.Event(), []

    class Hanging(Fake):
        async def run(self):
            order.append(("begins", self.name, self.settings.weight))
            await super().run()
            if self.name == "a" and self.settings.weight == 1.0:
                await released.wait()
            order.append(("ended", self.name, self.settings.weight))

    monkeypatch.setattr(streaming.service.streams, "Supervisor", Hanging)
    monkeypatch.setattr(streaming.service.streams, "CLOSING_SECONDS", 0.2)
    file = tmp_path / "cameras.toml"

    def write(**weights):
        tables = (
            f'[streams.{name}]\nsource = "rtsp://127.0.0.1/x"\nprompts = ["cat"]\nweight = {weight}\n'
            for name, weight in weights.items()
        )
        file.write_text("".join(tables), encoding="utf-8")

    write(a=1.0)
    service = Service(file, load_settings(file))
    streams = some_streams()
    await service._apply(streams, service._settings)
    await asyncio.sleep(0.01)
    write(a=2.0, b=1.0)
    await service._read_again(streams)
    await asyncio.sleep(0.05)
    assert order == [("begins", "a", 1.0), ("begins", "b", 1.0)], "a of before has not ended yet"
    write(b=1.0)
    await service._read_again(streams)
    write(a=3.0, b=1.0)
    await service._read_again(streams)
    await asyncio.sleep(0.05)
    assert len(order) == 2
    await streams.close()
    assert "stream a has not ended" in caplog.text
    assert "stream b" not in caplog.text
    released.set()
    await asyncio.sleep(0.05)
    assert order[2:4] == [("ended", "b", 1.0), ("ended", "a", 1.0)]
    assert [name for what, *name in order[4:] if what == "begins"] == [["a", 2.0], ["a", 3.0]], "one by one"
    assert not streams._ending


async def test_a_refused_reload_says_why_and_what_needs_a_restart_is_named(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(streaming.service.streams, "Supervisor", Fake)
    file = tmp_path / "cameras.toml"
    good = '[streams.a]\nsource = "rtsp://u:secret@127.0.0.1/x"\nprompts = ["cat"]\n'
    file.write_text(good, encoding="utf-8")

    service = Service(file, load_settings(file))
    with caplog.at_level("INFO"):
        streams = some_streams()
        await service._apply(streams, service._settings)
        file.write_text(good + "wieght = 2.0\n", encoding="utf-8")
        await service._read_again(streams)
        file.write_text('[model]\ndevice = "cuda:1"\n' + good, encoding="utf-8")
        await service._read_again(streams)
        await streams.close()
    assert "weight" in caplog.text
    assert "a restart is needed for model.device" in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.parametrize("end", ["signal", "itself"])
def test_the_process_ends_when_all_that_it_does_has_an_end(tmp_path, end):
    """A settings file of recordings only: every frame is tracked, then the exit code is 0."""
    file = tmp_path / "files.toml"
    clip = ROOT / "streaming" / "commands" / "demo.mp4"
    source = tmp_path / "short.mp4"
    cut = ["-t", "1"] if end == "itself" else ["-t", "6"]
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", str(clip), *cut, "-c", "copy", str(source)], check=True)
    file.write_text(
        f'[model]\nname = "nano"\n[http]\nlisten = ""\n[streams.clip]\nsource = "{source}"\n'
        f'prompts = ["object"]\nout = ["{{stream}}.jsonl"]\n',
        encoding="utf-8",
    )
    with forked.running("run", file, folder=tmp_path, log=tmp_path / "log") as process:
        if end == "signal":
            part = tmp_path / "clip.partial.jsonl"
            eventually(lambda: (part.exists() and part.stat().st_size) or process.poll() is not None)
            process.send_signal(signal.SIGTERM)
        assert process.wait(patient(120)) == 0, (tmp_path / "log").read_text()
    lines = (tmp_path / "clip.jsonl").read_text(encoding="utf-8").splitlines()
    frames = [json.loads(line)["frame"] for line in lines]
    assert frames == list(range(len(frames)))
    if end == "itself":
        assert len(frames) >= 10


def test_a_signal_in_the_first_moment_is_remembered_and_obeyed_after_the_start(tmp_path):
    """SIGHUP as soon as the process can take it: nothing is loaded yet, not even the settings."""
    settings = '[streams.door]\nsource = "rtsp://127.0.0.1:9/x"\nprompts = ["object"]\n'
    running = ServiceProcess(tmp_path, settings, fresh=True)
    running.start()
    try:
        status = Path(f"/proc/{running.process.pid}/status")

        def catches_sighup():
            return int(re.search(r"SigCgt:\s*(\w+)", status.read_text(encoding="ascii"))[1], 16) & 1

        eventually(catches_sighup)
        running.process.send_signal(signal.SIGHUP)
        assert "libtorch" not in Path(f"/proc/{running.process.pid}/maps").read_text(encoding="utf-8")
        eventually(lambda: "reloaded: 1 streams" in running.text() or running.process.poll() is not None)
        assert running.process.poll() is None
        assert running.stop() == 0
    finally:
        running.kill()


def test_no_other_command_takes_sighup(monkeypatch):
    """A terminal that is closed ends what was begun in it."""
    monkeypatch.setattr(sys, "argv", ["maskcast", "track", "--help"])
    monkeypatch.setattr(streaming.cli.app, "main", lambda: None)
    before = signal.getsignal(signal.SIGHUP)
    maskcast.__main__.main()
    assert signal.getsignal(signal.SIGHUP) is before


async def test_a_stream_that_is_given_up_turns_health_red_and_the_exit_code_with_it(tmp_path, monkeypatch):
    class Broken(Fake):
        async def run(self):
            raise ZeroDivisionError

    monkeypatch.setattr(streaming.service.streams, "Supervisor", Broken)
    file = tmp_path / "cameras.toml"
    file.write_text('[streams.a]\nsource = "rtsp://127.0.0.1/x"\nprompts = ["cat"]\n', encoding="utf-8")

    service = Service(file, load_settings(file))
    assert service.health().ok
    service._streams = some_streams()
    with pytest.raises(MaskcastError, match="given up: a"):
        await service._serve(service._streams, LocalTracking(service._settings, service._heartbeat), asyncio.Event())
    assert service.health().reason == "given up: a"


async def test_the_death_of_the_models_thread_turns_health_red_and_ends_the_process_with_code_5(tmp_path, monkeypatch):
    monkeypatch.setattr(streaming.service.streams, "Supervisor", Fake)
    file = tmp_path / "cameras.toml"
    file.write_text('[streams.a]\nsource = "rtsp://127.0.0.1/x"\nprompts = ["cat"]\n', encoding="utf-8")

    service = Service(file, load_settings(file))
    tracking = service._tracking = LocalTracking(service._settings, service._heartbeat)
    thread = tracking._worker.thread
    streams = some_streams()
    serving = asyncio.create_task(service._serve(streams, tracking, asyncio.Event()))
    await asyncio.sleep(0)
    assert service.health().ok
    thread.death = ModelError("the model's thread has ended")
    assert service.health().reason == "the model's thread has ended"
    thread.died.set()
    with pytest.raises(ModelError) as caught:
        await serving
    assert caught.value.exit_code == 5
    await streams.close()
