"""The page's files over HTTP."""

import gzip

import pytest

from streaming.page.files import STATIC
from tests.streaming.page.serving import ask, serving


def test_the_page_and_its_files_are_served_and_asked_about_each_time():
    with serving() as server:
        for path, file in [("/", "index.html"), *((f"/static/{file.name}", file.name) for file in STATIC.iterdir())]:
            status, headers, body = ask(server, path)
            assert (status, body) == (200, (STATIC / file).read_bytes())
            assert headers["Cache-Control"] == "no-cache"
            status, again, body = ask(server, path, headers={"If-None-Match": headers["ETag"]})
            assert (status, body, again["ETag"]) == (304, b"", headers["ETag"])
            assert ask(server, path, headers={"If-None-Match": '"other"'})[0] == 200
            assert ask(server, path, "HEAD")[2] == b""


def test_files_travel_packed_where_a_browser_takes_that():
    with serving() as server:
        _, plain, body = ask(server, "/static/app.js")
        _, headers, packed = ask(server, "/static/app.js", headers={"Accept-Encoding": "gzip, deflate, br"})
        assert gzip.decompress(packed) == body
        assert (plain["Content-Encoding"], headers["Content-Encoding"]) == (None, "gzip")
        assert headers["Vary"] == plain["Vary"] == "Accept-Encoding"
        assert headers["ETag"] != plain["ETag"]
        again = {"Accept-Encoding": "gzip", "If-None-Match": headers["ETag"]}
        assert ask(server, "/static/app.js", headers=again)[0] == 304


@pytest.mark.parametrize(
    "path",
    [
        *("/static/", "/static", "/static/none.js", "/static/../server.py", "/static/..%2fserver.py"),
        *("/static/%2e%2e/server.py", "/static/..", "/static/index.html/", "/static/./index.html%00"),
        *("/metrics/", "/favicon.ico", "/healthz/..", "/%2e%2e/etc/passwd", "//etc/passwd"),
    ],
)
def test_everything_else_is_not_found(path):
    with serving() as server:
        assert ask(server, path)[0] == 404
