"""What a repository of the hub holds, asked before anything of it is fetched."""

import hashlib

import pytest

from maskcast.errors import ModelError
from tests import hub as stand_in
from trackers.hub.name import ModelName
from trackers.hub.repository import RemoteFile, Repository, describe

FILES = {"config.json": b"{}", "model.safetensors": b"weights", "README.md": b"# card", "folder/config.json": b"{ }"}


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with stand_in.serving() as hub:
        hub.use(monkeypatch, tmp_path / "home")
        yield hub


def test_files_with_their_sizes_and_digests(hub):
    hosted = hub.host("some/one", FILES)
    found = describe(ModelName("some/one"))
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:%b\nsize 7\n"
    sha256 = hashlib.sha256(b"weights").hexdigest()
    weights = RemoteFile("model.safetensors", 7, sha256, stand_in.git_sha1(pointer % sha256.encode()))
    # `printf '{}' | git hash-object --stdin`
    config = RemoteFile("config.json", 2, None, "9e26dfeeb6e641a33dae4961196235bdb965b21b")
    assert found == Repository("some/one", hosted.commit, (found.file("README.md"), config, weights))
    assert (config.etag, weights.etag) == (config.git_sha1, sha256)
    assert found.file("folder/config.json") is None, "what lies in folders is never read"


def test_a_few_small_requests_and_nothing_of_the_weights(hub):
    commit = hub.host("some/one", FILES).commit
    lists = [("GET", "/api/models/some/one/revision/main"), ("GET", f"/api/models/some/one/tree/{commit}")]
    probe = ("HEAD", f"/some/one/resolve/{commit}/config.json")
    for names, asked in ((), [probe]), (["model.safetensors"], [probe]), (["config.json", "*.safetensors"], [probe]):
        describe(ModelName("some/one"), names)
        assert [(request.method, request.path) for request in hub.asked] == [*lists, *asked]
        hub.asked.clear()


def test_a_mirror_that_names_all_files_by_sha256(hub, monkeypatch):
    hub.host("some/one", FILES)
    monkeypatch.setattr(stand_in, "git_sha1", lambda content: hashlib.sha256(content).hexdigest())
    monkeypatch.setattr(stand_in, "_tree_entry", shortened)
    found = describe(ModelName("some/one"), ["config.json"])
    assert found.file("config.json").etag == hashlib.sha256(b"{}").hexdigest()
    assert found.file("README.md").sha256 is None


def shortened(name, content):
    return {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha256(content).hexdigest()[:40]}


def test_branches_tags_and_commits(hub):
    hosted = hub.host("some/one", FILES)
    first = hosted.commit
    hosted.refs["v1"] = first
    second = hosted.push({**FILES, "config.json": b"{  }"})
    assert describe(ModelName("some/one")).commit == second
    assert describe(ModelName("some/one", "main")).commit == second
    assert describe(ModelName("some/one", "v1")).commit == first
    assert describe(ModelName("some/one", first)).file("config.json").bytes == 2
    with pytest.raises(ModelError, match="model some/one@v2: it has no revision v2; its branches and tags are at"):
        describe(ModelName("some/one", "v2"))


def test_an_empty_repository(hub):
    hub.host("some/one", {})
    assert describe(ModelName("some/one")).files == ()


@pytest.mark.parametrize(
    "entry",
    [
        {"path": ".."},
        {"size": None},
        {"size": -1},
        {"oid": "../../x"},
        {"oid": None},
        {"lfs": {"oid": "../x", "size": 1, "pointerSize": 1}},
        {"lfs": 3},
        3,
    ],
)
def test_a_list_that_no_hub_would_give(hub, monkeypatch, entry):
    hub.host("some/one", {"config.json": b""})
    sound = {"type": "file", "path": "config.json", "size": 1, "oid": "0" * 40}
    if isinstance(entry, dict):
        entry = {**sound, **entry}
    monkeypatch.setattr(stand_in, "_tree_entry", lambda *_: entry)
    with pytest.raises(ModelError, match=f"what answers at 127.0.0.1:{hub.port} is not the hub"):
        describe(ModelName("some/one"))
