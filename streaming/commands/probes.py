"""Try one thing that the settings name, without starting anything: a camera, the broker, a folder, the HTTP port.

Every probe is blocking and made for a daemon thread; all but the frames of a source end by time-outs of their own.
"""

from __future__ import annotations

import asyncio
import errno
import http.client
import ipaddress
import os
import secrets
import shutil
import socket
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from maskcast.errors import MaskcastError, SinkError, SourceError, UsageError, reason_of
from maskcast.redaction import place_of
from sinks.filename import file_name
from sinks.partial import refuse_folder
from sources import Kind, kind_of, open_source
from sources.location import scheme_of

if TYPE_CHECKING:
    from sinks.messages.control import AnyControlMessage
    from sinks.mqtt.broker import BrokerAddress
    from sinks.mqtt.connection import Trial
    from sinks.video.recording_settings import RecordingSettings
    from streaming.settings.broker import MqttSettings
    from streaming.settings.tables import StreamSettings
    from streaming.settings.web import HttpSettings

# Two attempts, one a version of MQTT, and what a connection more takes, on a slow line too.
BROKER_SECONDS, BROKER_STREAM_SECONDS = 20.0, 1.0
HTTP_SECONDS = 2.0
# A probe is not a service: what does not answer in this time is reported, whatever the settings allow it.
LONGEST_WAIT_SECONDS = 20.0
LOW_SPACE_BYTES = 1 << 30
# Enough to find out what a recording already takes; beyond that the answer does not matter.
MAX_FILES_COUNTED = 100_000
GIB = 1 << 30


