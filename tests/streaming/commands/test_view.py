"""The live page of one run: where it is, what it shows, and that it ends with the run."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request

import aiohttp
import pytest

from maskcast.places import Places, Zone
from sinks.messages.frame import frame_message
from streaming.commands import view
from streaming.commands.view import MOST_ENDED, View
from streaming.pipeline.controls import Controls
from tests.patience import patient
from tests.pipelines import Frames, Record, job, run
from tests.streaming.page.viewers import Client, Large


@pytest.fixture(autouse=True)
def _no_display(monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)


class Shown(Frames):
    """Frames whose picture can be encoded."""

    def __iter__(self):
        picture = Large()
        for one in super().__iter__():
            yield type(one)(one.stream, one.index, one.pts, one.captured_at, picture)


async def get(url: str) -> object:
    def read() -> bytes:
        with urllib.request.urlopen(url, timeout=patient(10)) as answer:
            return answer.read()

    return json.loads(await asyncio.to_thread(read))


async def test_a_run_is_shown_while_it_lasts_and_nothing_can_be_changed():
    said: list[str] = []
    places = Places((Zone("gate", ((0.1, 0.1), (0.9, 0.1), (0.5, 0.9))),))
    record = Record()
    single = job(Shown(20), record, controls=Controls(["cat"], places))
    async with View(said.append) as page:
        (line,) = said
        url = line.removeprefix("live page: ")
        assert url.startswith("http://127.0.0.1:")
        session = await get(f"{url}session")
        assert (session["read_only"], session["open"], session["service"]) == (True, True, False)
        (report,) = await run([page.showing(single, "test")])
        assert (report.errors, record.indices) == ([], list(range(20)))
        async with aiohttp.ClientSession() as http, http.ws_connect(f"{url}live") as socket:
            client = Client(socket)
            await client.watch("test", width=320)
            while not client.states:
                message, _ = await client.picture()
                await client.watch("test", width=320)
        newest = json.loads(message)
        assert newest["frame"] == 19, "the newest stays"
        assert (
            newest["schema"] == json.loads(frame_message(page._board.get("test").newest.result).json_bytes())["schema"]
        )
        state = client.states[0]["test"]
        assert (state["online"], state["reason"], state["control"]) == (False, "end of stream", [])
        assert list(state["zones"]) == ["gate"]
        assert await get(f"{url}events") == {"events": [], "more": False}
        assert (await get(f"{url}recordings"))["recordings"] == []
    with pytest.raises(urllib.error.URLError):
        await get(f"{url}session")


async def test_of_many_files_the_last_few_are_shown():
    async with View(lambda _: None) as page:
        names = [f"clip{n}" for n in range(MOST_ENDED + 3)]
        await run([page.showing(job(Frames(1, stream=name), Record()), name) for name in names])
        assert page._board.names == names[-MOST_ENDED:]


@pytest.mark.parametrize("variable", [None, "DISPLAY", "WAYLAND_DISPLAY"])
async def test_a_browser_is_opened_where_there_is_a_display_and_never_waited_for(monkeypatch, variable):
    opened: list[str] = []

    def fail(url: str) -> None:
        opened.append(url)
        raise OSError("no browser")

    monkeypatch.setattr(view.webbrowser, "open", fail)
    monkeypatch.setattr(view.sys, "platform", "linux")
    if variable:
        monkeypatch.setenv(variable, ":0")
    said: list[str] = []
    async with View(said.append):
        await asyncio.sleep(0.05)
    assert opened == ([said[0].removeprefix("live page: ")] if variable else [])
