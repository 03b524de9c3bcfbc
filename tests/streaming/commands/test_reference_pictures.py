"""Pictures of COCO from a server that gives something else: nothing of it is kept, and the next time it works."""

import io
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from PIL import Image

from maskcast.errors import SourceError
from maskcast.files import cache_of
from streaming.commands import reference_pictures
from streaming.commands.reference_pictures import reference_picture
from tests.hub import PROXIES
from tests.ports import free_port

NAME = "000000077595.jpg"


def encoded(size=(160, 120), form="JPEG"):
    pixels = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).resize(size, Image.Resampling.NEAREST).save(out, form)
    return out.getvalue()


JPEG = encoded()


class Handler(BaseHTTPRequestHandler):
    def __init__(self, answers, *given):
        self.answers = answers
        super().__init__(*given)

    def do_GET(self):
        code, headers, body = self.answers[self.path.rpartition("/")[2]]
        if code is None:
            self.wfile.write(body)
            return
        self.send_response(code)
        for header, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(header, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def answers(monkeypatch):
    """What the server says to each name: status, headers, body; without a status the body is all."""
    for variable in PROXIES:
        monkeypatch.delenv(variable, raising=False)
    given = {NAME: (200, {}, JPEG), "other.jpg": (200, {}, JPEG)}
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, given)) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        monkeypatch.setattr(reference_pictures, "HOST", f"http://127.0.0.1:{server.server_port}/val2017")
        yield given
        server.shutdown()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((200, {}, b"<html>Welcome to the hotel</html>"), "no JPEG"),
        ((200, {}, encoded(form="PNG")), "no JPEG"),
        ((200, {}, JPEG[:-1000]), "damaged"),
        ((200, {"Content-Length": "100000"}, JPEG[:600]), "damaged"),
        ((200, {}, encoded((641, 100))), "641x100"),
        ((200, {}, encoded((16, 16))), "16x16"),
        ((200, {}, encoded((2000, 2000))), "pixels"),
        ((200, {}, JPEG + bytes(reference_pictures.MOST_BYTES)), "longer than 2 MiB"),
        ((404, {}, b""), "answers 404"),
        ((302, {"Location": "file:///etc/hostname"}, b""), "answers 302"),
        ((302, {"Location": "/val2017/other.jpg"}, b""), "answers 302"),
        ((None, {}, b"\x00\x01 no HTTP\r\n\r\n"), "cannot be fetched"),
    ],
    ids=["html", "png", "cut", "broken off", "wide", "icon", "huge", "long", "404", "file", "elsewhere", "no HTTP"],
)
def test_what_is_no_picture_of_coco_is_refused_and_not_kept(answers, answer, said):
    answers[NAME] = answer
    with pytest.raises(SourceError) as caught:
        reference_picture(NAME)
    assert said in caught.value.what
    assert caught.value.advice.endswith(f"by hand: {cache_of('pictures') / NAME}")
    assert not list(cache_of("pictures").glob("*"))
    answers[NAME] = (200, {}, JPEG)
    assert reference_picture(NAME).shape == (120, 160, 3)


def test_a_server_that_takes_too_long_over_it_is_left(answers, monkeypatch):
    monkeypatch.setattr(reference_pictures, "MOST_SECONDS", 0.0)
    with pytest.raises(SourceError, match="not all has come"):
        reference_picture(NAME)


def test_a_damaged_picture_in_the_cache_is_fetched_anew_and_a_sound_one_is_not(answers, monkeypatch):
    file = cache_of("pictures") / NAME
    file.parent.mkdir(parents=True)
    file.write_bytes(JPEG[:600])
    reference_picture(NAME)
    assert file.read_bytes() == JPEG
    monkeypatch.setattr(reference_pictures, "HOST", f"http://127.0.0.1:{free_port()}")
    assert reference_picture(NAME).shape == (120, 160, 3)
