"""The login, over HTTP, with real scrypt."""

import json
from types import SimpleNamespace

import pytest
from multidict import CIMultiDict

from maskcast import __version__
from streaming.page import cookie, session
from streaming.page.attempts import ADDRESS_ATTEMPTS
from tests.streaming.page.serving import Socket, ask, monitoring, serving, upgraded

PASSWORD = "correct horse"


@pytest.fixture(autouse=True)
def _cheap(monkeypatch):
    monkeypatch.setattr(cookie, "COST", 1 << 8)
    monkeypatch.setattr(cookie, "TIMES", 1)


def log_in(server, password=PASSWORD, headers=None, path="/login"):
    return ask(server, path, "POST", headers=headers, body=json.dumps({"password": password}))


def cookie_of(headers):
    return {"Cookie": headers["Set-Cookie"].partition(";")[0]}


def told(server, headers=None):
    return json.loads(ask(server, "/session", headers=headers)[2])


def test_without_a_password_the_page_is_open():
    with serving(Socket()) as server:
        expected = {"password": False, "open": True, "read_only": False, "service": False, "version": __version__}
        assert told(server) == expected
        assert log_in(server)[0] == 204
        assert upgraded(server) == 101
    with serving(read_only=True) as server:
        assert told(server)["read_only"] is True


def test_who_has_not_logged_in_gets_the_page_and_nothing_of_the_streams():
    with serving(Socket(), monitoring(), password=PASSWORD) as server:
        for path in ("/", "/static/app.js", "/session", "/healthz", "/readyz", "/metrics"):
            assert ask(server, path)[0] == 200, path
            assert ask(server, path, "HEAD")[0] == 200, path  # as some health checks ask
        for path in ("/socket", "/nothing", "/events", "/static/../app.js"):
            status, _, body = ask(server, path)
            assert (status, body) == (401, b"log in first\n"), path
        assert upgraded(server) == 401
        assert (told(server)["password"], told(server)["open"]) == (True, False)


def test_the_password_opens_it_until_the_logout():
    with serving(Socket(), password=PASSWORD) as server:
        status, headers, body = log_in(server)
        assert (status, body) == (204, b"")
        name, *attributes = headers["Set-Cookie"].split("; ")
        assert sorted(attributes) == ["HttpOnly", "Max-Age=2592000", "Path=/", "SameSite=Strict"]
        assert told(server, cookie_of(headers))["open"] is True
        assert upgraded(server, headers=cookie_of(headers)) == 101
        status, headers, _ = ask(server, "/logout", "POST", headers={"Cookie": name})
        assert status == 204
        assert "Max-Age=0" in headers["Set-Cookie"]
        assert told(server, cookie_of(headers))["open"] is False


def test_a_cookie_that_came_over_tls_stays_there_and_below_the_prefix():
    with serving(password=PASSWORD, prefix="/cameras/") as server:
        _, headers, _ = log_in(server, headers={"X-Forwarded-Proto": "https"})
        assert {"Secure", "Path=/cameras"} <= set(headers["Set-Cookie"].split("; "))


def test_a_wrong_password_is_refused_and_soon_has_to_wait():
    with serving(password=PASSWORD) as server:
        for _ in range(ADDRESS_ATTEMPTS):
            status, headers, body = log_in(server, "battery staple")
            assert (status, body, headers["Set-Cookie"]) == (401, b"wrong password\n", None)
        status, headers, body = log_in(server)  # even the right one
        assert (status, body[:17]) == (429, b"too many attempts")
        assert 1 <= int(headers["Retry-After"]) <= 15


def test_clients_of_a_proxy_on_this_machine_wait_each_for_themselves():
    with serving(password=PASSWORD) as server:

        def status(said):
            return log_in(server, "battery staple", {"X-Forwarded-For": said})[0]

        assert [status(f"10.0.0.{number}, 10.1.1.1") for number in range(ADDRESS_ATTEMPTS)] == [401] * ADDRESS_ATTEMPTS
        assert status("10.1.1.1") == 429
        assert status("10.1.1.1, 10.1.1.2") == status("2001:db8::1") == status("nonsense") == status("") == 401


def test_what_other_machines_say_of_their_clients_is_not_believed():
    request = SimpleNamespace(remote="10.0.0.1", headers=CIMultiDict({"X-Forwarded-For": "10.0.0.2"}))
    assert session._client(request) == "10.0.0.1"


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b"\xff", b'{"password": 5}', b'{"password": null}', b"[" * 60_000, b'"password"']
)
def test_what_is_no_password_is_refused_at_once(body):
    with serving(password=PASSWORD) as server:
        assert ask(server, "/login", "POST", body=body)[0] == 400
        assert log_in(server)[0] == 204


def test_a_body_that_is_too_large_is_not_read():
    with serving(password=PASSWORD) as server:
        status, _, body = ask(server, "/login", "POST", body=b" " * (70 << 10))
        assert status == 413
        assert b"Traceback" not in body


def test_a_session_survives_the_process_but_not_another_password_nor_time(tmp_path, monkeypatch):
    def is_open(password, salt="page.salt"):
        with serving(password=password, salt=tmp_path / salt) as server:
            return told(server, headers)["open"]

    with serving(password=PASSWORD, salt=tmp_path / "page.salt") as server:
        headers = cookie_of(log_in(server)[1])
    assert is_open(PASSWORD)
    assert not is_open("battery staple")
    assert not is_open(PASSWORD, "other.salt")
    monkeypatch.setattr(session.time, "time", lambda: 4e9)
    assert not is_open(PASSWORD)


def test_other_machines_need_a_password(caplog):
    with serving(Socket(), monitoring(), listen="0.0.0.0:0") as server:
        assert server.url == f"http://127.0.0.1:{server.port}/"
        for path in ("/metrics", "/healthz", "/readyz"):
            assert ask(server, path)[0] == ask(server, path, "HEAD")[0] == 200
        for path in ("/", "/static/app.js", "/session", "/socket", "/nothing"):
            status, _, body = ask(server, path)
            assert (status, b"needs [http] password or password_file" in body) == (403, True)
        assert log_in(server)[0] == 403
        assert upgraded(server) == 403
    assert [record.getMessage() for record in caplog.records] == [
        "http: the page is not served: other machines reach this address, so it needs [http] password or password_file"
    ]
    caplog.clear()
    with serving(listen="0.0.0.0:0", password=PASSWORD) as server:
        assert ask(server, "/")[0] == 200
        assert log_in(server)[0] == 204
    assert not caplog.records


def test_the_password_may_stand_in_a_file(tmp_path):
    file = tmp_path / "password"
    file.write_text(f"{PASSWORD}\r\nnothing of this\n", encoding="utf-8-sig")
    with serving(password_file=file) as server:
        assert log_in(server)[0] == 204
