"""What became of each video: a table for people, and a file of rows for programs.

The file is Parquet, CSV or JSON Lines, as its suffix says, and has the columns of `COLUMNS` in each of them.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from maskcast.errors import SinkError, UsageError, reason_of
from maskcast.printable import printable
from sinks.partial import PartialFile, prepare_target
from sinks.through import destination, kind_of_target

if TYPE_CHECKING:
    from pyarrow import Schema

SCHEMA = "maskcast.report/1"
COLUMNS = ("id", "path", "status", "frames", "tracks", "seconds", "outputs", "error", "worker")
# Rows of the table that a person can still look at. Of more videos only those that failed have one of their own.
MOST_ROWS = 40
# Of a line that is not on a terminal, where nobody breaks it: wider than any row.
UNBROKEN_COLUMNS = 4096
# What the first bytes of a CSV or JSON Lines report fit into.
_HEAD_BYTES = 256

Status: TypeAlias = Literal["done", "failed", "interrupted"]


@dataclass(frozen=True, slots=True)
class Row:
    """What became of a video.

    Attributes:
        id: of its stream.
        path: of its file, or its URL without credentials.
        frames: that were tracked.
        tracks: that were confirmed.
        seconds: from its first frame to its end, on its worker.
        outputs: the files or URLs that were written, all whole.
        error: why it failed, in one line; None if it did not.
        worker: which worker had it last; empty if none did.
        interrupted: whether it is left to the next run, because this one was asked to end.
    """

    id: str
    path: str
    frames: int = 0
    tracks: int = 0
    seconds: float = 0.0
    outputs: Sequence[str] = ()
    error: str | None = None
    worker: str = ""
    interrupted: bool = False

    @property
    def status(self) -> Status:
        """In a word."""
        if self.error is not None:
            return "failed"
        return "interrupted" if self.interrupted else "done"


def table(rows: Sequence[Row], width: int | None = None) -> list[str]:
    """Lines of a table: of up to `MOST_ROWS` videos each, of more those that failed; and the sum of all.

    Args:
        rows: one a video.
        width: of the terminal in characters, at which errors are broken; None for none.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = rows if len(rows) <= MOST_ROWS else [row for row in rows if row.status == "failed"]
    drawn = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    drawn.add_column("video", overflow="fold")
    for name in ("frames", "tracks", "seconds"):
        drawn.add_column(name, justify="right", no_wrap=True)
    drawn.add_column("", overflow="fold")
    for row in shown:
        said = row.error if row.error is not None else row.status
        counts = f"{row.frames:,}", f"{row.tracks:,}", f"{row.seconds:,.1f}"
        drawn.add_row(*(Text(printable(_utf8(text))) for text in (row.id, *counts, said)))
    drawn.add_row(*map(Text, _sum(rows)))
    lines = StringIO()
    Console(file=lines, width=width or UNBROKEN_COLUMNS, color_system=None, force_terminal=False).print(drawn)
    return [line.rstrip() for line in lines.getvalue().splitlines()]


def _sum(rows: Sequence[Row]) -> tuple[str, str, str, str, str]:
    number = {status: sum(row.status == status for row in rows) for status in ("done", "failed", "interrupted")}
    parts = [f"{count:,} {status}" for status, count in number.items() if count or status == "done"]
    return (
        f"all {len(rows):,}",
        f"{sum(row.frames for row in rows):,}",
        f"{sum(row.tracks for row in rows):,}",
        f"{sum(row.seconds for row in rows):,.1f}",
        ", ".join(parts),
    )


