"""Metrics and health over real HTTP."""

import json

import pytest
from prometheus_client.parser import text_string_to_metric_families

from streaming.page.health import Health
from streaming.service.metrics import Metrics
from tests.streaming.page.serving import FINE, ask, monitoring, serving


@pytest.fixture
def metrics():
    return Metrics()


def test_metrics_are_what_prometheus_reads(metrics):
    metrics.frame_tracked("door")
    with serving(monitoring(metrics.registry)) as server:
        status, headers, body = ask(server, "/metrics")
        assert status == 200
        assert headers["Content-Type"].startswith("text/plain; version=")
        families = {family.name: family for family in text_string_to_metric_families(body.decode())}
        assert families["maskcast_frames"].samples[0].value == 1
        _, _, body = ask(server, "/metrics?name[]=maskcast_frames_total")
        assert {family.name for family in text_string_to_metric_families(body.decode())} == {"maskcast_frames"}


def test_a_scrape_in_openmetrics_is_possible(metrics):
    with serving(monitoring(metrics.registry)) as server:
        _, headers, body = ask(server, "/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert headers["Content-Type"].startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")


def test_health_is_200_or_503_with_the_reason():
    answer = FINE
    with serving(monitoring(health=lambda: answer)) as server:
        status, headers, body = ask(server, "/healthz")
        assert (status, json.loads(body), headers["Content-Type"]) == (200, {"status": "ok"}, "application/json")
        answer = Health(ok=False, reason="the model made no progress for 61 s")
        status, _, body = ask(server, "/healthz")
    assert status == 503
    assert json.loads(body) == {"status": "failing", "reason": "the model made no progress for 61 s"}


def test_readiness_shows_each_stream():
    details = {"streams": {"door": {"online": True, "frames": 3}, "yard": {"online": False, "why": "no route"}}}
    with serving(monitoring(ready=lambda: Health(ok=True, details=details))) as server:
        status, _, body = ask(server, "/readyz?verbose=1")
    assert status == 200
    assert json.loads(body)["streams"] == details["streams"]


def test_credentials_are_not_published():
    url = "rtsp://admin:secret@cam/1"
    unready = Health(ok=False, reason=f"cannot open {url}", details={"streams": {"door": {"tried": [url]}}})
    with serving(monitoring(ready=lambda: unready)) as server:
        _, _, body = ask(server, "/readyz")
    assert b"secret" not in body
    assert json.loads(body)["streams"]["door"]["tried"] == ["rtsp://cam"]


def test_a_check_that_raises_is_not_healthy_and_the_server_goes_on(caplog):
    def broken():
        raise KeyError("door")

    with serving(monitoring(health=broken)) as server:
        status, _, body = ask(server, "/healthz")
        assert status == 503
        assert "KeyError" in json.loads(body)["reason"]
        assert ask(server, "/readyz")[0] == 200
    assert "a health check failed" in caplog.text


@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/readyz"])
def test_head_says_the_length_and_sends_no_body(path):
    with serving(monitoring(Metrics().registry)) as server:
        status, headers, body = ask(server, path, "HEAD")
        assert (status, body) == (200, b"")
        assert int(headers["Content-Length"]) > 10
        status, headers, body = ask(server, path)
        assert int(headers["Content-Length"]) == len(body)
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE"):
            status, headers, _ = ask(server, path, method)
            assert (status, headers["Allow"]) == (405, "GET,HEAD")
