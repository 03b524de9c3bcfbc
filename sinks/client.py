"""An MQTT client for a broker's address: who we are, which version we speak, whose certificates count."""

from __future__ import annotations

import asyncio
import logging
import ssl
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, TypeVar

import aiomqtt
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from sinks.broker import BrokerAddress

T = TypeVar("T")

# `Connection` says what became of the connection. The library would add an error with a traceback for each answer that
# comes after its time-out, and one for each socket that breaks.
_library_logger = logging.getLogger("aiomqtt")
_library_logger.setLevel(logging.CRITICAL)

UNSUPPORTED_VERSION = 0x84  # MQTT 5, section 3.2.2.2; paho gives it for the 0x01 of older brokers too


class RefusedError(Exception):
    """The broker has acknowledged a message only to refuse it, for example because it is not allowed on its topic."""


class Client(aiomqtt.Client):
    """aiomqtt's client, whose `publish` raises `RefusedError` where the broker's acknowledgement says so.

    aiomqtt takes every acknowledgement (PUBACK) for a success. MQTT 5, section 3.4.2.1: it refuses the message if its
    reason code is 0x80 or more. A broker of MQTT 3.1.1 has no way to refuse.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._refused: dict[int, str] = {}  # by message id, until whoever sent it has been told

    def _on_publish(
        self, client: Any, userdata: Any, mid: int, reason_code: ReasonCode, properties: Properties
    ) -> None:
        if reason_code.is_failure and mid in self._pending_publishes:
            self._refused[mid] = str(reason_code)
        super()._on_publish(client, userdata, mid, reason_code, properties)

    @contextmanager
    def _pending_call(self, mid: int, value: T, pending_dict: dict[int, T]) -> Iterator[None]:
        try:
            with super()._pending_call(mid, value, pending_dict):
                yield
        finally:
            refused = self._refused.pop(mid, None)
        if refused is not None:
            raise RefusedError(refused)


async def make_client(address: BrokerAddress, protocol: Literal["5", "3.1.1"], **options: Any) -> Client:
    """A client that is not connected yet; `options` are more arguments of `aiomqtt.Client`.

    Raises:
        aiomqtt.MqttError: a certificate's file cannot be read or is not what it should be.
    """
    return Client(
        address.host,
        address.port,
        username=address.username,
        password=address.password,
        identifier=f"maskcast-{uuid.uuid4().hex[:12]}",  # at most 23 characters suit every broker
        protocol=aiomqtt.ProtocolVersion.V5 if protocol == "5" else aiomqtt.ProtocolVersion.V311,
        tls_context=await _client_context(address) if address.tls else None,
        logger=_library_logger,
        **options,
    )


def wants_older(error: aiomqtt.MqttCodeError) -> bool:
    """Whether the broker has refused MQTT 5 itself."""
    return getattr(error.rc, "value", None) == UNSUPPORTED_VERSION


async def _client_context(address: BrokerAddress) -> ssl.SSLContext:
    """The TLS settings for `address`, read from the files anew each time: certificates are renewed while we run.

    Raises:
        aiomqtt.MqttError: a file cannot be read or is not what it should be.
    """
    return await asyncio.to_thread(_context, address)


def _context(address: BrokerAddress) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=address.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise aiomqtt.MqttError(f"cannot read the authorities' certificates {address.ca_file}: {error}") from error
    if address.cert_file is not None:
        try:
            # Without a password given, an encrypted key would make OpenSSL ask for one on the terminal.
            context.load_cert_chain(address.cert_file, address.key_file, password="")
        except (OSError, ssl.SSLError) as error:
            files = address.cert_file if address.key_file is None else f"{address.cert_file} and {address.key_file}"
            raise aiomqtt.MqttError(f"cannot use our certificate {files}: {error}") from error
    return context
