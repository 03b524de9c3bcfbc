"""The TLS settings for a broker's address: whose certificates count, and which is ours."""

from __future__ import annotations

import ssl

import aiomqtt

from sinks.mqtt.broker import BrokerAddress


class CertificateError(aiomqtt.MqttError):
    """A file with certificates or a key cannot be used."""


def tls_context(address: BrokerAddress) -> ssl.SSLContext:
    """The settings, read from the files anew each time, since certificates are renewed while we run; blocking.

    Raises:
        CertificateError: a file cannot be read or is not what it should be.
    """
    try:
        context = ssl.create_default_context(cafile=address.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise CertificateError(f"cannot read the authorities' certificates {address.ca_file}: {error}") from error
    if address.cert_file is not None:
        try:
            # Without a password given, an encrypted key would make OpenSSL ask for one on the terminal.
            context.load_cert_chain(address.cert_file, address.key_file, password="")
        except (OSError, ssl.SSLError) as error:
            files = address.cert_file if address.key_file is None else f"{address.cert_file} and {address.key_file}"
            raise CertificateError(f"cannot use our certificate {files}: {error}") from error
    return context
