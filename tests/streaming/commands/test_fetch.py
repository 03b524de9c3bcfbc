"""`maskcast fetch`: models come into the cache, go on after a kill, are verified, and `run` asks for them."""

import json
import re
import signal
import sys
from typing import NamedTuple

import pytest
from typer.testing import CliRunner

from maskcast.errors import ModelError
from streaming.cli.app import app
from streaming.commands.fetch import progress_shown
from tests import hub as stand_in
from tests import processes
from tests.patience import eventually, patient
from tests.settings_files import MINIMAL
from tests.tracking import one_line, run
from trackers.detection.folder import CheckpointFolder
from trackers.detection.weights import Weights
from trackers.hub.cache import Cache
from trackers.hub.progress import Progress

FILES = {
    "config.json": json.dumps({"model_type": "sam3_lite_text"}).encode(),
    "model.safetensors": b"weights" * 100_000,
}
LENGTH = len(FILES["model.safetensors"])


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with stand_in.serving() as hub:
        hub.use(monkeypatch, tmp_path / "home")
        yield hub


@pytest.fixture
def hosted(hub):
    return hub.host("some/one", FILES)


class Done(NamedTuple):
    """What a command said."""

    out: list[str]
    err: list[str]
    code: int


def fetch(*arguments):
    done = CliRunner().invoke(app, ["fetch", *map(str, arguments)])
    return Done(done.stdout.splitlines(), done.stderr.splitlines(), done.exit_code)


def weights(hosted, home, commit=None):
    return home / "home/hub/models--some--one/snapshots" / (commit or hosted.commit) / "model.safetensors"


def test_a_model_is_fetched_once(hub, hosted, tmp_path):
    folder = weights(hosted, tmp_path).parent
    came = [f"some/one: fetched: 1 MB in {folder}"]
    assert fetch("some/one") == (came, ["fetching some/one: 0 of 0 MB are here"], 0)
    hub.asked.clear()
    assert fetch("some/one") == ([f"some/one: in the cache: 1 MB in {folder}"], [], 0)
    assert not hub.asked, "what is there needs no network"


