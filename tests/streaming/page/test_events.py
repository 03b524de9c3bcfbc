"""``/events`` as a browser asks for it: filters, pages, pictures, recordings; and what is refused."""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from maskcast.result import EventKind
from streaming.page import reading as reading_module
from streaming.page.events import Events
from streaming.page.history import History
from streaming.page.reading import Reading
from streaming.page.recordings import Recordings
from streaming.page.server import WebServer
from tests.histories import happened
from tests.patience import patient
from tests.recordings import record, seconds
from tests.streaming.page.serving import ask, serving


class Pages:
    """A history of some events, with a recording of the first three seconds, and a server of it."""

    def __init__(self, server: WebServer, history: History) -> None:
        self.server, self.history = server, history

    def get(self, **query: object) -> tuple[int, str]:
        status, _, body = ask(self.server, f"/events?{urlencode(query)}")
        return status, body.decode()

    def events(self, **query: object) -> list[dict[str, Any]]:
        status, body = self.get(**query)
        assert status == 200
        return json.loads(body)["events"]

    def frames(self, **query: object) -> list[int]:
        return [one["message"]["frame"] for one in self.events(**query)]


@pytest.fixture
async def pages(tmp_path: Path) -> AsyncIterator[Pages]:
    sink = await record(tmp_path, seconds(3))
    await sink.finish(None)
    history = History(tmp_path / "history.sqlite")
    recordings = Recordings(lambda: {"door": tmp_path / "door"})
    with serving(Events(history, recordings, Reading())) as server:
        yield Pages(server, history)
    await history.close()


async def test_events_are_found_by_all_that_they_are_filtered_by_page_by_page(pages: Pages) -> None:
    for index in range(120):
        kind = EventKind.ENTERED if index % 3 else EventKind.STARTED
        place = "Hof & Tür" if index % 3 else None
        pages.history.take(happened(index, kind, prompt="red car" if index % 2 else "person", place=place))
    pages.history.take(happened(500, stream="yard"))
    assert pages.frames()[:2] == [500, 119]
    assert len(pages.events()) == 50
    assert pages.frames(stream="yard") == [500]
    wanted = [index for index in reversed(range(120)) if index % 3 and index % 2]
    query = {"prompt": "red car", "kind": "entered", "place": "Hof & Tür", "stream": "door"}
    assert pages.frames(**query, limit=200) == wanted
    seen, before = [], ""
    while True:
        page = json.loads(pages.get(**query, limit=15, before=before)[1])
        seen += [one["message"]["frame"] for one in page["events"]]
        before = page["events"][-1]["id"]
        if not page["more"]:
            break
    assert seen == wanted
    assert pages.frames(before=before + 1, limit=1) == wanted[-1:], "one event, by its id"


async def test_an_event_has_its_message_its_picture_and_the_second_of_its_recording(pages: Pages) -> None:
    told: list[dict[str, Any]] = []
    pages.history._tell = told.append
    (event,) = pages.history.take(happened(50))  # at two seconds
    pages.history.take(happened(2500))
    later, item = pages.events()
    assert item["recording"] == {"stream": "door", "name": "2026-01-01T000000.000Z.mp4", "second": 2.0}
    assert later["recording"] is None
    assert item == {**told[0], "recording": item["recording"]}
    path = f"/events/{event.id}.jpg"
    assert ask(pages.server, path)[0] == 404
    pages.history.illustrate([event], b"jpeg")
    assert pages.events()[1]["picture"] is True
    status, headers, body = ask(pages.server, path)
    assert (status, body, headers["Content-Type"]) == (200, b"jpeg", "image/jpeg")
    assert "no-cache" in headers["Cache-Control"]
    status, _, body = ask(pages.server, path, headers={"If-None-Match": headers["ETag"]})
    assert (status, body) == (304, b"")


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=201",
        "limit=-1",
        "limit=1_0",
        "limit=%D9%A3",
        "limit=1e3",
        "limit=99999999999999999999999999",
        "before=x",
        "before=0",
        f"before={1 << 54}",
        "kind=exploded",
        "kind=STARTED",
        "order=id",
        "stream=a&stream=b",
        "stream=a%00b",
        "stream=a%0Ab",
        f"prompt={'x' * 501}",
        "place=%E2%80%AE",
    ],
)
async def test_parameters_that_mean_nothing_are_refused_in_a_line(pages: Pages, query: str) -> None:
    status, _, body = ask(pages.server, f"/events?{query}")
    assert status == 400
    assert body.endswith(b"\n")
    assert body.count(b"\n") == 1
    assert len(body) < 150


async def test_no_picture_has_another_address(pages: Pages) -> None:
    for name in ("1.jpg", "0.jpg", "-1.jpg", "x.jpg", "1.png", "1", f"{10**30}.jpg", "%2e%2e.jpg", "..%2f1.jpg"):
        assert ask(pages.server, f"/events/{name}")[0] in {400, 404}, name


async def test_names_are_text_whatever_is_in_them(pages: Pages) -> None:
    hostile = "<script>\"' OR 1=1; --"
    pages.history.take(happened(1, stream=hostile, prompt=hostile))
    assert pages.frames(stream=hostile, prompt=hostile) == [1]
    assert pages.frames(stream="' OR 1=1; --") == []


async def test_a_disk_that_hangs_is_said_and_not_everybody_waits(pages: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading_module, "ANSWER_SECONDS", 0.1)
    monkeypatch.setattr(reading_module, "MOST_WAITING", 3)
    answers = threading.Event()
    monkeypatch.setattr(pages.history, "find", lambda _: answers.wait(patient(60)))
    said = [pages.get() for _ in range(4)]
    assert [status for status, _ in said] == [503] * 4
    assert [body for _, body in said] == ["the disk does not answer\n"] * 3 + ["too many ask at once: try again\n"]
    answers.set()
