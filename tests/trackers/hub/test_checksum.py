"""Checksums, against those of `sha256sum` and `git hash-object`."""

import pytest

from trackers.hub.checksum import is_checksum, matches

# `printf abc | sha256sum` and `printf abc | git hash-object --stdin`
SHA256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
GIT = "f2ba8f84ab5c1bce84a7b441cb1959cfc7093b7f"


@pytest.mark.parametrize("wanted", [SHA256, GIT])
def test_a_file_matches_what_it_holds_and_nothing_else(tmp_path, wanted):
    file = tmp_path / "file"
    file.write_bytes(b"abc")
    assert matches(file, wanted)
    file.write_bytes(b"abd")
    assert not matches(file, wanted)


@pytest.mark.parametrize(
    ("name", "is_one"), [(SHA256, True), (GIT, True), ("", False), (SHA256[1:], False), ("G" * 40, False)]
)
def test_names_that_are_checksums(name, is_one):
    assert is_checksum(name) is is_one
