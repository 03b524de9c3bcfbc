"""Metrics and health over real HTTP, to clients that behave and to clients that do not."""

import http.client
import json
import logging
import socket
import threading
import time
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from maskcast.errors import UsageError
from streaming.service.metrics import Metrics
from streaming.service.web import MAX_CONNECTIONS, Health, WebServer
from tests.patience import eventually, patient

FINE = Health(ok=True)


@pytest.fixture
def metrics():
    return Metrics()


@pytest.fixture
def serve(metrics):
    servers = []

    def start(listen="127.0.0.1:0", health=lambda: FINE, ready=lambda: FINE, **options):
        server = WebServer(listen, metrics, health, ready, **options)
        server.start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.close()


def ask(server, path, method="GET", host="127.0.0.1", headers=None, timeout=10):
    connection = http.client.HTTPConnection(host, server.port, timeout=patient(timeout))
    try:
        connection.request(method, path, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def web_threads():
    return [
        thread
        for thread in threading.enumerate()
        if thread.name in {"web", "web connection"} or "process_request" in thread.name
    ]


def test_metrics_are_what_prometheus_reads(serve, metrics):
    metrics.frame_tracked("door")
    status, headers, body = ask(serve(), "/metrics")
    assert status == 200
    assert headers["Content-Type"].startswith("text/plain; version=")
    families = {family.name: family for family in text_string_to_metric_families(body.decode())}
    assert families["maskcast_frames"].samples[0].value == 1


def test_a_scrape_in_openmetrics_is_possible(serve):
    _, headers, body = ask(serve(), "/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert headers["Content-Type"].startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")


def test_health_is_200_or_503_with_the_reason(serve):
    answer = FINE
    server = serve(health=lambda: answer)
    status, headers, body = ask(server, "/healthz")
    assert (status, json.loads(body), headers["Content-Type"]) == (200, {"status": "ok"}, "application/json")
    answer = Health(ok=False, reason="the model made no progress for 61 s")
    status, _, body = ask(server, "/healthz")
    assert status == 503
    assert json.loads(body) == {"status": "failing", "reason": "the model made no progress for 61 s"}


def test_readiness_shows_each_stream(serve):
    details = {"streams": {"door": {"online": True, "frames": 3}, "yard": {"online": False, "why": "no route"}}}
    status, _, body = ask(serve(ready=lambda: Health(ok=True, details=details)), "/readyz?verbose=1")
    assert status == 200
    assert json.loads(body)["streams"] == details["streams"]


KNOWN = ["localhost", "LOCALHOST:80", "localhost.", "127.0.0.1", "10.1.2.3:9464", "[::1]:9464", "box", "Scraper:1"]
UNKNOWN = ["evil.example", "localhost.evil.example:80", "127.0.0.1.evil.example", "", ":80", "a,localhost", "box:80:80"]


@pytest.mark.parametrize(("host", "known"), [(host, True) for host in KNOWN] + [(host, False) for host in UNKNOWN])
def test_a_page_that_has_its_own_name_point_here_learns_nothing(metrics, host, known):
    server = WebServer("box:0", metrics, lambda: FINE, lambda: FINE, hosts=["scraper"])
    assert server._is_known(host) is known


def test_only_names_that_it_is_known_by_are_served(serve):
    server = serve(hosts=["metrics.local"])
    for path in ("/metrics", "/healthz", "/readyz", "/nothing"):
        status, _, body = ask(server, path, headers={"Host": "evil.example"})
        assert (status, body) == (421, b"this name is not served: add it to [http] hosts\n")
    assert ask(server, "/healthz", headers={"Host": f"metrics.local:{server.port}"})[0] == 200
    with socket.create_connection(("127.0.0.1", server.port), timeout=patient(10)) as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n")
        assert b" 421 " in client.makefile("rb").readline()
    with socket.create_connection(("127.0.0.1", server.port), timeout=patient(10)) as client:
        client.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")  # as load balancers ask
        assert b" 200 " in client.makefile("rb").readline()


def test_credentials_are_not_published(serve):
    url = "rtsp://admin:secret@cam/1"
    unready = Health(ok=False, reason=f"cannot open {url}", details={"streams": {"door": {"tried": [url]}}})
    _, _, body = ask(serve(ready=lambda: unready), "/readyz")
    assert b"secret" not in body
    assert json.loads(body)["streams"]["door"]["tried"] == ["rtsp://cam"]


def test_a_check_that_raises_is_not_healthy_and_the_server_goes_on(serve, caplog):
    def broken():
        raise KeyError("door")

    server = serve(health=broken)
    status, _, body = ask(server, "/healthz")
    assert status == 503
    assert "KeyError" in json.loads(body)["reason"]
    assert ask(server, "/readyz")[0] == 200
    assert "a health check failed" in caplog.text


@pytest.mark.parametrize("path", ["/", "/metrics/", "/favicon.ico", "/healthz/..", "/%2e%2e/etc/passwd"])
def test_everything_else_is_not_found(serve, path):
    assert ask(serve(), path)[0] == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"])
def test_only_get_and_head_are_allowed(serve, method):
    status, headers, _ = ask(serve(), "/metrics", method)
    assert (status, headers["Allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/readyz"])
def test_head_says_the_length_and_sends_no_body(serve, path):
    status, headers, body = ask(serve(), path, "HEAD")
    assert (status, body) == (200, b"")
    assert int(headers["Content-Length"]) > 10


@pytest.mark.parametrize("path", ["/metrics", "/healthz"])
def test_a_response_to_get_is_as_long_as_it_says(serve, path):
    _, headers, body = ask(serve(), path)
    assert int(headers["Content-Length"]) == len(body)


def test_ipv6_works(serve):
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 here")
    assert ask(serve("[::1]:0"), "/healthz", host="::1")[0] == 200


def test_a_taken_port_is_one_clear_line(serve, metrics):
    port = serve().port
    with pytest.raises(UsageError, match=rf"^http: cannot listen on 127\.0\.0\.1:{port}: .*in use; .*another address$"):
        WebServer(f"127.0.0.1:{port}", metrics, lambda: FINE, lambda: FINE).start()


@pytest.mark.parametrize("listen", ["9464", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:99999", ":9464", ""])
def test_no_address_is_said_to_be_none(metrics, listen):
    with pytest.raises(UsageError, match="no address to listen on"):
        WebServer(listen, metrics, lambda: FINE, lambda: FINE).start()


def test_an_address_of_another_machine_is_refused(metrics):
    with pytest.raises(UsageError, match=r"cannot listen on 192\.0\.2\.1:9464"):
        WebServer("192.0.2.1:9464", metrics, lambda: FINE, lambda: FINE).start()


def test_closing_frees_the_port_the_thread_and_the_descriptors(metrics):
    def descriptors():
        return len(list(Path("/proc/self/fd").iterdir()))

    eventually(lambda: not web_threads())
    before = descriptors()
    port = 0
    for _ in range(3):
        server = WebServer(f"127.0.0.1:{port}", metrics, lambda: FINE, lambda: FINE)
        server.start()
        port = server.port
        assert ask(server, "/healthz")[0] == 200
        idle = socket.create_connection(("127.0.0.1", port))  # who says nothing does not hold the closing up
        eventually(lambda: len(web_threads()) == 2)
        server.close()
        server.close()
        idle.close()
        eventually(lambda: not web_threads())
    assert descriptors() == before


def test_closing_without_start_is_no_error(metrics):
    WebServer("127.0.0.1:0", metrics, lambda: FINE, lambda: FINE).close()


def test_a_client_that_sends_a_byte_now_and_then_is_cut_off(serve):
    server = serve(connection_seconds=0.5)
    with socket.create_connection(("127.0.0.1", server.port), timeout=patient(10)) as slow:
        begun = time.monotonic()
        ended = False
        while not ended and time.monotonic() - begun < patient(10):
            try:
                slow.sendall(b"G")
                slow.settimeout(0.05)
                ended = slow.recv(1) == b""
            except TimeoutError:
                continue
            except OSError:
                ended = True
        assert ended
    eventually(lambda: len(web_threads()) == 1)


def test_slow_clients_lock_nobody_out_and_pile_up_no_threads(serve):
    server = serve()
    slow = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(3 * MAX_CONNECTIONS)]
    try:
        for client in slow:
            client.sendall(b"GET /metrics HTTP/1.1\r\nHost:")
        assert ask(server, "/healthz")[0] == 200
        assert len(web_threads()) <= MAX_CONNECTIONS + 2  # the server, and one that is about to end
    finally:
        for client in slow:
            client.close()
    eventually(lambda: len(web_threads()) == 1)


def test_many_clients_at_once_are_all_served(serve, metrics):
    server = serve()
    answers = []

    def scrape():
        answers.extend([ask(server, "/metrics")[0] for _ in range(10)])

    threads = [threading.Thread(target=scrape) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 60


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n\n",
        b"GET /metrics\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"G" * 70_000 + b"\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\n" + b"A: b\r\n" * 500 + b"\r\n",
        b"GET /%00\xff HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"GET /metrics?name%5B%5D=nothing HTTP/1.1\r\nAccept: \xff\r\n\r\n",
    ],
)
def test_nonsense_does_no_harm_and_prints_nothing(serve, capfd, request_bytes):
    server = serve()
    with socket.create_connection(("127.0.0.1", server.port), timeout=patient(10)) as client:
        try:
            client.sendall(request_bytes)
            client.shutdown(socket.SHUT_WR)
            while client.recv(65536):
                pass
        except ConnectionError:
            pass
    assert ask(server, "/healthz")[0] == 200
    assert capfd.readouterr().err == ""


def test_a_client_that_leaves_before_its_answer_prints_nothing(serve, capfd, caplog):
    caplog.set_level(logging.WARNING)
    entered, left = threading.Event(), threading.Event()

    def health():
        entered.set()
        left.wait(patient(10))
        return Health(ok=True, details={"filler": "x" * 5_000_000})

    server = serve(health=health)
    client = socket.create_connection(("127.0.0.1", server.port))
    client.sendall(b"GET /healthz HTTP/1.1\r\n\r\n")
    assert entered.wait(patient(10))
    client.setsockopt(
        socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00"
    )  # a reset, not a goodbye
    client.close()
    left.set()
    eventually(lambda: len(web_threads()) == 1)
    assert capfd.readouterr().err == ""
    assert not caplog.records
