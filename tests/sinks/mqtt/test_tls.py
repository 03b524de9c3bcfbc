"""Certificates, ours and the broker's."""

from __future__ import annotations

import gc
import shutil
import subprocess
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from maskcast.errors import SinkError
from sinks import open_sink
from sinks.mqtt import connector
from sinks.mqtt.broker import BrokerAddress, parse_address
from sinks.mqtt.journal import Journal
from sinks.mqtt.publisher import Publisher
from tests.broker import running
from tests.patience import slowness
from tests.publishing import result
from tests.sinks_media import info


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl on this machine to make a certificate")
async def test_tls_is_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2"]
    command += ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    with running(tmp_path / "broker", lines=[f"certfile {certificate}", f"keyfile {key}"]) as one:
        await refused_certificate(f"mqtts://localhost:{one.port}/site")
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        await refused_certificate(f"mqtts://127.0.0.1:{one.port}/site")
        with warnings.catch_warnings():
            # paho-mqtt leaves the socket of a failed handshake to the garbage collector.
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()
        sink = open_sink(f"mqtts://localhost:{one.port}/site")
        await sink.start(info())
        await sink.finish(None)


async def refused_certificate(url: str) -> None:
    with pytest.raises(SinkError, match="certificate"):
        await open_sink(url).start(info())


def certificates(folder: Path) -> dict[str, Path]:
    """An authority, and what it vouches for: the broker at localhost, and a client."""
    folder.mkdir()
    made = {}
    ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], check=True, capture_output=True)

    for name in ("ca", "stranger"):
        made[name], made[f"{name} key"] = folder / f"{name}.pem", folder / f"{name}.key"
        out = ["-keyout", str(made[f"{name} key"]), "-out", str(made[name])]
        openssl("req", "-x509", *ec, "-subj", f"/CN={name}", *out)
    for name, subject in (("broker", "localhost"), ("client", "camera")):
        made[name], made[f"{name} key"] = folder / f"{name}.pem", folder / f"{name}.key"
        request, more = folder / "request.pem", folder / "more.cnf"
        more.write_text(f"subjectAltName=DNS:{subject}\n")
        openssl("req", *ec, "-subj", f"/CN={subject}", "-keyout", str(made[f"{name} key"]), "-out", str(request))
        signing = ["-CA", str(made["ca"]), "-CAkey", str(made["ca key"]), "-CAcreateserial", "-days", "2"]
        openssl("x509", "-req", "-in", str(request), *signing, "-extfile", str(more), "-out", str(made[name]))
    return made


@pytest.fixture
def _failed_handshakes() -> Iterator[None]:
    """The library under aiomqtt leaves the socket of a failed handshake to the garbage collector."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        yield
        gc.collect()


@pytest.mark.usefixtures("_failed_handshakes")
@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl on this machine to make certificates")
async def test_certificates_are_verified_on_both_sides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connector, "TIMEOUT_SECONDS", 2 * slowness())
    made = certificates(tmp_path / "certificates")
    lines = [f"certfile {made['broker']}", f"keyfile {made['broker key']}", f"cafile {made['ca']}"]
    with running(tmp_path / "broker", lines=[*lines, "require_certificate true"]) as broker:
        address = parse_address(f"mqtts://localhost:{broker.port}/site")
        full = replace(
            address, ca_file=made["ca"], cert_file=made["client"], key_file=made["client key"], protocol="3.1.1"
        )
        for trusted in (full, replace(full, protocol="5")):
            journal = Journal(None)
            one = Publisher(trusted, "door", journal=journal)
            await one.start(required=True)
            await one.note(result(0, event=True))
            assert await one.close(None)
            await journal.close()
        refused_addresses = {
            "certificate": replace(full, ca_file=made["stranger"]),
            "cannot read": replace(full, ca_file=tmp_path / "nothing.pem"),
            "cannot use": replace(full, key_file=made["ca key"]),
            "mismatch": replace(full, host="127.0.0.1"),
            "cannot connect": replace(full, cert_file=None, key_file=None),
        }
        for reason, wrong in refused_addresses.items():
            await refused_by(wrong, reason)


async def refused_by(address: BrokerAddress, reason: str) -> None:
    with pytest.raises(SinkError, match=reason) as caught:
        await Publisher(address, "door", journal=Journal(None)).start(required=True)
    assert "\n" not in str(caught.value)
