import errno
import os

import pytest
from torch._inductor.runtime import cache_dir_utils

from maskcast.files import cache_of
from trackers.compilation import artefacts
from trackers.compilation.artefacts import FOLDER_VARIABLE, keep_artefacts


@pytest.fixture(autouse=True)
def _cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv(FOLDER_VARIABLE, "")  # so that what is set is taken back
    monkeypatch.delenv(FOLDER_VARIABLE)


def test_what_is_compiled_is_kept_in_our_cache_for_its_owner_alone():
    keep_artefacts()
    folder = cache_of("compiled")
    assert os.environ[FOLDER_VARIABLE] == str(folder)
    assert folder.stat().st_mode & 0o777 == 0o700


def test_it_stays_until_it_is_too_large(monkeypatch):
    folder = cache_of("compiled") / "ab"
    folder.mkdir(parents=True)
    (folder / "program").write_bytes(bytes(100))
    monkeypatch.setattr(artefacts, "MOST_BYTES", 100)
    keep_artefacts()
    assert (folder / "program").exists()
    monkeypatch.delenv(FOLDER_VARIABLE)
    monkeypatch.setattr(artefacts, "MOST_BYTES", 99)
    keep_artefacts()
    assert not folder.exists()
    assert folder.parent.exists()


def test_a_person_who_has_said_where_is_obeyed(monkeypatch):
    monkeypatch.setenv(FOLDER_VARIABLE, "/elsewhere")
    keep_artefacts()
    assert os.environ[FOLDER_VARIABLE] == "/elsewhere"
    assert not cache_of("compiled").exists()


def test_what_a_loaded_compiler_has_set_is_no_persons_wish():
    cache_dir_utils.cache_dir()
    assert FOLDER_VARIABLE in os.environ
    keep_artefacts()
    assert cache_dir_utils.cache_dir() == str(cache_of("compiled"))


def test_a_folder_that_cannot_be_made_costs_a_line(caplog):
    cache_of("compiled").parent.write_text("a file in the way")
    keep_artefacts()
    assert FOLDER_VARIABLE not in os.environ
    assert len(caplog.messages) == 1
    assert "kept for this boot only" in caplog.text


def test_a_disk_that_takes_nothing_costs_a_line_and_no_program(monkeypatch, caplog):
    def full(**_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(artefacts, "TemporaryFile", full)
    keep_artefacts()
    assert FOLDER_VARIABLE not in os.environ
    assert len(caplog.messages) == 1
    assert "No space left" in caplog.text