def test_a_terminal_shows_bytes_rate_and_time_left(hub, hosted, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    done = fetch("some/one")
    assert done.code == 0
    assert any(re.search(r"some/one .*700\.0/700\.0 kB.*0:00:00", bare(line)) for line in done.err), done.err


def bare(line):
    """Without colours."""
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", line)


@pytest.mark.parametrize("name", ["nano", "."])
def test_what_is_on_this_disk_needs_no_fetching(hub, name):
    done = fetch(name)
    assert (len(done.out), done.err, done.code) == (1, [], 0)
    assert done.out[0].startswith(f"{name}: nothing to fetch: ")
    assert not hub.asked


def settings(folder, *lines):
    file = folder / "cameras.toml"
    file.write_text("\n".join(["[model]", *lines, MINIMAL]))
    return file


def test_what_a_settings_file_names_is_fetched(hub, hosted, tmp_path):
    hub.host("some/tracker", {**FILES, "config.json": video_config()})
    file = settings(tmp_path, 'name = "some/one"', 'tracker_from = "some/tracker"')
    done = fetch(file)
    assert done.code == 0
    assert [line.partition(": fetched")[0] for line in done.out] == ["some/one", "some/tracker"]


def video_config():
    return json.dumps({"model_type": "sam3_video", "detector_config": {"model_type": "sam3"}}).encode()


def test_what_cannot_be_used_is_not_fetched(hub):
    hub.host("some/other", {**FILES, "config.json": json.dumps({"model_type": "bert"}).encode()})
    done = fetch("some/other")
    assert done.code == 5
    assert "bert" in done.err[-1]
    assert not hub.downloads()


def test_a_branch_that_has_moved_is_followed_only_when_told_to(hub, hosted, tmp_path):
    fetch("some/one")
    before = hosted.commit
    after = hosted.push({**FILES, "model.safetensors": b"newer" * 1000})
    assert fetch("some/one").out[-1].endswith(f"in {weights(hosted, tmp_path, before).parent}")
    assert fetch("--update", "some/one").out[-1].endswith(f"fetched: 0 MB in {weights(hosted, tmp_path, after).parent}")
    assert fetch("some/one").out[-1].endswith(f"in {weights(hosted, tmp_path, after).parent}")


def test_a_killed_fetch_goes_on(hub, hosted, tmp_path):
    hosted.large = "stall"
    environment = {**hub.environment(tmp_path), "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "0"}
    command = [sys.executable, "-m", "maskcast", "fetch", "some/one"]
    with processes.running(command, env=environment):
        assert hub.stalled.wait(patient(60))
        blobs = tmp_path / "home/hub/models--some--one/blobs"
        eventually(lambda: any(file.stat().st_size >= LENGTH // 4 for file in blobs.glob("*.partial")))
    hosted.large = "whole"
    hub.asked.clear()
    assert fetch("some/one").code == 0
    assert weights(hosted, tmp_path).read_bytes() == FILES["model.safetensors"]
    (rest,) = hub.downloads()
    assert LENGTH // 4 <= int(rest.removeprefix("bytes=").removesuffix("-")) <= LENGTH // 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_fetch_says_that_it_goes_on(hub, hosted, tmp_path, number):
    hosted.large = "stall"
    environment = {**hub.environment(tmp_path), "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "0"}
    command = [sys.executable, "-m", "maskcast", "fetch", "some/one"]
    with processes.running(command, env=environment, stdout=-1, text=True) as process:
        assert hub.stalled.wait(patient(60))
        process.send_signal(number)
        said, _ = process.communicate(timeout=patient(60))
    assert (said, process.returncode) == ("interrupted: the next `maskcast fetch` goes on from here\n", 130)


def damage(hosted, home):
    blob = weights(hosted, home).resolve()
    blob.write_bytes(b"W" + blob.read_bytes()[1:])
    return blob


def test_a_damaged_file_is_found_and_fetched_again(hub, hosted, tmp_path):
    fetch("some/one")
    folder = weights(hosted, tmp_path).parent
    assert fetch("--verify", "some/one").out == [f"some/one: in the cache and verified: 1 MB in {folder}"]
    damage(hosted, tmp_path)
    assert fetch("some/one").code == 0, "it is not looked into"
    assert fetch("--verify", "some/one").out == [
        f"some/one: model.safetensors damaged, and fetched again: 1 MB in {folder}"
    ]
    assert weights(hosted, tmp_path).read_bytes() == FILES["model.safetensors"]


def test_without_network_a_damaged_file_is_named(hub, hosted, tmp_path):
    fetch("some/one")
    hub.mood = "down"
    assert fetch("--verify", "some/one").code == 0
    blob = damage(hosted, tmp_path)
    done = fetch("--verify", "some/one")
    assert done.code == 5
    assert "model.safetensors is damaged, and cannot be fetched again now" in done.err[-1]
    assert f"delete {blob}, and run `maskcast fetch some/one`" in done.err[-1]
    assert blob.exists(), "nothing is removed that cannot be had again"


def test_a_model_that_lost_a_file_goes_on_without_asking_for_another_commit(hub, hosted, tmp_path):
    fetch("some/one")
    before = hosted.commit
    hosted.push({**FILES, "model.safetensors": b"newer"})
    weights(hosted, tmp_path, before).resolve().unlink()
    assert fetch("some/one").code == 0
    assert weights(hosted, tmp_path, before).read_bytes() == FILES["model.safetensors"]


def test_run_serves_nothing_that_it_would_have_to_download(hub, hosted, tmp_path):
    file = settings(tmp_path, 'name = "some/one"')
    done = CliRunner().invoke(app, ["run", str(file)])
    assert done.exit_code == 5
    advice = f"run `maskcast fetch {file}` first, which takes as long as it takes"
    assert one_line(done) == f"model some/one: not in the cache; {advice}"
    assert not hub.asked


def test_track_fetches_first_and_tells_of_it(hub, hosted, tmp_path):
    film = tmp_path / "film.mp4"
    film.touch()
    done = run(film, "-p", "cat", model="some/one")
    assert "fetching some/one: 0 of 0 MB are here" in done.stderr.splitlines()
    assert hub.downloads() == [None]


def test_a_damaged_model_names_the_command_that_mends_it(hub, hosted, tmp_path):
    fetch("some/one")
    folder = CheckpointFolder("some/one", weights(hosted, tmp_path).parent, commit=hosted.commit)
    with pytest.raises(ModelError, match=r"damaged or cut off; run `maskcast fetch --verify some/one`"):
        Weights(folder)


def test_the_default_model_is_fetched_unless_another_is_named(hub):
    line = one_line(CliRunner().invoke(app, ["fetch"]))
    assert "model vil-uob/sam3-litetext-s0" in line


def test_a_download_that_outlives_its_bar_does_not_hide_the_cursor_again(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    with progress_shown(print) as report:
        report(Progress("some/one", "model.safetensors", 1, 3))
    shown = capsys.readouterr().err
    report(Progress("some/one", "model.safetensors", 2, 3))
    assert "some/one" in shown
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h") == 1
    assert capsys.readouterr().err == ""


def test_a_model_is_fetched_where_its_branch_cannot_be_noted(hosted):
    cache = Cache("some/one")
    cache.folder.mkdir(parents=True)
    (cache.folder / "refs").touch()
    assert fetch("some/one").code == 0
