"""Files come into the hub's own cache: resumed after a kill, verified, once for all processes."""

import os
import shutil
import sys
import threading
from types import SimpleNamespace

import pytest

from maskcast.errors import ModelError
from maskcast.files import partial_name
from maskcast.lock import open_locked
from tests import hub as stand_in
from tests import processes
from tests.patience import eventually, patient
from trackers.hub import download as module
from trackers.hub import transfer
from trackers.hub.cache import Cache
from trackers.hub.download import download
from trackers.hub.name import ModelName
from trackers.hub.repository import describe

WEIGHTS = bytes(range(256)) * 3000
FILES = {"config.json": b"{}", "model.safetensors": WEIGHTS, "sam3.pt": b"pickle", "code.py": b"code"}
NAMES = ["config.json", "model.safetensors", "model-*-of-*.safetensors"]


@pytest.fixture
def hub(monkeypatch, tmp_path):
    monkeypatch.setattr(transfer, "FIRST_WAIT_SECONDS", 0.01)
    with stand_in.serving() as hub:
        hub.use(monkeypatch, tmp_path / "home")
        yield hub


@pytest.fixture
def hosted(hub):
    return hub.host("some/one", FILES)


def fetch(report=None):
    return download(describe(ModelName("some/one")), NAMES, report or (lambda _: None))


def blobs():
    return sorted(file.name for file in (Cache("some/one").folder / "blobs").iterdir())


def test_what_is_asked_for_comes_and_nothing_else(hub, hosted):
    folder = fetch()
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == {name: FILES[name] for name in NAMES[:2]}
    assert not [asked for asked in hub.asked if asked.path.endswith((".pt", ".py"))]


def test_the_hubs_own_client_finds_the_files_and_fetches_none(hub, hosted):
    folder = fetch()
    from huggingface_hub import hf_hub_download, snapshot_download

    before = len(hub.asked)
    assert snapshot_download("some/one", revision=hosted.commit, local_files_only=True) == str(folder)
    assert hf_hub_download("some/one", "model.safetensors", revision=hosted.commit) == str(folder / "model.safetensors")
    assert len(hub.asked) == before


def test_what_the_hubs_own_client_has_fetched_is_not_fetched_again(hub, hosted):
    from huggingface_hub import snapshot_download

    path = snapshot_download("some/one", allow_patterns=NAMES, revision=hosted.commit)
    before = len(hub.asked)
    assert str(download(describe(ModelName("some/one")), NAMES)) == path
    assert not [asked for asked in hub.asked[before:] if "/resolve/" in asked.path and asked.method == "GET"]


CHILD = """
import sys
from trackers.hub.download import download
from trackers.hub.name import ModelName
from trackers.hub.repository import describe
download(describe(ModelName("some/one")), ["config.json", "model.safetensors"])
"""


