"""`maskcast run` as somebody sees it who leaves the page open: nothing here ever loads the page again."""

from __future__ import annotations

import json
import re
from contextlib import ExitStack

import numpy as np
import pytest

from tests import broker as brokers
from tests.browser import tab
from tests.copied_toml import copied_places, counted_places
from tests.patience import eventually, patient
from tests.rtsp import camera
from tests.service import service
from tests.streaming.page.serving import upgraded
from tests.subscriber import Subscriber

PASSWORD = "correct horse battery"
# What a browser logs by itself where it is refused, and while there is nobody.
LOST = r"401|cameras\.toml|ERR_CONNECTION|ERR_EMPTY_RESPONSE|ERR_SOCKET|WebSocket connection|ERR_INCOMPLETE"
SCRIPT = "<script>alert(1)</script>"
# Keeps the newest message of each stream that was drawn.
WATCH = """() => {
  window.drawn = {};
  document.addEventListener("drawn", ({ detail }) => { window.drawn[detail.stream] = detail; });
}"""


def settings(broker, cameras) -> str:
    text = f'[mqtt]\nurl = "mqtt://127.0.0.1:{broker.port}/site"\n'
    for name, one in cameras.items():
        text += f'[streams.{name}]\nsource = "{one.url()}"\nprompts = ["red circle"]\nmax_rate = 3.0\n'
        text += f"connect_timeout = {patient(2.0)}\nsilence_timeout = {patient(2.0)}\n"
        text += 'recording = {folder = "recordings", keep_files = 9}\n'
    return text


@pytest.mark.long
def test_a_page_that_is_left_open(browser, tmp_path, still_scene):
    with ExitStack() as stack:
        broker = stack.enter_context(brokers.running(tmp_path / "broker"))
        cameras = {name: stack.enter_context(camera(still_scene, "--loop")) for name in ("door", "gate")}
        listener = Subscriber(broker.port)
        stack.callback(listener.close)
        http = f'password = "{PASSWORD}"'
        running = stack.enter_context(service(tmp_path, settings(broker, cameras), http=http))
        page = stack.enter_context(tab(browser, f"http://127.0.0.1:{running.port}/", expected=LOST))
        page.evaluate(WATCH)
        states = watched_states(page)
        sign_in(page)
        the_wall_shows_what_is_published(page, listener)
        a_camera_is_lost_and_comes_back(page, listener, cameras["gate"])
        neither_broker_nor_process_need_a_reload(page, listener, broker, running)
        page.click("a.tile[data-stream=door]")
        prompts_reach_the_model(page)
        what_is_drawn_is_what_counts(page, states, tmp_path)
        what_happened_is_played(page)
        strangers_are_refused(page, running)
        assert page.evaluate("window.drawn !== undefined"), "never loaded again"


def frame(page, name: str) -> int:
    """Number of the frame that is shown, -1 for none."""
    return page.evaluate("(name) => (window.drawn[name] || { frame: -1 }).frame", name)


def goes_on(page, name: str, frames: int = 2) -> None:
    before = frame(page, name)
    eventually(lambda: frame(page, name) >= before + frames, 30, f"newer frames of {name}")


def sign_in(page) -> None:
    for password in ("battery staple", PASSWORD):
        page.fill(".login input[type=password]", password)
        page.keyboard.press("Enter")
        if password != PASSWORD:
            page.get_by_role("alert").filter(has_text="Wrong password").wait_for()


def the_wall_shows_what_is_published(page, listener) -> None:
    for name in ("door", "gate"):
        page.locator(f"a.tile[data-stream={name}]:not([data-state=offline])").wait_for()
        found = eventually(
            lambda name=name: page.evaluate("(name) => window.drawn[name]?.tracks.length && window.drawn[name]", name)
        )
        published = eventually(
            lambda name=name, number=found["frame"]: [
                message for message in listener.of(name, "tracks") if message["frame"] == number
            ]
        )
        assert found == published[0]


def a_camera_is_lost_and_comes_back(page, listener, gate) -> None:
    gate.kill()
    tile = page.locator("a.tile[data-stream=gate]")
    page.locator("a.tile[data-stream=gate][data-state=offline]").wait_for()

    def told() -> bool:
        """The reason is that of MQTT; it changes with each attempt."""
        reason = re.fullmatch(r"Offline for \d+ s: (.+)", tile.locator(".veil").inner_text())
        return bool(reason) and reason[1] == listener.last("gate", "status").get("reason")

    eventually(told, 20, "why it is away")
    goes_on(page, "door")
    gate.restart()
    page.locator("a.tile[data-stream=gate]:not([data-state=offline])").wait_for()
    goes_on(page, "gate")
    assert not tile.locator(".veil").is_visible()


