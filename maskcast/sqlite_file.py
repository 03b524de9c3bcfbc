"""SQLite files that a process keeps for the next one: for their owner alone, opened with suspicion, set aside."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import suppress
from pathlib import Path

from maskcast.files import make_folder, make_private, set_aside, tighten

logger = logging.getLogger(__name__)

# Beside a file in SQLite's mode WAL: its log, and the index of that which processes share.
_LOGS = ("-wal", "-shm")
_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
# What SQLite says when the disk, the system or another process does not let it work. All else that it says of a file
# that is opened and read through is the file's fault; of text that is no UTF-8, Python's module says so without a code.
_REFUSALS = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY,
}


class DamagedError(Exception):
    """The file is none of ours."""


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


def prepare(file: Path) -> None:
    """Make the file and its folder for their owner alone, before SQLite opens it.

    Raises:
        DamagedError: something else is in its place.
        OSError: it cannot be made.
    """
    make_folder(file.parent)
    if file.exists() and not file.is_file():
        raise DamagedError("it is no file")
    make_private(file)
    for suffix in _LOGS:  # SQLite makes new ones as private as the file
        log = file.with_name(file.name + suffix)
        if log.exists() and not log.is_file():
            raise DamagedError(f"{log.name} is no file")
        tighten(log)


def definitions(database: sqlite3.Connection) -> set[tuple[str, str, str]]:
    """Everything that a database defines, views and triggers too."""
    return set(database.execute("SELECT type, name, sql FROM sqlite_master"))


def definitions_of(schema: str) -> set[tuple[str, str, str]]:
    """Everything that a database of this schema defines."""
    database = sqlite3.connect(":memory:")
    database.executescript(schema)
    return definitions(database)


def is_refusal(error: BaseException) -> bool:
    """Whether the disk, the system or another process does not let SQLite work."""
    return result_code(error) in _REFUSALS


def is_damage(error: BaseException) -> bool:
    """Whether the file, while it is in use, turns out to be damaged."""
    return result_code(error) in _DAMAGE


def result_code(error: BaseException) -> int:
    """SQLite's primary result code."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def set_database_aside(file: Path, what: str, why: str) -> None:
    """Keep the damaged file for a person, in place of an earlier one; `what` is its name in the log.

    Raises:
        OSError: it cannot be renamed.
    """
    aside = set_aside(file)
    for suffix in _LOGS:
        log = file.with_name(file.name + suffix)
        # Left in its place, the log would be applied to the new file.
        if log.exists():
            log.replace(aside.with_name(aside.name + suffix))
        else:
            aside.with_name(aside.name + suffix).unlink(missing_ok=True)
    logger.error("the %s %s is damaged (%s) and set aside as %s", what, file, why, aside.name)
