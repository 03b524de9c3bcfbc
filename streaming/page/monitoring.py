"""``/metrics``, ``/healthz`` and ``/readyz``: for Prometheus, containers and load balancers."""

from __future__ import annotations

import http
import json
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from maskcast.errors import unforeseen
from maskcast.redaction import redact
from streaming.page.health import Health
from streaming.page.part import Access, Part

logger = logging.getLogger(__name__)


class Monitoring(Part):
    """Metrics and health.

    Args:
        registry: what ``/metrics`` shows.
        health: answers ``/healthz``: does the process make progress? Asked on the server's thread, so that it is
            answered while the pipeline's event loop hangs; must not wait.
        ready: answers ``/readyz``: can it do its work? As `health`.
    """

    access: ClassVar[Access] = Access.MACHINES

    def __init__(self, registry: CollectorRegistry, health: Callable[[], Health], ready: Callable[[], Health]) -> None:
        self._registry, self._health, self._ready = registry, health, ready

    def routes(self) -> Iterable[web.RouteDef]:
        return [
            web.get("/metrics", self._scrape),
            web.get("/healthz", self._healthz),
            web.get("/readyz", self._readyz),
        ]

    async def _healthz(self, _: web.Request) -> web.Response:
        return _said(self._health)

    async def _readyz(self, _: web.Request) -> web.Response:
        return _said(self._ready)

    async def _scrape(self, request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        registry: Any = self._registry
        if names := request.query.getall("name[]", []):  # the subset that a scrape may ask for
            registry = registry.restricted_registry(names)
        return web.Response(body=encode(registry), headers={"Content-Type": content_type})


def _said(question: Callable[[], Health]) -> web.Response:
    try:
        answer = question()
    except Exception as error:  # a question that cannot be answered is not a good sign
        logger.exception("a health check failed")
        answer = Health(ok=False, reason=f"the check itself failed: {unforeseen(error)}")
    body = {"status": "ok" if answer.ok else "failing"}
    if answer.reason:
        body["reason"] = answer.reason
    text = json.dumps(_redacted({**body, **answer.details}), default=str)
    return web.Response(
        body=f"{text}\n".encode(),
        status=http.HTTPStatus.OK if answer.ok else http.HTTPStatus.SERVICE_UNAVAILABLE,
        headers={"Content-Type": "application/json"},
    )


def _redacted(value: Any) -> Any:
    """Without credentials; string by string, as the redaction of the whole text could take a quote for a password."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        # Keys are names of streams, which hold nothing from the environment: masked, two could become one.
        return {str(key): _redacted(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_redacted(item) for item in value]
    return value
