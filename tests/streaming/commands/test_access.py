"""Each way in which the hub gives no files, as `maskcast track` and `maskcast check` say it: one line that helps."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from streaming.cli.app import app
from tests import hub as stand_in
from tests import tiny
from tests.hub import TOKEN, Hub
from tests.media import make
from tests.paths import ROOT
from tests.ports import free_port
from tests.tracking import one_line, run
from trackers.detection.architecture import TRACKER
from trackers.hub.token import login

Patch = pytest.MonkeyPatch
FILES = {"config.json": b"{}", "model.safetensors": b"weights"}


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("film") / "film.mp4", seconds=1)


@pytest.fixture
def hub(monkeypatch: Patch, tmp_path: Path) -> Iterator[Hub]:
    with stand_in.serving() as hub:
        hub.use(monkeypatch, tmp_path)
        hub.host("some/one", FILES)
        yield hub


def moved(_: Hub, patch: Patch, home: Path) -> None:
    """The user has logged in, and HF_HOME was moved since."""
    (home / ".cache" / "huggingface").mkdir(parents=True)
    (home / ".cache" / "huggingface" / "token").write_text(TOKEN)


def wrong_file(_: Hub, patch: Patch, home: Path) -> None:
    (home / "token").write_text("hf_mistyped")


def slow(mood: str) -> Callable[[Hub, Patch, Path], None]:
    def set_in(hub: Hub, patch: Patch, _: Path) -> None:
        patch.setattr("huggingface_hub.constants.HF_HUB_ETAG_TIMEOUT", 1)
        hub.mood = mood

    return set_in


def endpoint(patch: Patch, url: str) -> None:
    patch.setattr("huggingface_hub.constants.ENDPOINT", url)


def proxied(hub: Hub, patch: Patch, mood: str) -> None:
    hub.mood = mood
    endpoint(patch, "http://hub.invalid")
    patch.setenv("HTTP_PROXY", hub.url.replace("//", "//user:unspeakable@"))


def gate(kind: str, token: str | None = TOKEN) -> Callable[[Hub, Patch, Path], None]:
    def shut(hub: Hub, patch: Patch, _: Path) -> None:
        hub.host("some/one", FILES, gate=kind)
        if token is not None:
            patch.setenv("HF_TOKEN", token)

    return shut


def mood(of: str) -> Callable[[Hub, Patch, Path], None]:
    return lambda hub, *_: setattr(hub, "mood", of)


def token(value: str) -> Callable[[Hub, Patch, Path], None]:
    return lambda _, patch, __: patch.setenv("HF_TOKEN", value)


ELSEWHERE = "on a machine with network run `hf download some/one --local-dir FOLDER`"
CASES: dict[str, tuple[list[Callable[[Hub, Patch, Path], None]], str]] = {
    "no token": (
        [gate("closed", None)],
        r"no token was sent \(HF_TOKEN is not set and <home>/token not there\); accept its terms at <hub>/some/one, .*",
    ),
    "token elsewhere": (
        [gate("closed", None), moved],
        r"no token was sent \(there is none in <home>/token, .*: set HF_TOKEN_PATH=<home>/.cache/huggingface/token, or",
    ),
    "token of an account without access": (
        [gate("closed")],
        r"it is gated, and the account of the token of HF_TOKEN has no access; ask for access at <hub>/some/one",
    ),
    "request pending": (
        [gate("pending")],
        r"its owners have not answered your request for access yet; see <hub>/some/one",
    ),
    "request refused": ([gate("refused")], r"its owners have refused your request for access; see <hub>/some/one"),
    "fine-grained token": (
        [gate("fine-grained")],
        r"the token of HF_TOKEN is fine-grained without access to gated repositories; edit it at <hub>/settings/tokens",
    ),
    "bad token": (
        [token("hf_mistyped")],
        r"the hub does not know the token of HF_TOKEN: it is mistyped, revoked or has",
    ),
    "bad token in the file": (
        [wrong_file],
        r"the hub does not know the token of <home>/token: .*; make a new one at <hub>",
    ),
    "impossible token": (
        [token("hf_mistyped\u2026")],
        r"the token of HF_TOKEN has characters that none has; make it anew",
    ),
    "unreadable file of a token": (
        [lambda _, __, home: (home / "token").mkdir()],
        r"the token in <home>/token cannot be read \(Is a directory\); set HF_TOKEN, or HF_HOME to a",
    ),
    "missing": (
        [lambda hub, *_: hub.repositories.clear()],
        r"no such repository, or a private one, and no token was sent \(.*\); check the name at <hub>/some/one; run",
    ),
    "missing, with a token": (
        [lambda hub, *_: hub.repositories.clear(), token(TOKEN)],
        r"no such repository, or a private one; check the name at <hub>/some/one; `.*hf auth login` for a private one",
    ),
    "down": ([mood("down")], rf"<hub> is out of order \(answers 503\); try again later, or {ELSEWHERE}"),
    "captive portal": ([mood("portal")], r"what answers at <hub> is not the hub; log in to this network in a browser"),
    "silent": ([slow("silent")], rf"<hub> takes connections and does not answer; try again later, or {ELSEWHERE}"),
    "by drops": ([slow("trickle")], r"<hub> takes connections and does not answer; try again later"),
    "no network": (
        [lambda _, patch, __: endpoint(patch, "http://hub.invalid")],
        rf"hub\.invalid cannot be reached \(.*\); check the network, or {ELSEWHERE}",
    ),
    "nobody listens": (
        [lambda _, patch, __: endpoint(patch, f"http://127.0.0.1:{free_port()}")],
        r"127.0.0.1:\d+ cannot be reached \(.*Connection refused\); check the network, or",
    ),
    "no URL": (
        [lambda _, patch, __: endpoint(patch, "hub.invalid")],
        r"hub\.invalid cannot be asked \(.*\); look at HF_ENDPOINT and HTTPS_PROXY",
    ),
    "dead proxy": (
        [lambda _, patch, __: patch.setenv("HTTP_PROXY", f"http://user:unspeakable@127.0.0.1:{free_port()}")],
        r"the proxy 127\.0\.0\.1:\d+ does not lead to <hub> \(.*Connection refused\); look at HTTPS_PROXY and NO_PROXY",
    ),
    "proxy without password": (
        [lambda hub, patch, _: proxied(hub, patch, "proxy password")],
        r"the proxy asks for a password; put a user name and a password into HTTPS_PROXY",
    ),
    "proxy that is down": ([lambda hub, patch, _: proxied(hub, patch, "down")], r"hub\.invalid is out of order"),
    "offline": (
        [lambda _, patch, __: patch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)],
        rf"not in the cache, and HF_HUB_OFFLINE forbids to fetch it; {ELSEWHERE}",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_one_line_before_anything_is_fetched(
    hub: Hub, monkeypatch: Patch, tmp_path: Path, film: Path, name: str
) -> None:
    prepare, expected = CASES[name]
    for step in prepare:
        step(hub, monkeypatch, tmp_path)
    done = run(film, "--prompt", "person", "--out", tmp_path / "out.jsonl", model="some/one")
    line = one_line(done)
    expected = expected.replace("<hub>", f"127.0.0.1:{hub.port}").replace("<home>", re.escape(str(tmp_path)))
    assert done.exit_code == 5
    assert re.match(rf"model some/one: .*{expected}", line), line
    assert not any(secret in done.stderr for secret in (TOKEN, "hf_mistyped", "unspeakable"))
    assert hub.count(".safetensors") == 0


def test_a_portal_with_a_certificate_of_its_own(hub: Hub, monkeypatch: Patch, tmp_path: Path, film: Path) -> None:
    """As one that answers for every host has, and a proxy that opens what is encrypted."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl on this machine to make a certificate")
    files = tmp_path / "certificate.pem", tmp_path / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-out", str(files[0]), "-keyout", str(files[1]), "-days", "2", "-subj", "/CN=hotel"]
    subprocess.run(command, check=True, capture_output=True)
    hub.encrypt(*files)
    endpoint(monkeypatch, hub.url)
    done = run(film, "--prompt", "person", "--out", tmp_path / "out.jsonl", model="some/one")
    assert done.exit_code == 5
    expected = f"what answers at 127.0.0.1:{hub.port} has no certificate that is trusted; log in to this network in a"
    assert expected in one_line(done)
    assert "set SSL_CERT_FILE to its certificate" in one_line(done)