class Verdict(StrEnum):
    """What a probe found."""

    OK = "ok"
    WARN = "warn"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the table.

    Attributes:
        verdict: whether it works.
        what: which part, as the settings call it.
        detail: what was found, and what to do if it does not work; no credentials.
        exit_code: of the command, if this failed; see `maskcast.errors`.
    """

    verdict: Verdict
    what: str
    detail: str
    exit_code: int = 0


def failed(what: str, error: MaskcastError) -> Finding:
    """The finding that an error is."""
    return Finding(Verdict.FAIL, what, str(error), error.exit_code)


def probe_source(name: str, stream: StreamSettings) -> list[Finding]:
    """Open a source and decode one frame."""
    what = f"streams.{name}"
    url = str(stream.source)
    network = kind_of(url) is Kind.NETWORK
    place = _host(url) if network else url
    if stream.ca_file is not None and not stream.ca_file.is_file():
        return [failed(what, SourceError("no such file", where=f"ca_file {stream.ca_file}"))]
    try:
        settings = replace(
            stream.source_settings(),
            connect_seconds=min(stream.connect_timeout, LONGEST_WAIT_SECONDS),
            silence_seconds=min(stream.silence_timeout, LONGEST_WAIT_SECONDS),
        )
        source = open_source(url, settings, stream=name)
        try:
            frame = next(iter(source), None)
        finally:
            source.close()
    except MaskcastError as error:
        return [Finding(Verdict.FAIL, what, f"{place}: {error.reason}", SourceError.exit_code)]
    if frame is None:
        return [Finding(Verdict.FAIL, what, f"{place}: no picture came", SourceError.exit_code)]
    info = source.info
    rate = f", {float(info.frame_rate):.3g} frames/s" if info.frame_rate else ""
    kind = "live" if info.live else f"{info.frame_count} frames" if info.frame_count else "not live"
    size = f"{place}: {info.width} x {info.height}{rate}, {kind}{_counted(stream)}"
    if scheme_of(url) == "rtsps" and stream.ca_file is None:
        return [Finding(Verdict.WARN, what, f"{size}; the certificate is not verified: set ca_file")]
    return [Finding(Verdict.OK, what, size)]


def _counted(stream: StreamSettings) -> str:
    """Where objects are counted, if anywhere."""
    zones, lines = list(stream.zones), list(stream.lines)
    found = [f"{kind} {', '.join(names)}" for kind, names in (("zones", zones), ("lines", lines)) if names]
    return "".join(f"; {one}" for one in found)


def _host(url: str) -> str:
    """Host and port; without the scheme, or an @ further on in a message would look like the end of credentials."""
    return place_of(url).partition("://")[2]


def probe_broker(mqtt: MqttSettings, streams: Mapping[str, Sequence[str]]) -> list[Finding]:
    """Connect as `maskcast run` does, for the process and for each stream, and disconnect; nothing is published.

    Args:
        mqtt: which broker.
        streams: the prompts of each.
    """
    address = mqtt.address()
    if address.client_id is not None:  # a process that runs under it must not be disturbed
        address = replace(address, client_id=f"{address.client_id}-check-{secrets.token_hex(4)}")
    place = str(address)
    try:
        trial, failures, refused = asyncio.run(_try_broker(address, streams))
    except SinkError as error:
        return [failed("mqtt", error.at(place))]
    if failures:
        detail = f"{place}: {', '.join(failures)}: {next(iter(failures.values())).reason}"
        findings = [Finding(Verdict.FAIL, "mqtt", detail, SinkError.exit_code)]
    else:
        details = f"connected, MQTT {trial.protocol}, {'TLS' if address.tls else 'not encrypted'}"
        if trial.limits.packet is not None:
            details += f", packets of at most {trial.limits.packet} bytes"
        findings = [Finding(Verdict.OK, "mqtt", f"{place}: {details}")]
    if refused:
        findings.append(Finding(Verdict.WARN, "mqtt", f"{place}: the broker refuses {', '.join(refused)}"))
    local = address.host in {"localhost", "127.0.0.1", "::1"}
    if address.password is not None and not address.tls and not local:
        advice = "the password travels in the clear: use mqtts:// where the broker allows it"
        findings.append(Finding(Verdict.WARN, "mqtt", f"{place}: {advice}"))
    return findings


async def _try_broker(
    address: BrokerAddress, streams: Mapping[str, Sequence[str]]
) -> tuple[Trial, dict[str, SinkError], list[str]]:
    """How the process gets in, why streams do not, and what the broker does not take.

    Raises:
        SinkError: the process does not get in.
    """
    from sinks.mqtt.control import ControlDesk
    from sinks.mqtt.journal import Journal
    from sinks.mqtt.process_status import ProcessStatus
    from sinks.mqtt.publisher import Publisher

    refused: set[str] = set()
    failures: dict[str, SinkError] = {}

    async def try_stream(name: str, prompts: Sequence[str]) -> None:
        desk = ControlDesk(name, _Nothing(prompts))
        try:
            trial = await Publisher(address, name, journal=Journal(None), prompts=prompts, control=desk).trial()
        except SinkError as error:
            failures[name] = error
        else:
            refused.update(trial.refused)

    trial = await ProcessStatus(address).trial()
    refused.update(trial.refused)
    async with asyncio.TaskGroup() as group:
        for name, prompts in streams.items():
            group.create_task(try_stream(name, prompts), name=f"check mqtt {name}")
    return trial, failures, sorted(refused)


class _Nothing:
    """A stream that does not run, and so obeys nobody."""

    def __init__(self, prompts: Sequence[str]) -> None:
        self.prompts = prompts

    async def obey(self, request: AnyControlMessage) -> None:
        raise UsageError(f"{request.action}: nothing runs")


def probe_folder(what: str, folder: Path) -> list[Finding]:
    """Write and delete a temporary file in a folder, or where it would be made; tell the free space."""
    existing = folder
    while not os.path.lexists(existing) and existing != existing.parent:
        existing = existing.parent
    try:
        if not existing.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        with tempfile.TemporaryFile(dir=existing, prefix=".maskcast-check-") as file:
            file.write(b"maskcast")
            file.flush()
        free = shutil.disk_usage(existing).free
    except OSError as error:
        reason = reason_of(error)
        advice = "make it writable for this user, or name another folder"
        return [Finding(Verdict.FAIL, what, f"{folder}: {existing}: {reason}; {advice}", SinkError.exit_code)]
    state = "writable" if existing == folder else "will be made"
    verdict = Verdict.OK if free >= LOW_SPACE_BYTES else Verdict.WARN
    return [Finding(verdict, what, f"{folder}: {state}, {free / GIB:.1f} GiB free")]


def probe_targets(what: str, paths: Iterable[Path]) -> list[Finding]:
    """Files that are to be written: none of them is a folder; fine ones are not told."""
    findings = []
    for path in paths:
        try:
            refuse_folder(path)
        except SinkError as error:
            findings.append(failed(what, error))
    return findings


def probe_recordings(folder: Path, recordings: Sequence[tuple[str, RecordingSettings]]) -> list[Finding]:
    """A folder that streams record into: can they write, and is there room for all that they are told to keep?"""
    findings = probe_folder("recording", folder)
    if findings[0].verdict is Verdict.FAIL:
        return findings
    for name, _ in recordings:
        if os.path.lexists(own := folder / file_name(name)):
            findings += [finding for finding in probe_folder("recording", own) if finding.verdict is Verdict.FAIL]
    wanted = sum(_most(recording) for _, recording in recordings)
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    with suppress(OSError):
        room = shutil.disk_usage(existing).free + sum(_size(folder / name) for name, _ in recordings)
        if wanted > room:
            detail = (
                f"{folder}: {len(recordings)} streams may keep {wanted / GIB:.1f} GiB, but there is room for "
                f"{room / GIB:.1f} GiB: lower keep_bytes or keep_files"
            )
            findings.append(Finding(Verdict.WARN, "recording", detail))
    return findings


def _most(recording: RecordingSettings) -> int:
    bounds = [] if recording.keep_bytes is None else [int(recording.keep_bytes)]
    if recording.keep_files is not None:
        bounds.append(recording.keep_files * int(recording.segment_bytes))
    return min(bounds)


def _size(folder: Path) -> int:
    total = 0
    for file in islice(folder.rglob("*"), MAX_FILES_COUNTED):
        with suppress(OSError):
            total += file.stat().st_size
    return total


def probe_encoders(codecs: Iterable[str | None]) -> list[Finding]:
    """Whether each codec that recordings ask for can be encoded here."""
    from sinks.video.codec import EncoderSettings, choose_encoder, software_for, works
    from sinks.video.retention import SUFFIX

    findings = []
    for codec in codecs:
        try:
            encoder = choose_encoder(EncoderSettings(codec), SUFFIX, 640, 360)
        except (UsageError, SinkError) as error:
            findings.append(failed("encoder", error))
            continue
        # Hardware that was asked for by name has not been tried yet.
        if software_for(encoder) is not None and not works(encoder, 640, 360):
            detail = f"{encoder} does not work on this machine; leave codec out, or use libx264"
            findings.append(Finding(Verdict.FAIL, "encoder", detail, SinkError.exit_code))
        else:
            findings.append(Finding(Verdict.OK, "encoder", f"{codec or 'default'}: {encoder}"))
    return findings


def probe_http(http: HttpSettings) -> list[Finding]:
    """Whether the address of page and metrics can be bound, and who may look at the page there."""
    address = http.address()
    if address is None:
        return []
    host, port = address
    shown = f"{f'[{host}]' if ':' in host else host}:{port}"
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(where)
    except (OSError, UnicodeError) as error:
        if getattr(error, "errno", None) == errno.EADDRINUSE and _is_ours(host, port):
            return [Finding(Verdict.WARN, "http", f"{shown}: in use, it seems by a maskcast that is running")]
        detail = f"http.listen {shown}: {reason_of(error)}; choose another address or port"
        return [Finding(Verdict.FAIL, "http", detail, UsageError.exit_code)]
    page = f"the page at http://{shown}{f', under {http.prefix},' if http.prefix else ''}"
    password = http.secret() is not None
    if ipaddress.ip_address(where[0]).is_loopback:
        asks = "asks for the password" if password else "is open to this machine"
        return [Finding(Verdict.OK, "http", f"{shown}: free; {page} {asks}")]
    asks = "asks for the password" if password else "is not served, as there is no http.password"
    detail = f"{shown}: free, and open to the network: anyone there can read metrics; {page} {asks}"
    return [Finding(Verdict.WARN, "http", detail)]


def _is_ours(host: str, port: int) -> bool:
    connection = http.client.HTTPConnection(host, port, timeout=HTTP_SECONDS)
    try:
        connection.request("GET", "/metrics")
        response = connection.getresponse()
        return response.status == 200 and b"maskcast_" in response.read(1 << 16)
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
