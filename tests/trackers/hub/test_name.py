"""Names of models: nano, folders, and repositories at a revision."""

import pytest

from maskcast.errors import ModelError
from trackers.hub.name import EMBEDDED, ModelName, parse

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("facebook/sam3", ModelName("facebook/sam3")),
        ("facebook/sam2.1-hiera-base-plus", ModelName("facebook/sam2.1-hiera-base-plus")),
        ("vil-uob/sam3-litetext-s0@main", ModelName("vil-uob/sam3-litetext-s0", "main")),
        ("some/one@refs/pr/4", ModelName("some/one", "refs/pr/4")),
        ("some/one@v1.0", ModelName("some/one", "v1.0")),
        (f"some/one@{COMMIT}", ModelName("some/one", COMMIT)),
    ],
)
def test_names_of_the_hub(text, name):
    assert parse(text) == name
    assert str(name) == text, "as it was written"
    assert name.commit == (COMMIT if text.endswith(COMMIT) else None)


def test_what_is_embedded_and_folders(tmp_path, monkeypatch):
    assert parse("nano") == EMBEDDED["nano"]
    assert parse(str(tmp_path)) == tmp_path
    monkeypatch.chdir(tmp_path)
    (tmp_path / "some" / "one@home").mkdir(parents=True)
    assert str(parse("some/one@home")) == "some/one@home", "a folder that exists comes first"
    assert parse("some/one") == ModelName("some/one")


@pytest.mark.parametrize(
    "text",
    ["", ".", "..", "nowhere", "/nowhere", "~/nowhere", "./a/b", "a/b/c", "a" * 5000, "\0", "person", "nano@main"],
)
def test_what_is_no_name(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if text in {".", ".."}:
        assert parse(text).is_dir()
        return
    with pytest.raises(ModelError, match="no such folder; give a folder that holds"):
        parse(text)


@pytest.mark.parametrize(
    "text", ["some/one two", "some/one..two", "some/one--two", "sömé/one", "some/", "some/one.git"]
)
def test_what_the_hub_allows_nobody(text):
    with pytest.raises(ModelError, match="no such folder, and no name of the hub"):
        parse(text)


@pytest.mark.parametrize(
    "revision", ["", "..", "a/../b", "/main", "main/", "a b", "a//b", "-x", "x.lock", "a@b", "a\nb"]
)
def test_what_git_calls_nothing(revision):
    with pytest.raises(ModelError, match="its revision is none; after @ stands a branch, a tag or a commit"):
        parse(f"some/one@{revision}")
