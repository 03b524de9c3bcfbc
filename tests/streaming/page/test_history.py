"""The page's events: kept whatever becomes of disk and process, bounded, and found by what somebody asks for."""

from __future__ import annotations

import json
import sqlite3
import stat
import threading
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from maskcast.result import EventKind
from sinks.video.style import OUTLINED, Styles
from streaming.page import history as module
from streaming.page.history import History
from streaming.page.history_file import HistoryFile
from streaming.page.kept_event import EventFilter
from tests.full_disk import largest_file
from tests.histories import happened
from tests.journals import damaged
from tests.patience import eventually_async, patient
from tests.schemas import SCHEMAS


def frames(history: History, **wanted: object) -> list[int]:
    """Of the events that are found."""
    found = history.find(EventFilter(**wanted))[0]  # type: ignore[arg-type]
    return [json.loads(event.message)["frame"] for event in found]


async def saved(history: History) -> None:
    await eventually_async(lambda: not history._writing, what="all is on disk")


async def test_events_and_pictures_survive_a_restart_and_are_told_at_once(tmp_path: Path) -> None:
    file, told = tmp_path / "state" / "history.sqlite", []
    history = History(file, told.append)
    events = history.take(happened(0, count=2))
    assert [(one["id"], one["picture"]) for one in told] == [(event.id, False) for event in events]
    SCHEMAS["maskcast.event/1"].validate(told[0]["message"])
    history.illustrate(events, b"jpeg")
    assert [(one["id"], one["picture"]) for one in told[2:]] == [(event.id, True) for event in events]
    history.take(happened(1, EventKind.ENTERED, place="yard"))
    before = history.find(EventFilter())[0]
    await history.close()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600

    history = History(file)
    await saved(history)
    assert history.find(EventFilter())[0] == before
    SCHEMAS["maskcast.event/2"].validate(json.loads(before[0].message))
    assert [history.picture(event.id) for event in before] == [None, b"jpeg", b"jpeg"]
    later = history.take(happened(2))
    history.illustrate([before[0], *later], b"both")  # one that is on disk, one that may be
    assert history.picture(before[0].id) == history.picture(later[0].id) == b"both"
    await history.close()
    ids = [event.id for event in [*later, *before]]
    assert ids == sorted(set(ids), reverse=True)
    assert len({json.loads(event.message)["id"] for event in [*later, *before]}) == 4


CHOICES = {
    "stream": some.sampled_from(["door", "yard"]),
    "kind": some.sampled_from([EventKind.STARTED, EventKind.ENTERED]),
    "prompt": some.sampled_from(["person", "red car"]),
    "place": some.sampled_from([None, "gate", "lawn"]),
}


@settings(max_examples=15, deadline=None)
@given(some.lists(some.fixed_dictionaries(CHOICES), max_size=20), some.data())
async def test_what_is_found_is_what_matches_newest_first_on_disk_and_in_memory(
    made: list[dict[str, object]], data: some.DataObject
) -> None:
    with TemporaryDirectory() as folder:
        both = History(Path(folder) / "history.sqlite"), History(None)
        for index, one in enumerate(made):
            for history in both:
                history.take(happened(index, **one))  # type: ignore[arg-type]
        await both[0].close()
        for _ in range(5):
            wanted = data.draw(some.fixed_dictionaries({}, optional=CHOICES))
            wanted = {name: value for name, value in wanted.items() if value is not None}
            limit = data.draw(some.integers(1, 25))
            expected = [
                index
                for index in reversed(range(len(made)))
                if all(made[index][name] == value for name, value in wanted.items())
            ]
            for history in both:
                assert frames(history, **wanted, limit=limit) == expected[:limit]
                if expected[limit:]:
                    last = history.find(EventFilter(**wanted, limit=limit))[0][-1].id  # type: ignore[arg-type]
                    assert frames(history, **wanted, before=last) == expected[limit:]


async def test_a_full_disk_is_told_once_and_the_newest_are_kept_until_it_has_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name, value in {"RETRY_SECONDS": 0.05, "GATHER_SECONDS": 0.0, "IN_MEMORY_PICTURE_BYTES": 250_000}.items():
        monkeypatch.setattr(module, name, value)
    history = History(tmp_path / "history.sqlite")
    first = history.take(happened(0))
    await saved(history)
    with largest_file(100_000):
        events = [event for index in range(1, 6) for event in history.take(happened(index))]
        for event in events:
            history.illustrate([event], bytes(100_000))
        await eventually_async(lambda: "newest events are kept in memory" in caplog.text)
        before = history._thread
        await eventually_async(lambda: history._failing and before is history._thread)
        assert frames(history) == [5, 4, 3, 2, 1, 0], "the file's and memory's"
        assert [history.picture(event.id) is not None for event in [*first, *events]] == [False] * 4 + [True] * 2
    await eventually_async(lambda: "can be written again" in caplog.text)
    await saved(history)
    assert caplog.text.count("kept in memory") == 1
    await history.close()
    history = History(tmp_path / "history.sqlite")
    assert frames(history) == [5, 4, 3, 2, 1, 0]
    assert history.picture(events[-1].id) == bytes(100_000)
    await history.close()
    assert not damaged(tmp_path)


async def test_a_folder_that_cannot_be_written_costs_nothing_but_the_past(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.05)
    (tmp_path / "state").write_text("no folder")
    history = History(tmp_path / "state" / "history.sqlite")
    history.take(happened(0))
    await eventually_async(lambda: "kept in memory" in caplog.text)
    assert frames(history) == [0]
    (tmp_path / "state").unlink()
    await eventually_async(lambda: "can be written again" in caplog.text)
    await history.close()
    assert frames(history) == [0]