class ReportFile:
    """The file that rows are written to at the end, whole or not at all."""

    def __init__(self, path: Path, *, force: bool = False) -> None:
        """Check, before anything is tracked, that it can be written. An earlier report may be replaced.

        Args:
            path: whose suffix says the format.
            force: whether any other file that exists may be replaced, too.

        Raises:
            UsageError: the suffix is of no format, the file is there and no report, or is no plain file.
            SinkError: the folder cannot be made or is not writable, or the path is a folder.
        """
        known = ", ".join(_WRITERS)
        if str(path).find(":/") > 1:  # a URL, of which a path has lost a slash
            raise UsageError("--report takes a local file", advice=f"name one that ends in {known}")
        write = _WRITERS.get(path.suffix.lower())
        if write is None:
            raise UsageError(f"--report {path.name}: no such format", advice=f"there are {known}")
        self._path, self._write = path, write
        if kind := kind_of_target(path):
            raise UsageError(f"--report is a {kind}, and a report is written whole", where=path, advice="name a file")
        if not force and path.is_file() and path.stat().st_size and not _is_report(path):
            what, advice = "exists already and is no report", "choose another name, or replace it with --force"
            raise UsageError(what, where=path, advice=advice)
        prepare_target(path)

    def check_apart(self, others: Iterable[str | Path]) -> None:
        """See that it is none of the files that are read or written otherwise.

        Args:
            others: inputs and outputs: paths, or URLs, which it never is.

        Raises:
            UsageError: it is one.
        """
        place = destination(self._path)
        for other in others:
            if "://" not in str(other) and destination(Path(other)) == place:
                raise UsageError("--report is an input or an output too", where=other, advice="choose another name")

    def write(self, rows: Sequence[Row]) -> None:
        """Write it.

        Raises:
            SinkError: the disk refuses; an earlier report stays as it was.
        """
        file = PartialFile(self._path)
        try:
            self._write(file.part, rows)
        except OSError as error:
            file.discard()
            raise SinkError(f"cannot write: {reason_of(error)}", where=self._path) from error
        except BaseException:
            file.discard()
            raise
        file.publish()


def _cells(row: Row) -> dict[str, object]:
    """The values of `COLUMNS`; a name that is not UTF-8 is written as Python would on stderr."""
    return {
        "id": _utf8(row.id),
        "path": _utf8(row.path),
        "status": row.status,
        "frames": row.frames,
        "tracks": row.tracks,
        "seconds": round(row.seconds, 3),
        "outputs": [_utf8(output) for output in row.outputs],
        "error": None if row.error is None else _utf8(row.error),
        "worker": row.worker or None,
    }


def _utf8(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def _write_parquet(path: Path, rows: Sequence[Row]) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    with path.open("wb") as file:  # Python's, whose errors are plainer than Arrow's
        parquet.write_table(pa.Table.from_pylist([_cells(row) for row in rows], _arrow_schema()), file)


def _arrow_schema() -> Schema:
    import pyarrow as pa

    types = {"frames": pa.int64(), "tracks": pa.int64(), "seconds": pa.float64(), "outputs": pa.list_(pa.string())}
    return pa.schema([(name, types.get(name, pa.string())) for name in COLUMNS], {"schema": SCHEMA})


def _write_csv(path: Path, rows: Sequence[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(COLUMNS)
        for row in rows:
            cells = _cells(row)
            # Names may hold whatever could part them, and JSON has an end.
            lines.writerow({**cells, "outputs": json.dumps(cells["outputs"], ensure_ascii=False)}.values())


def _write_jsonl(path: Path, rows: Sequence[Row]) -> None:
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(f"{json.dumps({'schema': SCHEMA, **_cells(row)}, ensure_ascii=False)}\n")


_WRITERS: dict[str, Callable[[Path, Sequence[Row]], None]] = {
    ".parquet": _write_parquet,
    ".csv": _write_csv,
    ".jsonl": _write_jsonl,
}


def _is_report(path: Path) -> bool:
    """Whether a file is a report of an earlier run."""
    try:
        if path.suffix.lower() == ".parquet":
            from pyarrow import parquet

            return bool((parquet.read_schema(path).metadata or {}).get(b"schema") == SCHEMA.encode())
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except (OSError, ValueError):  # pyarrow's own errors are of these
        return False
    csv_head = f"{','.join(COLUMNS)}\n".encode()
    return head.startswith((csv_head, json.dumps({"schema": SCHEMA})[:-1].encode()))
