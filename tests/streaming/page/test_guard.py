"""Who is let in, and what every answer says to browsers."""

import socket

import pytest

from streaming.page.guard import is_known
from tests.patience import patient
from tests.streaming.page.serving import ask, monitoring, serving

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