def test_a_killed_download_goes_on_where_it_was(hub, hosted, tmp_path):
    hosted.large = "stall"
    environment = {**hub.environment(tmp_path), "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "0"}
    with processes.running([sys.executable, "-c", CHILD], env=environment):
        assert hub.stalled.wait(patient(60))
        part = partial_name(Cache("some/one").blob(describe(ModelName("some/one")).file("model.safetensors").etag))
        eventually(lambda: part.is_file() and part.stat().st_size == len(WEIGHTS) // 3)
    hosted.large = "whole"
    hub.asked.clear()
    seen = []
    folder = fetch(seen.append)
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    assert hub.downloads() == [f"bytes={len(WEIGHTS) // 3}-"], "only the rest is transferred"
    # The configuration was whole.
    assert not [asked for asked in hub.asked if asked.path.endswith("config.json") and asked.method == "GET"]
    assert seen[0].done == 2 + len(WEIGHTS) // 3
    assert (seen[-1].done, seen[-1].total) == (2 + len(WEIGHTS), 2 + len(WEIGHTS))
    assert not [name for name in blobs() if name.endswith(".partial")]


def test_a_connection_that_breaks_is_resumed(hub, hosted):
    hosted.large = "abort once"
    assert (fetch() / "model.safetensors").read_bytes() == WEIGHTS
    assert hub.downloads() == [None, f"bytes={len(WEIGHTS) // 3}-"]


def test_a_server_without_ranges_is_read_from_the_beginning(hub, hosted):
    hosted.large, hosted.ranges = "abort once", False
    assert (fetch() / "model.safetensors").read_bytes() == WEIGHTS


def test_one_that_breaks_again_and_again_is_given_up_and_kept(hub, hosted):
    hosted.large = "abort"
    with pytest.raises(ModelError, match=r"6 times in a row.*`maskcast fetch some/one` goes on from there"):
        fetch()
    assert len(hub.downloads()) == transfer.MOST_ATTEMPTS
    hosted.large = "whole"
    hub.asked.clear()
    assert (fetch() / "model.safetensors").read_bytes() == WEIGHTS
    (rest,) = hub.downloads()
    assert int(rest.removeprefix("bytes=").removesuffix("-")) > len(WEIGHTS) // 2


def test_one_that_stands_still_is_resumed_then_given_up(hub, hosted, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DOWNLOAD_TIMEOUT", 0.2)
    hosted.large = "stall"
    with pytest.raises(ModelError, match=r"nothing has come for 0\.2 s, 6 times in a row.*HF_HUB_DOWNLOAD_TIMEOUT"):
        fetch()
    assert len(hub.downloads()) == transfer.MOST_ATTEMPTS


def test_attempts_that_bring_something_are_not_counted(hub, hosted, monkeypatch):
    monkeypatch.setattr(transfer, "FRUITFUL_BYTES", 1000)
    hosted.large = "abort"  # a third of the rest each time
    with pytest.raises(ModelError, match="6 times in a row"):
        fetch()
    assert len(hub.downloads()) > 2 * transfer.MOST_ATTEMPTS


def test_a_wrong_beginning_is_discarded_once(hub, hosted):
    part = partial_name(Cache("some/one").blob(describe(ModelName("some/one")).file("model.safetensors").etag))
    part.parent.mkdir(parents=True)
    part.write_bytes(b"wrong")
    assert (fetch() / "model.safetensors").read_bytes() == WEIGHTS
    assert hub.downloads() == ["bytes=5-", None]


def test_a_beginning_that_is_too_long_is_discarded(hub, hosted):
    part = partial_name(Cache("some/one").blob(describe(ModelName("some/one")).file("model.safetensors").etag))
    part.parent.mkdir(parents=True)
    part.write_bytes(WEIGHTS + b"more")
    assert (fetch() / "model.safetensors").read_bytes() == WEIGHTS
    assert hub.downloads() == [None]


def test_what_comes_damaged_never_gets_its_name(hub, hosted):
    hosted.large = "corrupt"
    with pytest.raises(ModelError, match="came damaged, twice"):
        fetch()
    assert len(hub.downloads()) == 2
    assert blobs() == [describe(ModelName("some/one")).file("config.json").etag]
    hosted.large = "whole"
    assert (fetch() / "model.safetensors").read_bytes() == WEIGHTS


def test_a_small_file_is_verified_too(hub, hosted):
    found = describe(ModelName("some/one"))
    hosted.commits[hosted.commit]["config.json"] = b"[]"
    with pytest.raises(ModelError, match="came damaged, twice"):
        download(found, NAMES)


def test_a_file_that_is_cut_off_is_fetched_again(hub, hosted):
    folder = fetch()
    weights = (folder / "model.safetensors").resolve()
    weights.write_bytes(WEIGHTS[:1000])
    assert (fetch() / "model.safetensors").read_bytes() == WEIGHTS


def test_a_web_page_in_place_of_a_file_is_no_file(hub, hosted):
    found = describe(ModelName("some/one"))
    hub.mood = "portal"
    with pytest.raises(ModelError, match="is not the hub; log in to this network in a browser"):
        download(found, NAMES)


def test_a_hub_out_of_order_is_asked_again_and_then_given_up(hub, hosted):
    found = describe(ModelName("some/one"))
    hub.mood = "down"
    with pytest.raises(ModelError, match="the server answers 503, 6 times in a row"):
        download(found, NAMES)


def test_a_disk_that_is_too_small_is_refused_before_anything_comes(hub, hosted, monkeypatch):
    found = describe(ModelName("some/one"))
    free = SimpleNamespace(free=900_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: free)
    monkeypatch.setattr(module, "SPARE_BYTES", 900_000_000)
    with pytest.raises(ModelError, match=r"0 MB are to be fetched and 900 MB to be left over, but .* has 900 MB free"):
        download(found, NAMES)
    assert not hub.downloads()


def test_a_folder_that_may_not_be_written_says_which(hub, hosted, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "file" / "hub"))
    with pytest.raises(ModelError, match=r"cannot be written to .*set HF_HOME to another folder"):
        fetch()


def test_the_token_goes_to_the_hub_alone(hub, hosted, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", stand_in.TOKEN)
    hosted.gate = "open"
    fetch()
    assert {asked.token for asked in hub.asked if "/resolve/" in asked.path} == {True}
    assert {asked.token for asked in hub.asked if asked.path.startswith("/cdn/")} == {False}


def test_access_that_ends_meanwhile_is_said_as_such(hub, hosted):
    found = describe(ModelName("some/one"))
    hosted.gate = "closed"
    with pytest.raises(ModelError, match="it is gated, and no token was sent"):
        download(found, NAMES)


def test_through_a_proxy(hub, hosted, monkeypatch):
    from huggingface_hub import close_session

    close_session()
    monkeypatch.setenv("HTTP_PROXY", hub.url)
    for name in ("NO_PROXY", "no_proxy", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://hub.invalid")
    template = "http://hub.invalid/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
    try:
        assert (fetch() / "model.safetensors").read_bytes() == WEIGHTS
    finally:
        close_session()
    assert hub.proxied == len(hub.asked)


def test_one_process_fetches_a_file_and_the_others_wait(hub, hosted):
    from huggingface_hub.utils import WeakFileLock

    found = describe(ModelName("some/one"))
    cache, weights = Cache("some/one"), found.file("model.safetensors")
    lock = cache.folder.parent / ".locks" / cache.folder.name / f"{weights.etag}.lock"
    lock.parent.mkdir(parents=True)
    seen, folders = [], []
    with WeakFileLock(lock):  # as huggingface_hub holds it
        thread = threading.Thread(target=lambda: folders.append(fetch(seen.append)))
        thread.start()
        eventually(lambda: [one for one in seen if one.hindrance == "another process fetches it"])
        cache.blob(weights.etag).write_bytes(WEIGHTS)
    thread.join(patient(60))
    assert (folders[0] / "model.safetensors").read_bytes() == WEIGHTS
    assert not hub.downloads()


def test_left_overs_that_nobody_works_on_are_removed(hub, hosted):
    cache = Cache("some/one")
    folder = cache.folder / "blobs"
    folder.mkdir(parents=True)
    lock = cache.folder.parent / ".locks" / cache.folder.name / f"{'b' * 64}.lock"
    lock.parent.mkdir(parents=True)
    old, other, busy = (folder / f".{digit * 64}.partial" for digit in "abc")
    busy = partial_name(folder / ("b" * 64))
    abandoned, young = folder / f"{'d' * 64}.12345678.incomplete", folder / f"{'e' * 64}.12345678.incomplete"
    foreign = folder / "notes.partial"
    for file in (old, other, busy, abandoned, young, foreign):
        file.write_bytes(b"part")
    os.utime(abandoned, (0, 0))
    held = open_locked(lock, os.O_RDWR | os.O_CREAT)
    try:
        fetch()
    finally:
        os.close(held)
    left = {file.name for file in folder.iterdir() if len(file.name) not in {40, 64}}
    assert left == {busy.name, young.name, foreign.name}


def test_what_is_wanted_later_is_no_left_over(hub, hosted):
    repository = describe(ModelName("some/one"))
    part = partial_name(Cache("some/one").blob(repository.file("model.safetensors").etag))
    part.parent.mkdir(parents=True)
    part.write_bytes(WEIGHTS[:1000])
    download(repository, ["config.json"])
    fetch()
    assert hub.downloads() == ["bytes=1000-"]


def test_where_there_are_no_links_the_file_itself_goes_there(hub, hosted, monkeypatch):
    def refuse(*_):
        raise OSError("no links here")

    monkeypatch.setattr("pathlib.Path.symlink_to", refuse)
    folder = fetch()
    assert not (folder / "model.safetensors").is_symlink()
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    hub.asked.clear()
    fetch()
    assert not hub.downloads()
