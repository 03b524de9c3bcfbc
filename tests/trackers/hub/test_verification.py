"""Damage in the cache is found, with the hub and without, and what is removed comes again."""

import pytest

from tests import hub as stand_in
from trackers.hub.cache import Cache
from trackers.hub.download import download
from trackers.hub.name import ModelName
from trackers.hub.repository import describe
from trackers.hub.verification import remove, verify

FILES = {"config.json": b"{}", "model.safetensors": b"weights" * 1000}


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with stand_in.serving() as hub:
        hub.use(monkeypatch, tmp_path / "home")
        hub.host("some/one", FILES)
        yield hub


def names(files):
    return [file.name for file in files]


@pytest.mark.parametrize("asked", [True, False])
def test_a_byte_that_has_changed_is_found(hub, asked):
    repository = describe(ModelName("some/one"))
    told = {file.name: file.etag for file in repository.files} if asked else None
    folder = download(repository, list(FILES))
    cache = Cache("some/one")
    found = verify(cache, repository.commit, FILES, told)
    assert (names(found.sound), found.damaged, found.unknown) == (sorted(FILES), (), ())
    weights = (folder / "model.safetensors").resolve()
    weights.write_bytes(b"v" + weights.read_bytes()[1:])
    found = verify(cache, repository.commit, FILES, told)
    assert (names(found.sound), names(found.damaged)) == (["config.json"], ["model.safetensors"])
    assert remove(found.damaged[0]) == weights
    assert (download(repository, list(FILES)) / "model.safetensors").read_bytes() == FILES["model.safetensors"]
    assert verify(cache, repository.commit, FILES, told).damaged == ()


def test_where_there_are_no_links_only_the_hub_knows(hub, monkeypatch):
    def refuse(*_):
        raise OSError("no links here")

    monkeypatch.setattr("pathlib.Path.symlink_to", refuse)
    repository = describe(ModelName("some/one"))
    folder = download(repository, list(FILES))
    cache = Cache("some/one")
    assert names(verify(cache, repository.commit, FILES).unknown) == sorted(FILES)
    (folder / "config.json").write_bytes(b"[]")
    found = verify(cache, repository.commit, FILES, {file.name: file.etag for file in repository.files})
    assert names(found.damaged) == ["config.json"]
    remove(found.damaged[0])
    assert (download(repository, list(FILES)) / "config.json").read_bytes() == b"{}"
