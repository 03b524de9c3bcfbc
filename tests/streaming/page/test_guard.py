"""Who is let in, and what every answer says to browsers."""

import socket

import pytest
from aiohttp import web

from streaming.page.guard import is_known
from streaming.page.part import Part
from tests.patience import patient
from tests.streaming.page.serving import Socket, ask, monitoring, serving, upgrade, upgraded

NAMES = {"localhost", "box", "scraper"}
KNOWN = ["localhost", "LOCALHOST:80", "localhost.", "127.0.0.1", "10.1.2.3:9464", "[::1]:9464", "box", "Scraper:1"]
UNKNOWN = ["evil.example", "localhost.evil.example:80", "127.0.0.1.evil.example", "", ":80", "a,localhost", "box:80:80"]


@pytest.mark.parametrize(("host", "known"), [(host, True) for host in KNOWN] + [(host, False) for host in UNKNOWN])
def test_a_page_that_has_its_own_name_point_here_learns_nothing(host, known):
    assert is_known(host, NAMES) is known


def test_only_names_that_it_is_known_by_are_served():
    with serving(monitoring(), hosts=["metrics.local"]) as server:
        for path in ("/metrics", "/healthz", "/readyz", "/nothing", "/"):
            status, _, body = ask(server, path, headers={"Host": "evil.example"})
            assert (status, body) == (421, b"this name is not served: add it to [http] hosts\n")
        assert ask(server, "/healthz", headers={"Host": f"metrics.local:{server.port}"})[0] == 200
        with socket.create_connection(("127.0.0.1", server.port), timeout=patient(10)) as client:
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n")
            assert client.makefile("rb").readline().split()[1] in {b"400", b"421"}
        with socket.create_connection(("127.0.0.1", server.port), timeout=patient(10)) as client:
            client.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")  # as load balancers ask
            assert b" 200 " in client.makefile("rb").readline()


HOST = "localhost:9464"
OURS = [
    None,
    f"http://{HOST}",
    f"https://{HOST}",
    "http://LOCALHOST:9464",
    "https://cams.example",
    "http://cams.example:1",
]
FOREIGN = [
    *("http://evil.example", "http://localhost:9465", "http://localhost", "null", "", "file://", "http://"),
    *("http://127.0.0.1:9464", "http://localhost:9464.evil.example", "ftp://localhost:9464", "http://[::1"),
    *("http://evilcams.example", "http://cams.example.evil.example", "javascript://localhost:9464"),
]


@pytest.mark.parametrize(("origin", "ours"), [(one, True) for one in OURS] + [(one, False) for one in FOREIGN])
def test_pages_of_others_open_no_socket_and_send_nothing(origin, ours):
    headers = {"Host": HOST} | ({} if origin is None else {"Origin": origin})
    with serving(Socket(), hosts=["cams.example"]) as server:
        assert upgraded(server, headers=headers) == (101 if ours else 403)
        status, _, body = ask(server, "/login", "POST", headers=headers, body=b'{"password": ""}')
        assert status == (204 if ours else 403)
        assert ours or body == b"this comes from a page of another server\n"
        assert ask(server, "/", headers=headers)[0] == 200  # to follow a link is no harm


def test_a_name_that_is_listened_on_makes_no_page_at_another_port_ours():
    with serving(Socket()) as server:
        headers = {"Host": f"127.0.0.1:{server.port}", "Origin": "http://127.0.0.1:1"}
        assert upgraded(server, headers=headers) == 403
        headers["Origin"] = f"http://127.0.0.1:{server.port}"
        assert upgraded(server, headers=headers) == 101


class Failing(Part):
    """Says what nobody should hear."""

    def routes(self):
        return [web.get("/failing", self._failing)]

    async def _failing(self, _):
        raise KeyError("rtsp://admin:secret@cam/1")


def test_every_answer_says_what_a_browser_may_do_with_it():
    with serving(Failing(), Socket(), monitoring()) as server:
        answers = [ask(server, path)[:2] for path in ("/", "/static/app.js", "/healthz", "/nothing", "/failing")]
        answers += [ask(server, "/", "DELETE")[:2], ask(server, "/", headers={"Host": "evil.example"})[:2]]
        assert [status for status, _ in answers] == [200, 200, 200, 404, 500, 405, 421]
        for _, headers in answers:
            policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
            assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
            assert policy["script-src"] == policy["style-src"] == "'self'"
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert headers["Cache-Control"] in {"no-store", "no-cache"}
            assert headers["Server"] == "maskcast"
        client, head = upgrade(server)
        client.close()
        assert b"\r\nServer: maskcast\r\n" in head


def test_what_fails_is_told_to_the_log_alone(caplog):
    with serving(Failing()) as server:
        status, _, body = ask(server, "/failing", headers={"Accept": "text/html"})
    assert (status, body) == (500, b"this failed: the log says why\n")
    assert "KeyError" in caplog.text


def test_a_prefix_may_be_taken_away_by_the_proxy_or_not():
    with serving(Socket(), monitoring(), prefix="/site/cameras") as server:
        assert server.url == f"http://127.0.0.1:{server.port}/site/cameras/"
        for prefix in ("", "/site/cameras"):
            for path in ("/", "/static/app.js", "/session", "/healthz"):
                assert ask(server, prefix + path)[0] == 200
            assert upgraded(server, f"{prefix}/socket") == 101
        assert [ask(server, path)[0] for path in ("/site", "/site/", "/site/other/", "/cameras/")] == [404] * 4
        status, headers, _ = ask(server, "/site/cameras")
        assert (status, headers["Location"]) == (308, "cameras/")
