"""`maskcast check` against a real broker, a real camera, and things that are broken or never answer."""

from __future__ import annotations

import asyncio
import gc
import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import aiomqtt
import pytest

from sinks.mqtt import connector
from streaming.commands import check as check_command
from streaming.commands import probes
from streaming.commands.check import run_check
from tests.broker import running
from tests.media import make
from tests.patience import patient, slowness
from tests.ports import free_port
from tests.rtsp import camera

SECRET = "Zq7-unspeakable"
# paho-mqtt leaves the socket of a failed handshake to the garbage collector.
sockets_left_to_the_collector = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("film") / "film.mp4", seconds=3)


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl on this machine to make a certificate")
    files = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", str(files[1]), "-out", str(files[0]), "-days", "2", "-subj", "/CN=localhost"]
    subprocess.run([*command, "-addext", "subjectAltName=DNS:localhost"], check=True, capture_output=True)
    return files


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def _collected() -> Iterator[None]:
    """Collect the garbage here, where warnings of sockets are expected, and not in whatever test comes next."""
    yield
    gc.collect()


@pytest.fixture
def no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the model, which takes seconds to load and is looked at in tests of its own."""
    everything = check_command._everything
    monkeypatch.setattr(
        check_command, "_everything", lambda found: [probe for probe in everything(found) if probe.what != "model"]
    )


def settings(folder: Path, text: str) -> Path:
    file = folder / "cameras.toml"
    head = '[model]\nname = "nano"\n' if "[model]" not in text else ""
    http = '[http]\nlisten = ""\n' if "[http]" not in text else ""
    file.write_text(head + http + text)
    return file


def stream(source: str, name: str = "door", more: str = "", prompts: str = '["star"]') -> str:
    return f"[streams.{name}]\nsource = {json.dumps(source)}\nprompts = {prompts}\n{more}\n"


def check(file: Path | None) -> tuple[list[str], int]:
    lines, code = run_check(file)
    assert SECRET not in "\n".join(lines)
    assert all("\n" not in line for line in lines)
    return lines, code


def about(lines: list[str], what: str) -> list[str]:
    """The verdicts and details of one part."""
    found = [line.split(maxsplit=2) for line in lines]
    return [f"{verdict} {detail}" for verdict, part, detail in found if part == what]


def test_all_is_well(tmp_path: Path, film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    password = f"12/{SECRET}@?#%41 &"  # raw, it would be read as a host, a port, a path...
    monkeypatch.setenv("PASSWORD", password)
    with (
        running(tmp_path / "broker", user="cam", password=password) as broker,
        camera(film, "--user", "viewer", "--password", password) as server,
    ):
        text = (
            f'[mqtt]\nurl = "mqtt://cam:${{PASSWORD}}@127.0.0.1:{broker.port}/site"\n'
            f'[http]\nlisten = "127.0.0.1:{free_port()}"\n'
            + stream(server.url(user="viewer:${PASSWORD}"))
            + '[streams.door.recording]\nfolder = "recordings"\nkeep_bytes = "600 MB"\ncodec = "libx264"\n'
            + stream(str(film), "file", 'out = ["{stream}.jsonl"]')
            + "[streams.file.zones.gate]\npoints = [[0, 0], [1, 0], [1, 1]]\n"
        )
        lines, code = check(settings(tmp_path, text))
    assert code == 0, lines
    assert about(lines, "settings")[0].endswith("cameras.toml: 2 streams")
    assert about(lines, "device")
    assert "complete; tracker memory" in about(lines, "model")[0]
    assert about(lines, "prompts") == ["ok 1 different, all readable"]
    assert about(lines, "mqtt") == [f"ok mqtt://127.0.0.1:{broker.port}: connected, MQTT 5, not encrypted"]
    assert "will be made" in about(lines, "state")[0]
    assert "free" in about(lines, "http")[0]
    assert about(lines, "encoder") == ["ok libx264: libx264"]
    assert about(lines, "streams.door")[0].startswith(f"ok 127.0.0.1:{server.port}: 96 x 64, 10 frames/s, live")
    assert about(lines, "streams.file") == [f"ok {film}: 96 x 64, 10 frames/s, 30 frames; zones gate"]


@pytest.mark.usefixtures("no_model")
async def test_nothing_is_left_behind(tmp_path: Path, film: Path) -> None:
    async def retained(port: int) -> list[str]:
        async with aiomqtt.Client("127.0.0.1", port) as client:
            await client.publish("mark", b"x", retain=True)
            await client.subscribe("#")
            found = []
            async with asyncio.timeout(patient(10)):
                async for message in client.messages:
                    found.append(str(message.topic))
                    if message.topic.matches("mark"):
                        return found
        return found

    text = stream(str(film), more='out = ["new/{stream}.jsonl"]\nrecording = {folder = "rec", keep_files = 1}')
    with running(tmp_path.parent / f"{tmp_path.name}-broker") as broker:
        file = settings(tmp_path, f'[mqtt]\nurl = "mqtt://127.0.0.1:{broker.port}"\n{text}')
        before = sorted(tmp_path.rglob("*"))
        assert (await asyncio.to_thread(check, file))[1] == 0
        assert await retained(broker.port) == ["mark"]
    assert sorted(tmp_path.rglob("*")) == before


def test_wrong_settings_are_all_that_is_said(tmp_path: Path) -> None:
    lines, code = check(
        settings(tmp_path, f'[mqtt]\nurl = "http://u:{SECRET}@h"\n' + stream("rtsp://h/", more="x = 1"))
    )
    assert code == 2
    assert [line.split()[:2] for line in lines] == [["FAIL", "settings"]] * 2
    assert check(tmp_path / "nothing.toml")[1] == 2


@pytest.mark.usefixtures("no_model")
def test_cameras_fail_each_for_its_own_reason(tmp_path: Path, film: Path, silent: int) -> None:
    fast = f"connect_timeout = {slowness()}\nsilence_timeout = {slowness()}"
    with camera(film, "--user", "viewer", "--password", "right") as server:
        text = (
            stream(server.url(user=f"viewer:{SECRET}"), "denied")
            + stream(f"rtsp://u:{SECRET}@127.0.0.1:{free_port()}/x?token={SECRET}", "refused")
            + stream(f"rtsp://u:{SECRET}@127.0.0.1:{silent}/{SECRET}", "silent", fast)
            + stream("nowhere.mp4", "missing")
            + stream("rtsps://127.0.0.1/x", "tls", 'ca_file = "nowhere.pem"')
            + stream(str(film), "fine")
        )
        lines, code = check(settings(tmp_path, text))
    assert code == 3
    assert "user name or password refused" in about(lines, "streams.denied")[0]
    assert "connection refused" in about(lines, "streams.refused")[0]
    assert "no answer in time" in about(lines, "streams.silent")[0]
    assert "no such file" in about(lines, "streams.missing")[0]
    assert "nowhere.pem: no such file" in about(lines, "streams.tls")[0]
    assert about(lines, "streams.fine")[0].startswith("ok ")
    assert [line.split()[1].removeprefix("streams.") for line in lines if "streams." in line] == [
        "denied",
        "refused",
        "silent",
        "missing",
        "tls",
        "fine",
    ]


@sockets_left_to_the_collector
@pytest.mark.usefixtures("no_model", "_collected")
def test_a_broker_that_refuses_or_is_not_there(tmp_path: Path, film: Path, silent: int, monkeypatch) -> None:
    monkeypatch.setattr(connector, "TIMEOUT_SECONDS", 2 * slowness())
    with running(tmp_path / "broker", user="cam", password="right") as broker:
        for url, said in (
            (f"mqtt://cam:{SECRET}@127.0.0.1:{broker.port}", "check username and password"),
            (f"mqtts://cam:{SECRET}@127.0.0.1:{broker.port}", "check"),
            (f"mqtt://cam:{SECRET}@127.0.0.1:{free_port()}", "check that the broker runs"),
            (f"mqtt://cam:{SECRET}@127.0.0.1:{silent}", "check"),
        ):
            lines, code = check(settings(tmp_path, f'[mqtt]\nurl = "{url}"\n{stream(str(film))}'))
            assert code == 4
            found = about(lines, "mqtt")
            assert len(found) == 1
            assert found[0].startswith("FAIL mqtt")
            assert said in found[0]


@sockets_left_to_the_collector
@pytest.mark.usefixtures("no_model", "_collected")
def test_the_brokers_certificate_is_verified(
    tmp_path: Path, film: Path, certificate: tuple[Path, Path], monkeypatch
) -> None:
    monkeypatch.setattr(connector, "TIMEOUT_SECONDS", 3 * slowness())
    cert, key = certificate
    listener = [f"certfile {cert}", f"keyfile {key}", f"cafile {cert}", "require_certificate true"]
    with running(tmp_path / "broker", lines=listener) as broker:

        def found(more: str, host: str = "localhost") -> str:
            text = f'[mqtt]\nurl = "mqtts://{host}:{broker.port}/site"\n{more}\n{stream(str(film))}'
            return about(check(settings(tmp_path, text))[0], "mqtt")[0]

        ours = f'cert_file = "{cert}"\nkey_file = "{key}"'
        assert "connected, MQTT 5, TLS" in found(f'ca_file = "{cert}"\n{ours}')
        assert "MQTT 3.1.1, TLS" in found(f'ca_file = "{cert}"\n{ours}\nprotocol = "3.1.1"')
        assert "FAIL" in found(f'ca_file = "{cert}"')
        assert "check ca_file" in found(ours)
        assert "check ca_file" in found(f'ca_file = "{cert}"\n{ours}', "127.0.0.1")
        assert "PEM files are needed" in found('ca_file = "cameras.toml"')
        assert "PEM files are needed" in found(f'ca_file = "{cert}"\ncert_file = "{key}"')
        assert "nowhere.pem" in found('ca_file = "nowhere.pem"')


@pytest.mark.usefixtures("no_model")
def test_folders_that_cannot_be_written(tmp_path: Path, film: Path) -> None:
    (tmp_path / "file").write_text("x")
    text = '[state]\nfolder = "file/state"\n' + stream(
        str(film), more='out = ["file/a.jsonl"]\nrecording = {folder = "file", keep_files = 1}'
    )
    lines, code = check(settings(tmp_path, text))
    assert code == 4
    for what in ("state", "out", "recording"):
        assert about(lines, what)[0].startswith("FAIL")
        assert "Not a directory; make it writable" in about(lines, what)[0]


@pytest.mark.usefixtures("no_model")
def test_a_disk_that_is_too_small_is_warned_of(tmp_path: Path, film: Path) -> None:
    text = stream(str(film), more='recording = {folder = "rec", keep_bytes = "900 TB"}')
    lines, code = check(settings(tmp_path, text))
    assert code == 0
    assert any(line.startswith("warn") and "lower keep_bytes" in line for line in about(lines, "recording"))


@pytest.mark.usefixtures("no_model")
def test_a_codec_that_does_not_exist(tmp_path: Path, film: Path) -> None:
    text = stream(str(film), more='recording = {folder = "rec", keep_files = 1, codec = "h264_imaginary"}')
    lines, code = check(settings(tmp_path, text))
    assert code == 2
    assert "no video encoder is called 'h264_imaginary'" in about(lines, "encoder")[0]


@pytest.mark.usefixtures("no_model")
def test_a_port_that_is_taken(tmp_path: Path, film: Path, silent: int, monkeypatch) -> None:
    monkeypatch.setattr(probes, "HTTP_SECONDS", 0.3)
    lines, code = check(settings(tmp_path, f'[http]\nlisten = "127.0.0.1:{silent}"\n{stream(str(film))}'))
    assert code == 2
    assert "choose another address or port" in about(lines, "http")[0]
    lines, code = check(settings(tmp_path, f'[http]\nlisten = "0.0.0.0:{free_port()}"\n{stream(str(film))}'))
    assert code == 0
    assert about(lines, "http")[0].startswith("warn")


@pytest.mark.usefixtures("no_model")
@pytest.mark.parametrize(
    ("listen", "more", "said"),
    [
        ("127.0.0.1", "", " is open to this machine"),
        ("127.0.0.1", 'password = "correct horse"\nprefix = "/cameras"\n', ", under /cameras, asks for the password"),
        ("0.0.0.0", 'password = "correct horse"\n', " asks for the password"),
        ("0.0.0.0", "", " is not served, as there is no http.password"),
    ],
)
def test_where_the_page_is_and_who_may_look(tmp_path: Path, film: Path, listen: str, more: str, said: str) -> None:
    place = f"{listen}:{free_port()}"
    lines, code = check(settings(tmp_path, f'[http]\nlisten = "{place}"\n{more}{stream(str(film))}'))
    assert code == 0
    assert f"the page at http://{place}{said}" in " ".join(about(lines, "http")[0].split())


@pytest.mark.usefixtures("no_model")
def test_a_probe_that_never_ends_does_not_stop_the_check(tmp_path: Path, film: Path, monkeypatch) -> None:
    free, seconds = threading.Event(), 0.5 * slowness()
    monkeypatch.setattr(check_command, "LOCAL_SECONDS", seconds)
    monkeypatch.setattr(probes, "probe_folder", lambda *_: free.wait(patient(60)) and [])
    began = time.monotonic()
    lines, code = check(settings(tmp_path, stream(str(film))))
    free.set()
    assert time.monotonic() - began < patient(30)
    assert code == 4
    assert about(lines, "state") == [f"FAIL no answer in {seconds:.0f} s"]
    assert about(lines, "streams.door")[0].startswith("ok")


@pytest.mark.usefixtures("no_model")
def test_a_probe_that_breaks_tells_no_more_than_that(tmp_path: Path, film: Path, monkeypatch) -> None:
    def broken(*_: object) -> None:
        raise KeyError(SECRET)

    monkeypatch.setattr(probes, "probe_source", broken)
    lines, code = check(settings(tmp_path, stream(str(film))))
    assert code == 3
    assert about(lines, "streams.door") == ["FAIL failed in an unforeseen way (KeyError)"]


@pytest.mark.usefixtures("no_model")
def test_only_some_cameras_are_opened_at_the_same_moment(tmp_path: Path, monkeypatch) -> None:
    lock, now, most = threading.Lock(), 0, 0

    def slow(name: str, _: object) -> list[probes.Finding]:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.05)
        with lock:
            now -= 1
        return [probes.Finding(probes.Verdict.OK, name, "seen")]

    monkeypatch.setattr(probes, "probe_source", slow)
    many = "".join(stream("rtsp://h/", f"s{number}") for number in range(30))
    lines, code = check(settings(tmp_path, many))
    assert (code, most) == (0, check_command.CAMERAS_AT_ONCE)
    assert [line.split()[1] for line in lines if "seen" in line] == [f"s{number}" for number in range(30)]


def test_models_that_are_missing_or_damaged(tmp_path: Path, film: Path, tiny_checkpoint: Path) -> None:
    damaged, empty = tmp_path / "damaged", tmp_path / "empty"
    shutil.copytree(tiny_checkpoint, damaged)
    weights = next(damaged.glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-100])
    empty.mkdir()

    def found(model: str) -> tuple[str, int]:
        lines, code = check(settings(tmp_path, f"[model]\n{model}\n{stream(str(film))}"))
        return about(lines, "model")[0], code

    for model, said in (
        ('name = "./nowhere"', "no such folder"),
        ('name = "./empty"', "holds no config.json"),
        ('name = "./damaged"', "is damaged or cut off"),
        ('name = "owner/model"', "not in the cache"),
        ('name = "owner/bad..name"', ""),
    ):
        detail, code = found(model)
        assert detail.startswith("FAIL")
        assert said in detail
        assert code == 5
    detail, code = found(f'name = "{tiny_checkpoint}"')
    assert detail.startswith("ok")
    assert code == 0
    detail, code = found(f'name = "{tiny_checkpoint}"\ntracker = "memory"')
    assert "no memory tracker weights" in detail
    assert code == 2


def test_prompts_that_the_model_cannot_read(tmp_path: Path, film: Path) -> None:
    text = stream(str(film), prompts=json.dumps(["a very long phrase " * 20]))
    lines, code = check(settings(tmp_path, text))
    assert code == 2
    assert "streams.door.prompts[0]:" in about(lines, "prompts")[0]
    assert "shorten it" in about(lines, "prompts")[0]


def test_words_that_the_model_does_not_know(tmp_path: Path, film: Path) -> None:
    lines, code = check(settings(tmp_path, stream(str(film), prompts='["star", "person"]')))
    assert code == 0, lines
    (line,) = about(lines, "prompts")
    assert line.startswith("warn streams.door.prompts[1]: ")
    assert "nano does not know 'person'" in line
    assert not any("use nano" in line or "or nano" in line for line in lines)


def test_a_device_that_is_not_there(tmp_path: Path, film: Path) -> None:
    lines, code = check(settings(tmp_path, f'[model]\nname = "nano"\ndevice = "cuda:999"\n{stream(str(film))}'))
    assert code == 2
    assert "cuda:999 is not available" in about(lines, "device")[0]


def test_the_lowest_code_of_all_failures_counts(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    text = '[model]\nname = "./nowhere"\n[state]\nfolder = "file/x"\n' + stream("nowhere.mp4")
    assert check(settings(tmp_path, text))[1] == 3


def test_without_settings_it_says_what_the_machine_can_do() -> None:
    lines, code = check(None)
    assert code in {0, 5}  # 5: the default model is not in the cache, and the tests are offline
    assert "FFmpeg" in about(lines, "video")[0]
    assert any("h264" in line for line in about(lines, "encoder"))
    assert about(lines, "device")
    assert about(lines, "nano")[0].startswith("ok")
    assert "sam3-litetext" in about(lines, "model")[0]
