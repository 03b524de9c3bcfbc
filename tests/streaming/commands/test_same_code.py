"""The same fault ends `maskcast check` and `maskcast run` with the same code, or is one with which `run` goes on."""

import json
import socket
from pathlib import Path

import pytest

from tests import forked
from tests.paths import ROOT
from tests.patience import eventually, patient

DEMO = str(ROOT / "streaming" / "commands" / "demo.mp4")
TAKEN = "a port that is taken"
NANO = '[model]\nname = "nano"\n'
AWAY = "rtsp://127.0.0.1:1/x"


def stream(source: str = DEMO, more: str = "", prompt: str = "star") -> str:
    return f'[streams.door]\nsource = {json.dumps(source)}\nprompts = ["{prompt}"]\n{more}\n'


def model(more: str) -> str:
    return f"[model]\n{more}\n{stream()}"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    (tmp_path / "file").touch()
    return tmp_path


def check(folder: Path, text: str) -> int:
    http = "" if "[http]" in text else '[http]\nlisten = ""\n'
    (folder / "cameras.toml").write_text(http + text, encoding="utf-8")
    return forked.run("check", "cameras.toml", folder=folder).returncode


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (2, "x = ["),
        (2, NANO + stream(more="x = 1")),
        (2, NANO + stream(more='out = ["a.unknown"]')),
        (2, model('name = "nano"\ndevice = "cuda:999"')),
        (2, model('name = "nano"\ntracker = "association"\nhot_start = 20')),
        (2, model('name = "nano"\ncontext_tokens = 77')),
        (2, model('name = "nano"\nresolution = 112')),
        (2, NANO + stream(prompt="a very long phrase " * 20)),
        (2, f'{NANO}[http]\nlisten = "127.0.0.1:{TAKEN}"\n{stream()}'),
        (3, NANO + stream("nowhere.mp4")),
        (3, NANO + stream("cameras.toml")),
        (3, NANO + stream(more="max_pixels = 10")),
        (4, NANO + stream(more='out = ["file/a.jsonl"]')),
        (5, model('name = "./nowhere"')),
        (5, model('name = "owner/model"')),
        (5, model('name = "nano"\ntracker_from = "./nowhere"')),
    ],
)
def test_the_same_code(code: int, text: str, folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        wrong = text.replace(TAKEN, str(taken.getsockname()[1]))
        assert check(folder, wrong) == code
        with forked.running("run", "cameras.toml", folder=folder, log=folder / "log") as process:
            ended = process.wait(patient(60))
    log = (folder / "log").read_text(encoding="utf-8")
    assert ended == code, log
    assert "maskcast: error: " in log
    assert "Traceback" not in log


@pytest.mark.long
@pytest.mark.parametrize(
    ("code", "said", "text"),
    [
        (3, "connection refused", NANO + stream(AWAY)),
        (3, "no such file", NANO + stream("rtsps://127.0.0.1:1/x", 'ca_file = "nowhere.pem"')),
        (4, "trying again", f'{NANO}[mqtt]\nurl = "mqtt://127.0.0.1:1"\n{stream()}'),
        (4, "trying again", f'{NANO}[mqtt]\nurl = "mqtts://127.0.0.1:1"\nca_file = "nowhere.pem"\n{stream()}'),
        (4, "events are kept in memory", f'{NANO}[state]\nfolder = "file/state"\n{stream()}'),
        (4, "tracking goes on", NANO + stream(more='recording = {folder = "file", keep_files = 1}')),
    ],
)
def test_with_what_run_goes_on(code: int, said: str, text: str, folder: Path) -> None:
    """Each may be mended while it runs; `check` says it before."""
    assert check(folder, text) == code
    log = folder / "log"
    with forked.running("run", "cameras.toml", folder=folder, log=log) as process:
        eventually(lambda: said in log.read_text(encoding="utf-8"), 60, "it is told")
        assert process.poll() is None
        process.terminate()
        assert process.wait(patient(60)) == 0