def test_a_token_that_has_access(hub: Hub, monkeypatch: Patch, tmp_path: Path, film: Path) -> None:
    hub.host("some/one", tiny.save(tmp_path / "model"), gate="open")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert run(film, "--prompt", "person", "--out", tmp_path / "out.jsonl", model="some/one").exit_code == 0


def test_a_proxy_that_leads_there(hub: Hub, monkeypatch: Patch, tmp_path: Path, film: Path) -> None:
    hub.host("some/one", tiny.save(tmp_path / "model"))
    monkeypatch.setattr(stand_in, "LARGE", ())  # its other host has no proxy here
    proxied(hub, monkeypatch, "up")
    monkeypatch.setattr(
        "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE",
        "http://hub.invalid/{repo_id}/resolve/{revision}/{filename}",
    )
    done = run(film, "--prompt", "person", "--out", tmp_path / "out.jsonl", model="some/one")
    assert done.exit_code == 0, done.stderr
    assert hub.proxied == len(hub.asked) > 3


def test_the_tracker_is_asked_for_before_the_model_is_fetched(hub: Hub, tmp_path: Path, film: Path) -> None:
    hub.host("some/one", tiny.save(tmp_path / "model"))
    hub.host("some/other", FILES, gate="closed")
    done = run(film, "--prompt", "x", "--tracker-from", "some/other", "--out", tmp_path / "o.jsonl", model="some/one")
    assert done.exit_code == 5
    assert re.match(rf"model some/other: it is gated, .*; {TRACKER.otherwise}", one_line(done))
    assert hub.count(".safetensors") == 0