def neither_broker_nor_process_need_a_reload(page, listener, broker, running) -> None:
    broker.stop()
    goes_on(page, "door", 4)
    broker.start()
    seen = len(listener.of("door", "tracks"))
    eventually(lambda: len(listener.of("door", "tracks")) > seen + 1, 30, "published again")
    running.kill()
    page.locator("#link").filter(has_text="Trying again").wait_for()
    page.evaluate("window.drawn = {}")
    page.click("nav >> text=Events")  # opened while nobody is there, and filled when somebody is
    page.locator("h1", has_text="Events").wait_for()
    running.start()
    page.locator("li[data-event]").first.wait_for(timeout=patient(60) * 1000)
    page.click("nav >> text=Streams")
    for name in ("door", "gate"):
        eventually(lambda name=name: frame(page, name) >= 0, 60, "shown again")
    assert not page.locator("#link").is_visible()


def watched_states(page) -> dict:
    """The states of the streams as the page is told them, from its next connection on."""
    states: dict = {}

    def received(data) -> None:
        if isinstance(data, str) and (message := json.loads(data))["type"] == "state":
            states.update(message["streams"])

    page.on("websocket", lambda socket: socket.on("framereceived", received))
    return states


def prompts_reach_the_model(page) -> None:
    for prompt in ("green square", SCRIPT):
        page.fill("form.prompt input[name=text]", prompt)
        page.click("form.prompt button:has-text('Add')")
    page.click("[data-action=apply-prompts]")
    page.locator("output", has_text="Applied").wait_for()
    eventually(
        lambda: any(track["prompt"] == "green square" for track in page.evaluate("window.drawn.door.tracks")),
        what="what was added is found",
    )
    page.locator(f".tools [data-prompt='{SCRIPT}']").wait_for()
    assert [each.strip() for each in page.locator(".prompts li b").all_inner_texts()] == [
        "red circle",
        "green square",
        SCRIPT,
    ]
    assert page.locator("script").count() == 1, "a prompt is text"


def what_is_drawn_is_what_counts(page, states, folder) -> None:
    page.click("summary:has-text('Zones and lines')")
    page.click("[data-new=zone]")
    box = page.locator(".drawing").bounding_box()
    corners = [(0.2, 0.25), (0.8, 0.2), (0.7, 0.75), (0.25, 0.8)]
    for x, y in corners:
        page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])
    page.click('[data-point="0"]')
    text = page.input_value("textarea[aria-label=TOML]")
    copied = copied_places(text, folder, stream="door", prompts=["red circle", "green square", SCRIPT])
    np.testing.assert_allclose(copied.zones[0].points, corners, atol=0.01)
    page.click("[data-action=places]")
    page.locator("output", has_text="Applied. Copy").wait_for()
    page.wait_for_function("() => document.querySelector('[data-action=places]').disabled")
    eventually(lambda: page.evaluate("true") and states.get("door", {}).get("zones"), 20, "counted there")
    assert counted_places(states["door"]) == copied


def what_happened_is_played(page) -> None:
    page.get_by_role("link", name="Events").click()
    page.select_option("select[name=stream]", "door")
    page.select_option("select[name=kind]", "started")
    page.locator("li[data-kind=started]").first.wait_for()
    eventually(lambda: page.locator("li img").first.evaluate("(image) => image.naturalWidth"), 20, "a picture of it")
    assert page.locator("li[data-event]:not([data-kind=started])").count() == 0
    page.locator("li[data-event] a").last.click()  # of the process that was killed
    begin = re.search(r"[?&]t=([\d.]+)", page.url)
    asked = float(begin[1]) if begin else 0.0
    video = page.locator("video")
    eventually(lambda: video.evaluate("(video) => video.videoWidth && video.currentTime") > asked, 20, "it is played")


def strangers_are_refused(page, running) -> None:
    assert upgraded(running, "/live", {"Origin": "http://evil.example"}) == 403
    assert page.evaluate("fetch('recordings/door/..%2F..%2Fcameras.toml').then(({ status }) => status)") == 404
    assert running.get("/events")[0] == 401, "who has not signed in"
