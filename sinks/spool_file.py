"""The SQLite file of the spool: opening it, finding damage, setting it aside."""

from __future__ import annotations

import logging
import sqlite3
import uuid
from contextlib import suppress
from pathlib import Path

logger = logging.getLogger(__name__)

WAL_BYTES = 4 << 20  # what the write-ahead log may keep on disk after a burst
VERSION = 1
DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
# It changes at each start of the system: until then, what a killed process has written is in the system's hands.
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

SCHEMA = f"""
BEGIN;
CREATE TABLE IF NOT EXISTS system (boot TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS stream (
    name TEXT PRIMARY KEY, id TEXT NOT NULL, next INTEGER NOT NULL, sent INTEGER NOT NULL, shed INTEGER NOT NULL,
    highest INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS event (
    stream TEXT NOT NULL, sequence INTEGER NOT NULL, payload BLOB NOT NULL, PRIMARY KEY (stream, sequence)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS track (
    stream TEXT NOT NULL, id INTEGER NOT NULL, event TEXT NOT NULL, PRIMARY KEY (stream, id)
) WITHOUT ROWID;
PRAGMA user_version = {VERSION};
COMMIT;
"""


class DamagedError(Exception):
    """The file is no journal of ours."""


class Transaction:
    """Commit at the end, roll back at an error; the rolling back never hides the error."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def __enter__(self) -> None:
        self._database.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            try:
                self._database.execute("COMMIT")
            except sqlite3.Error:
                self._roll_back()
                raise
        else:
            self._roll_back()

    def _roll_back(self) -> None:
        with suppress(sqlite3.Error):  # SQLite may have rolled back on its own
            self._database.execute("ROLLBACK")


def connect(target: str) -> sqlite3.Connection:
    """Open the spool `target`, a path or ``:memory:``, for this process alone.

    Raises:
        DamagedError: the file is damaged or no spool of this version.
        sqlite3.Error: it cannot be opened.
    """
    database = sqlite3.connect(target, timeout=1.0, isolation_level=None, check_same_thread=False)
    try:
        # One process alone: two would send everything twice under the same numbers. It also needs no shared memory.
        database.execute("PRAGMA locking_mode = EXCLUSIVE")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")
        _check(database)
        database.execute("SELECT name, id, next, sent, shed, highest FROM stream LIMIT 1").fetchall()
    except sqlite3.Error as error:
        database.close()
        if result_code(error) in DAMAGE | {sqlite3.SQLITE_ERROR}:  # the latter: tables of another program
            raise DamagedError(str(error)) from error
        raise
    except DamagedError:
        database.close()
        raise
    return database


def _check(database: sqlite3.Connection) -> None:
    verdict = database.execute("PRAGMA quick_check(1)").fetchone()[0]
    if verdict != "ok":
        raise DamagedError(verdict)
    version = database.execute("PRAGMA user_version").fetchone()[0]
    if version not in {0, VERSION}:
        raise DamagedError(f"version {version}, not {VERSION}")
    if version == 0:
        database.executescript(SCHEMA)


def result_code(error: BaseException) -> int:
    """SQLite's primary result code."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def boot_id() -> str:
    """What changes when the system starts anew."""
    try:
        return BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:  # not Linux: then every irregular end counts as one of the system
        return uuid.uuid4().hex


def set_aside(file: Path, why: str) -> None:
    """Keep the damaged file for a person, in place of an earlier one.

    Raises:
        OSError: it cannot be renamed.
    """
    aside = file.with_name(file.name + ".damaged")
    file.replace(aside)
    for suffix in ("-wal", "-shm"):
        log = file.with_name(file.name + suffix)
        # Left in its place, the log would be applied to the new file.
        if log.exists():
            log.replace(aside.with_name(aside.name + suffix))
        else:
            aside.with_name(aside.name + suffix).unlink(missing_ok=True)
    logger.error("the journal %s is damaged (%s) and set aside as %s", file, why, aside.name)
