"""COCO's JSON for videos, as YouTube-VIS has it: one annotation a track, with a mask or null for each frame."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from maskcast.errors import SinkError, reason_of
from maskcast.result import Result, TrackState
from maskcast.stream_info import StreamInfo
from sinks.messages import rle
from sinks.partial import PartialFile, keep_leftover, partial_path
from sinks.sink import BlockingSink
from sinks.through import destination, kind_of_target, open_through, through_error

COMMIT_FRAMES = 500


class CocoSink(BlockingSink):
    """Annotations of all tracks that were confirmed at some time, with the frames in which they were still tentative.

    The format wants each track's masks together and they come frame by frame, so they wait in a database file beside
    the target; memory stays flat. The JSON is written when the stream has ended: a killed process leaves none, but the
    database, and so does one whose disk is full.

    Raises:
        SinkError: a file cannot be created or written.
    """

    def __init__(self, path: Path, prompts: Sequence[str] = ()) -> None:
        """Write to `path`; `prompts` fixes the ids of the categories, from 1, others follow as they come."""
        super().__init__(str(path))
        self.path = path
        self._store_file = partial_path(destination(path)).with_suffix(".sqlite")
        self._partial: PartialFile | None = None
        self._categories = {prompt: number for number, prompt in enumerate(dict.fromkeys(prompts), 1)}
        self._info: StreamInfo | None = None
        self._database: sqlite3.Connection | None = None
        self._frames = 0

    def start_blocking(self, info: StreamInfo) -> None:
        self._partial = PartialFile(self.path)
        self._info = info
        try:
            self._make_room()
            # The sink's thread is the only one, but the interpreter may close the file from another at exit.
            self._database = sqlite3.connect(self._store_file, check_same_thread=False)
            self._database.executescript(
                # The journal keeps the file readable when the process is killed or the disk is full.
                "PRAGMA journal_mode = DELETE; PRAGMA synchronous = OFF;"
                "CREATE TABLE frames (number INTEGER PRIMARY KEY, name TEXT);"
                "CREATE TABLE tracks (id INTEGER PRIMARY KEY, category INTEGER, confirmed INTEGER, score REAL);"
                "CREATE TABLE masks (track INTEGER, number INTEGER, box TEXT, area INTEGER, height INTEGER,"
                " width INTEGER, counts TEXT, PRIMARY KEY (track, number)) WITHOUT ROWID;"
            )
        except (OSError, sqlite3.Error) as error:
            self._close()
            raise self._error(error) from error

    def write_blocking(self, result: Result) -> None:
        if self._database is None:
            return
        try:
            self._store(self._database, result)
        except sqlite3.Error as error:
            self._close()
            raise self._error(error) from error

    def finish_blocking(self, reason: str | None) -> None:
        if self._database is None or self._partial is None:
            return
        try:
            if self._frames or reason is None:
                self._database.commit()
                with self._partial.part.open("w", encoding="utf-8") as file:
                    self._assemble(self._database, file)
                if kind_of_target(self.path):
                    self._hand_over(self._partial.part)
                    self._partial.discard()
                else:
                    self._partial.publish()
        except (OSError, sqlite3.Error) as error:
            raise self._error(error) from error
        finally:
            self._close()
        with suppress(OSError):
            self._store_file.unlink(missing_ok=True)

    def _hand_over(self, part: Path) -> None:
        """Write the whole JSON, which is in `part`, through."""
        try:
            with part.open("rb") as whole, open(open_through(self.path), "wb") as target:  # noqa: PTH123 - a descriptor
                shutil.copyfileobj(whole, target)
        except (OSError, SinkError) as error:
            known = error if isinstance(error, SinkError) else through_error(self.path, error)
            raise known.advising(f"what was to be written is kept in {part.name}") from error

    def _make_room(self) -> None:
        """Keep the database of a killed run, and the journal that makes it whole."""
        aside = keep_leftover(self._store_file)
        self._store_file.unlink(missing_ok=True)
        journal = Path(f"{self._store_file}-journal")
        if aside is not None and journal.exists():
            journal.rename(f"{aside}-journal")
        journal.unlink(missing_ok=True)

    def _store(self, database: sqlite3.Connection, result: Result) -> None:
        number = self._frames
        self._frames += 1
        # The format thinks of a folder with one image a frame; the numbers are those of the decoded frames.
        name = result.frame.file_name or f"{result.frame.stream}/{result.frame.index:06d}.jpg"
        database.execute("INSERT INTO frames VALUES (?, ?)", (number, name))
        for track in result.tracks:
            category = self._categories.setdefault(track.prompt, len(self._categories) + 1)
            database.execute(
                "INSERT INTO tracks VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET"
                " confirmed = max(confirmed, excluded.confirmed), score = max(score, excluded.score)",
                (track.id, category, track.state is TrackState.CONFIRMED, round(float(track.score), 4)),
            )
            if track.mask.area:
                box = json.dumps([round(value, 1) for value in track.mask.bbox])
                height, width = track.mask.size
                row = (track.id, number, box, track.mask.area, height, width, rle.encode(track.mask))
                database.execute("INSERT INTO masks VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        if self._frames % COMMIT_FRAMES == 0:
            database.commit()

    def _assemble(self, database: sqlite3.Connection, file: TextIO) -> None:
        """Write the JSON piece by piece, no more than one track's masks in memory."""
        info = self._info
        assert info is not None
        file.write('{"info": {"description": "Maskcast"}, "licenses": [],\n"videos": [')
        names = database.execute("SELECT name FROM frames ORDER BY number")
        video = {"id": 1, "name": info.stream, "width": info.width, "height": info.height, "length": self._frames}
        file.write(json.dumps(video)[:-1] + ', "file_names": [')
        _write_joined(file, (json.dumps(name) for (name,) in names))
        file.write(']}],\n"categories": [')
        categories = ({"id": number, "name": prompt} for prompt, number in self._categories.items())
        _write_joined(file, (json.dumps(category) for category in categories))
        file.write('],\n"annotations": [')
        tracks = database.execute("SELECT id, category, score FROM tracks WHERE confirmed ORDER BY id")
        _write_joined(file, (self._annotation(database, info, *track) for track in tracks))
        file.write("]}\n")

    def _annotation(
        self, database: sqlite3.Connection, info: StreamInfo, track: int, category: int, score: float
    ) -> str:
        segmentations: list[dict[str, Any] | None] = [None] * self._frames
        boxes: list[list[float] | None] = [None] * self._frames
        areas: list[int | None] = [None] * self._frames
        masks = database.execute("SELECT number, box, area, height, width, counts FROM masks WHERE track = ?", (track,))
        for number, box, area, height, width, counts in masks:
            segmentations[number] = {"size": [height, width], "counts": counts}
            boxes[number], areas[number] = json.loads(box), area
        return json.dumps(
            {
                "id": track,
                "video_id": 1,
                "category_id": category,
                "score": score,
                "iscrowd": 0,
                "width": info.width,
                "height": info.height,
                "segmentations": segmentations,
                "bboxes": boxes,
                "areas": areas,
            }
        )

    def _error(self, error: OSError | sqlite3.Error) -> SinkError:
        kept = f"the masks up to there are kept in {self._store_file.name}"
        return SinkError(f"cannot write: {reason_of(error)}", where=self.path, advice=kept)

    def _close(self) -> None:
        """Close the database and leave it where it is."""
        database, self._database = self._database, None
        if database is not None:
            with suppress(sqlite3.Error):
                database.commit()
            with suppress(sqlite3.Error):
                database.close()
        if self._partial is not None:
            self._partial.leave()


def _write_joined(file: TextIO, parts: Iterable[str] | Iterator[str]) -> None:
    file.writelines(("" if index == 0 else ",\n") + part for index, part in enumerate(parts))
