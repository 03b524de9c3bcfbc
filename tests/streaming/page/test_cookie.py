"""The session's cookie: who can make one, and for how long."""

import stat

import pytest

from streaming.page import cookie
from streaming.page.cookie import SALT_BYTES, SESSION_SECONDS, derive, is_valid, issue, load_salt

KEY = bytes(32)
NOW = 1_800_000_000.5


def test_a_cookie_is_valid_until_it_is_old():
    made = issue(KEY, NOW)
    assert issue(KEY, NOW) != made
    assert is_valid(made, KEY, NOW)
    assert is_valid(made, KEY, NOW + SESSION_SECONDS - 1)
    assert not is_valid(made, KEY, NOW + SESSION_SECONDS)
    assert not is_valid(made, bytes(31) + b"\1", NOW)


def test_a_cookie_that_was_changed_is_not_valid():
    made = issue(KEY, NOW)
    for place in range(len(made)):
        changed = made[:place] + ("0" if made[place] != "0" else "1") + made[place + 1 :]
        assert not is_valid(changed, KEY, NOW), place


@pytest.mark.parametrize("value", ["", "..", "9999999999", "é" * 99, f"9{'9' * 5000}.{'0' * 32}.{'0' * 64}", "\n"])
def test_what_is_no_cookie_is_not_valid(value):
    assert not is_valid(value, KEY, NOW)
    assert not is_valid(issue(KEY, NOW) + "\n", KEY, NOW)


def test_the_key_is_that_of_the_password_and_the_salt(monkeypatch):
    salt = bytes(SALT_BYTES)
    dear = derive("password", salt)
    monkeypatch.setattr(cookie, "COST", 1 << 8)
    assert derive("password", salt) != dear
    assert (
        len({derive("password", salt), derive("Password", salt), derive("password", salt[1:]), derive("", salt)}) == 4
    )
    derive("\ud800", salt)  # half a character, as JSON may have


def test_the_salt_is_kept_for_its_owner_alone(tmp_path, caplog):
    file = tmp_path / "state" / "page.salt"
    salt = load_salt(file)
    assert load_salt(file) == salt == file.read_bytes()
    assert len(salt) == SALT_BYTES
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert load_salt(None) != load_salt(None)
    assert not caplog.records
    file.write_bytes(salt[:5])
    assert load_salt(file) not in {salt, salt[:5]}
    assert "everybody has to log in again" in caplog.text


def test_a_folder_that_refuses_costs_the_sessions_and_no_more(tmp_path, caplog):
    (tmp_path / "file").touch()
    assert len(load_salt(tmp_path / "file" / "page.salt")) == SALT_BYTES
    assert len(load_salt(tmp_path)) == SALT_BYTES
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 2
