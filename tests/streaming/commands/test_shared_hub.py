"""Against another stand-in of the hub, which whoever tries this checkout keeps beside it."""

from __future__ import annotations

import re
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from typer.testing import CliRunner

from streaming.cli.app import app
from tests import hub, processes, tiny
from tests.paths import ROOT
from tests.patience import eventually
from tests.ports import free_port

SERVER = ROOT.parent / "shared" / "hub" / "loopback_hub.py"
pytestmark = pytest.mark.skipif(not SERVER.is_file(), reason="no shared/hub/loopback_hub.py beside this checkout")

# Repository, whether there is a token, and what is said; None where it is fetched.
CASES: list[tuple[str, bool, str | None]] = [
    ("ok/x", False, None),
    ("ok/x@v1", False, None),
    ("ok/x@nonsense", False, "it has no revision nonsense"),
    ("gated/x", False, "it is gated, and no token was sent"),
    ("gated/x", True, None),
    ("gatedtree/x", False, "it is gated, and no token was sent"),
    ("gatedwait/x", True, "the account of the token of HF_TOKEN has no access"),
    ("gatedfine/x", True, "is fine-grained without access to gated repositories"),
    ("private/x", False, "no such repository, or a private one, and no token was sent"),
    ("private/x", True, None),
    ("missing/x", False, "no such repository, or a private one, and no token was sent"),
    ("missing/x", True, "no such repository, or a private one; check the name"),
    ("badtoken/x", True, "the hub does not know the token of HF_TOKEN"),
    ("down/x", False, r"is out of order \(answers 503\)"),
    ("abortonce/x", False, None),
    ("corrupt/x", False, "model.safetensors came damaged, twice"),
]


class Shared(NamedTuple):
    url: str
    log: Path


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    folder = tmp_path_factory.mktemp("shared")
    model, log, port = tiny.save(folder / "model"), folder / "log", free_port()
    with log.open("w") as errors:
        server = processes.start([sys.executable, SERVER, model, str(port)], stderr=errors)
    try:
        url = f"http://127.0.0.1:{port}"
        eventually(lambda: answers(url))
        yield Shared(url, log)
    finally:
        processes.end(server)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/api/whoami-v2"):
            return True
    except OSError:
        return False


@pytest.mark.parametrize(("name", "token", "said"), CASES)
def test_fetch(
    shared: Shared, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, token: bool, said: str | None
) -> None:
    hub.use(shared.url, monkeypatch, tmp_path)
    if token:
        monkeypatch.setenv("HF_TOKEN", hub.TOKEN)
    begun = len(shared.log.read_text())
    done = CliRunner().invoke(app, ["fetch", name])
    asked = shared.log.read_text()[begun:]
    if said is None:
        assert done.exit_code == 0, done.stderr
        assert re.search(rf"^{re.escape(name)}: fetched: 9 MB in ", done.stdout, re.MULTILINE)
        assert "sam3.pt" not in asked
        verified = CliRunner().invoke(app, ["fetch", "--verify", name])
        assert (verified.exit_code, "verified" in verified.stdout) == (0, True)
        return
    assert done.exit_code == 5
    where = re.escape(name.partition("@")[0])
    assert re.search(rf"^maskcast: error: model {where}.*: .*{said}", done.stderr, re.MULTILINE)
    assert hub.TOKEN not in done.stderr
    assert name == "corrupt/x" or ".safetensors" not in asked, "before the weights"
