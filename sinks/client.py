"""An MQTT client for a broker's address: who we are, which version we speak, whose certificates count."""

from __future__ import annotations

import asyncio
import logging
import ssl
import uuid
from typing import Any, Literal

import aiomqtt

from sinks.broker import BrokerAddress

# `Connection` says what became of the connection. The library would add an error with a traceback for each answer that
# comes after its time-out, and one for each socket that breaks.
_library_logger = logging.getLogger("aiomqtt")
_library_logger.setLevel(logging.CRITICAL)

UNSUPPORTED_VERSION = 0x84  # MQTT 5, section 3.2.2.2; paho gives it for the 0x01 of older brokers too


async def make_client(address: BrokerAddress, protocol: Literal["5", "3.1.1"], **options: Any) -> aiomqtt.Client:
    """A client that is not connected yet; `options` are more arguments of `aiomqtt.Client`.

    Raises:
        aiomqtt.MqttError: a certificate's file cannot be read or is not what it should be.
    """
    return aiomqtt.Client(
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
