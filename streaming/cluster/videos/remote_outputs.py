"""Outputs at URLs of file systems: `s3://bucket/{stream}.jsonl`, `coco:gs://bucket/{stream}.json`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from maskcast.errors import UsageError
from sinks.filename import STREAM_FIELD, file_name
from sinks.formats import FORMATS, parse_output
from streaming.cluster.videos.storage import check_url, existing, is_remote, named, shown
from streaming.commands.outputs import Outputs


@dataclass(frozen=True, slots=True)
class RemoteOutput:
    """An output at a URL.

    Attributes:
        url: of it; `{stream}` in it stands for the stream's id.
        prefix: the name of the format with its colon, if it is written before the URL.
    """

    url: str
    prefix: str = ""

    @property
    def name(self) -> str:
        """Of the file."""
        return self.url.rpartition("/")[2]

    def of(self, stream: str) -> RemoteOutput:
        """That of one stream."""
        return replace(self, url=self.url.replace(STREAM_FIELD, file_name(stream)))

    def spec(self, folder: Path) -> str:
        """The spec of a sink that writes the same in a folder."""
        return f"{self.prefix}{folder / self.name}"

    def urls(self, prompts: Sequence[str]) -> list[str]:
        """All files that it writes where these prompts are tracked, in the order of `Output.files`."""
        folder = self.url.rpartition("/")[0]
        return [f"{folder}/{file.name}" for file in parse_output(self.spec(Path())).files(prompts)]


def apart(outputs: Outputs) -> tuple[Outputs, tuple[RemoteOutput, ...]]:
    """The outputs that are local, and those at URLs.

    Raises:
        UsageError: there is no such format, or no such file system here; or two are one.
    """
    local: list[str] = []
    remote: list[RemoteOutput] = []
    for spec in outputs.specs:
        format_name, colon, rest = spec.partition(":")
        named_format = bool(colon) and any(one.name == format_name and not one.schemes for one in FORMATS)
        target = rest if named_format else spec
        if not is_remote(target):
            local.append(spec)
            continue
        output = RemoteOutput(target, f"{format_name}:" if named_format else "")
        check_url(target)
        if not output.name:
            raise UsageError("names no file", where=named(target))
        parse_output(output.spec(Path()))
        if any(output.url == other.url for other in remote):
            raise UsageError(f"output {named(target)} is given twice")
        remote.append(output)
    return replace(outputs, specs=local), tuple(remote)


def check(remote: Sequence[RemoteOutput], sources: Sequence[str], streams: Sequence[str]) -> None:
    """Refuse, before anything is tracked, what would destroy an input or another output.

    Args:
        remote: the outputs.
        sources: what is read.
        streams: the id of each.

    Raises:
        UsageError: which one and why.
    """
    urls = {output.of(stream).url for output in remote for stream in streams}
    for output in remote:
        if len(streams) > 1 and STREAM_FIELD not in output.url:
            what = f"{len(streams)} sources cannot share the output {named(output.url)}"
            raise UsageError(what, advice=f"put {STREAM_FIELD} into its name")
    for source in sources:
        if source in urls:
            raise UsageError(f"output {named(source)} is the input itself", advice="choose another name")


def asked_of(asked: str, remote: Sequence[RemoteOutput]) -> str:
    """The fingerprint of what is asked (SHA-256), given that without the outputs at URLs."""
    if not remote:
        return asked
    said = [asked, *(f"{output.prefix}{shown(output.url)}" for output in remote)]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


class Uploaded:
    """Which outputs at URLs are there already; asked once for all videos."""

    def __init__(self, remote: Sequence[RemoteOutput], streams: Sequence[str], prompts: Sequence[str]) -> None:
        """Look.

        Raises:
            SinkError: a file system refuses or does not answer.
        """
        urls = {stream: [url for one in remote for url in one.of(stream).urls(prompts)] for stream in streams}
        there = existing(url for some in urls.values() for url in some) if remote else set()
        self._there = {stream: [url for url in some if url in there] for stream, some in urls.items()}
        self._shown = {shown(url) for url in there}

    def of(self, stream: str) -> list[str]:
        """Those of a stream."""
        return self._there[stream]

    def refuse(self, stream: str) -> None:
        """Say that they are not to be replaced.

        Raises:
            UsageError: one is there.
        """
        for url in self._there[stream]:
            raise UsageError(
                "exists already", where=named(url), advice="choose another name, or replace it with --force"
            )

    def holds(self, output: str) -> bool:
        """Whether an output of a record is there, wherever it was written to."""
        return output in self._shown if is_remote(output) else Path(output).exists()