async def test_a_disk_that_hangs_holds_nobody_but_its_readers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CLOSING_SECONDS", 0.05)
    monkeypatch.setattr(module, "IN_MEMORY_EVENTS", 5)
    answers, asked = threading.Event(), threading.Event()

    def hang(*_: object) -> None:
        asked.set()
        answers.wait(patient(60))

    history = History(tmp_path / "history.sqlite")
    await saved(history)
    monkeypatch.setattr(HistoryFile, "save", hang)
    for index in range(8):
        history.take(happened(index))
        assert asked.wait(patient(10))
    assert frames(history) == [7, 6, 5, 4, 3]
    await history.close()
    answers.set()


async def test_a_damaged_file_is_set_aside_and_all_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "history.sqlite"
    file.write_bytes(b"no database" * 1000)
    history = History(file)
    history.take(happened(0))
    await saved(history)
    assert frames(history) == [0]
    assert "table of events" in caplog.text
    assert damaged(tmp_path) == [file.with_name("history.sqlite.damaged")]
    await history.close()

    # Nothing of another program's is touched, and nothing of another version.
    for harm in ("CREATE TABLE other (x)", "PRAGMA user_version = 7", "DROP INDEX event_kind", "DELETE FROM event"):
        with sqlite3.connect(file) as database:
            database.execute(harm)
        database.close()
        caplog.clear()
        history = History(file)
        await saved(history)
        assert ("is damaged" in caplog.text) is (harm != "DELETE FROM event"), harm
        history.take(happened(1))
        await saved(history)
        assert frames(history) == [1]
        await history.close()


async def test_a_file_that_turns_out_damaged_or_is_deleted_while_it_is_read_is_replaced(tmp_path: Path) -> None:
    file = tmp_path / "history.sqlite"
    history = History(file)
    for index in range(300):
        history.take(happened(index))
    await history.close()
    whole = file.read_bytes()
    for harm in ("damaged", "deleted"):
        file.write_bytes(whole[:8192] + b"\xff" * (len(whole) - 8192))
        history = History(file)
        await saved(history)
        if harm == "deleted":
            file.unlink()
        assert frames(history) == []
        await saved(history)
        history.take(happened(1))
        await saved(history)
        assert frames(history) == [1]
        await history.close()
    assert damaged(tmp_path)


async def test_pictures_from_before_something_was_hidden_are_not_shown_and_forgotten(tmp_path: Path) -> None:
    file = tmp_path / "history.sqlite"
    history = History(file)
    blur, fill = Styles("blur"), Styles(prompts={"person": "fill"})

    def shown() -> list[bytes | None]:
        events, _ = history.find(EventFilter())
        pictures = [history.picture(event.id) for event in reversed(events)]
        assert [event.picture is not None for event in reversed(events)] == [one is not None for one in pictures]
        return pictures

    def take(jpeg: bytes, styles: Styles, stream: str = "door") -> None:
        history.illustrate(history.take(happened(0, stream=stream)), jpeg, styles)

    take(b"open", OUTLINED)
    take(b"yard", OUTLINED, "yard")
    await saved(history)
    take(b"late", OUTLINED)
    history.obey("door", blur)
    assert shown() == [None, b"yard", None], "at once, on disk and in memory"
    take(b"blurred", blur)
    take(b"of an attempt that ends", OUTLINED)
    assert shown() == [None, b"yard", None, b"blurred", None]
    await saved(history)
    history.obey("door", blur)
    await saved(history)
    await history.close()

    history = History(file)  # without the stream: what is forgotten does not come back
    await saved(history)
    assert shown() == [None, b"yard", None, b"blurred", None]
    history.obey("door", OUTLINED)
    assert shown() == [None, b"yard", None, b"blurred", None], "what was hidden may be seen where nothing is"
    history.obey("door", fill)
    assert shown() == [None, b"yard", None, None, None]
    await saved(history)
    assert HistoryFile(file)._picture_bytes == len(b"yard")
    await history.close()


async def test_a_suspicion_that_comes_too_late_costs_nothing(tmp_path: Path) -> None:
    history = History(tmp_path / "history.sqlite")
    history.take(happened(0))
    await saved(history)
    history._suspected = True  # a reader was before the file, or saw the one that is set aside already
    history.take(happened(1))
    await saved(history)
    assert frames(history) == [1, 0]
    await history.close()
    assert not damaged(tmp_path)


async def test_what_is_no_message_is_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "history.sqlite"
    history = History(file)
    events = [history.take(happened(index))[0] for index in range(7)]
    await history.close()
    values = ["x'7b'", "'text'", "zeroblob(1000000)", f"CAST('{'[' * 10_000}' AS BLOB)", "CAST('[]' AS BLOB)"]
    with sqlite3.connect(file) as database:
        for event, value in zip(events, values, strict=False):
            database.execute(f"UPDATE event SET message = {value} WHERE id = ?", (event.id,))
        database.execute("UPDATE event SET time = 'now' WHERE id = ?", (events[5].id,))
        database.execute("UPDATE event SET prompt = CAST(x'ff41' AS TEXT) WHERE id = ?", (events[6].id,))
    database.close()
    history = History(file)
    assert frames(history) == [6]
    await history.close()