def checked(tmp_path: Path, *lines: str) -> tuple[int, str]:
    """Exit code of `maskcast check`, and what it says of the model."""
    settings = "\n".join(['[model]\nname = "some/one"', *lines, '[streams.door]\nsource = "door.mp4"\nprompts = ["x"]'])
    (tmp_path / "cameras.toml").write_text(settings)
    make(tmp_path / "door.mp4", seconds=1)
    done = CliRunner().invoke(app, ["check", str(tmp_path / "cameras.toml")])
    return done.exit_code, next(line for line in done.stdout.splitlines() if line.split()[1] == "model")


def test_check_asks_the_hub_and_fetches_nothing(hub: Hub, tmp_path: Path) -> None:
    size = (tiny.save(tmp_path / "model") / "model.safetensors").stat().st_size
    hub.host("some/one", tmp_path / "model")
    code, line = checked(tmp_path)
    assert line.startswith("warn"), line
    assert f"some/one: not in the cache, {size / 1e6:.0f} MB to fetch: `maskcast fetch some/one`" in line
    hub.host("some/other", FILES, gate="pending")
    code, line = checked(tmp_path, 'tracker_from = "some/other"')
    assert (code, line.split()[0]) == (5, "FAIL")
    assert "model some/other: it is gated, and no token was sent" in line
    assert hub.count(".safetensors") == 0


def in_its_own_process(film: Path, environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "maskcast", "track", str(film), "--prompt", "x", "--device", "cpu", *arguments]
    return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_environment_is_honoured(tmp_path: Path, film: Path) -> None:
    """As under systemd: an empty home, another folder for the cache, and the token in a variable."""
    home, moved, out = tmp_path / "home", tmp_path / "moved", tmp_path / "out.jsonl"
    home.mkdir()
    with stand_in.serving() as hub:
        hub.host("some/one", tiny.save(tmp_path / "model"), gate="open")
        environment = hub.environment(home) | {"HF_HOME": str(moved)}
        arguments = ("--model", "some/one", "--out", str(out))
        done = in_its_own_process(film, environment, *arguments)
        assert (done.returncode, hub.count(".safetensors")) == (5, 0)
        assert f"no token was sent (HF_TOKEN is not set and {moved}/token not there)" in one_line(done)
        done = in_its_own_process(film, environment | {"HF_TOKEN": TOKEN}, *arguments)
        assert done.returncode == 0, done.stderr
    assert list((moved / "hub" / "models--some--one" / "snapshots").iterdir())
    out.unlink()
    done = in_its_own_process(film, environment | {"HF_HUB_OFFLINE": "1"}, *arguments)
    assert done.returncode == 0, done.stderr
    assert not list(home.glob(".cache/huggingface/*")), "nothing lands in the home"


def test_the_command_that_logs_in_is_one_that_is_found(tmp_path: Path, monkeypatch: Patch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.executable", str(tmp_path / "pipx" / "python"))
    assert login() == "`hf auth login`"
    (tmp_path / "pipx").mkdir()
    (tmp_path / "pipx" / "hf").touch()
    assert login() == f"`{tmp_path}/pipx/hf auth login`"
    (tmp_path / "hf").touch(mode=0o755)
    assert login() == "`hf auth login`"
