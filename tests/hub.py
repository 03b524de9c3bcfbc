"""A stand-in for the Hugging Face hub on loopback, whose repositories and connections misbehave as asked."""

from __future__ import annotations

import hashlib
import json
import os
import re
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import huggingface_hub
import pytest

TOKEN = "hf_tokenOfTheTests"
# Stored by Git LFS on the real hub, and served from another host.
LARGE = (".safetensors", ".pt", ".bin", ".npz")
TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
PROXIES = tuple(case(f"{scheme}_proxy") for scheme in ("http", "https", "all", "no") for case in (str.lower, str.upper))
# What the hub answers for a file of a gated repository: status, error code, message.
RESTRICTED = "Access to model {id} is restricted"
GATES = {
    "closed": (403, "GatedRepo", f"{RESTRICTED} and you are not in the authorized list. Visit the page to ask for it."),
    "pending": (403, "GatedRepo", "Your request to access model {id} is awaiting a review from the repo authors."),
    "refused": (403, "GatedRepo", "Your request to access model {id} has been rejected by the repo's authors."),
    "fine-grained": (
        403,
        None,
        "Please enable access to public gated repositories in your fine-grained token settings to view this one.",
    ),
}
PAGE = b"<html><body>Welcome to the hotel. Please enter your room.</body></html>"


@dataclass
class Hosted:
    """A repository. Change it while it is served.

    Attributes:
        id: such as `some/one`.
        commits: the files of each commit.
        refs: the commits of branches and tags.
        gate: one of `GATES` for a token's account without access, `open` for one that has it, None if not gated.
        private: whether it is there only for those with a token.
        large: how the content of a large file is sent: `whole`; `abort`, cut off after a third each time; `abort once`;
            `stall`, which sends a third and waits; `corrupt`, zeros of the right length.
        ranges: whether parts of a large file can be asked for.
        tags: as its page shows them.
    """

    id: str
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    gate: str | None = None
    private: bool = False
    large: str = "whole"
    ranges: bool = True
    tags: tuple[str, ...] = ()

    @property
    def commit(self) -> str:
        """Of `main`."""
        return self.refs["main"]

    def push(self, files: Mapping[str, bytes]) -> str:
        """Make a commit of exactly these files, and move `main` to it."""
        commit = hashlib.sha1(f"{self.id} {len(self.commits)}".encode()).hexdigest()
        self.commits[commit] = dict(files)
        self.refs["main"] = commit
        return commit


@dataclass(frozen=True)
class Asked:
    """A request: its method, its path without a query, whether a token came with it, and the range asked for."""

    method: str
    path: str
    token: bool
    range: str | None


class Hub:
    """The server.

    Attributes:
        url: for `HF_ENDPOINT`.
        mood: `up`; `down`, 503 to all; `portal`, a page of HTML to all; `silent`, no answer to anything; `trickle`, a
            byte now and then;
            `proxy password`, what a proxy says that wants one.
        tokens: those that are valid.
        asked: the requests so far.
        stalled: set when a file that stalls has done so.
        proxied: requests that came as to a proxy.
        renamed: what repositories are called today, by what they were called.
    """

    def __init__(self) -> None:
        self.mood = "up"
        self.tokens = {TOKEN}
        self.asked: list[Asked] = []
        self.proxied = 0
        self.renamed: dict[str, str] = {}
        self.stalled = threading.Event()
        self.released = threading.Event()
        self.repositories: dict[str, Hosted] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def host(self, name: str, files: Path | Mapping[str, bytes], **behaviour: Any) -> Hosted:
        """Serve a repository with one commit of these files, or of the files of this folder."""
        if isinstance(files, Path):
            files = {file.name: file.read_bytes() for file in files.iterdir() if file.is_file()}
        hosted = self.repositories[name] = Hosted(name, **behaviour)
        hosted.push(files)
        return hosted

    def encrypt(self, certificate: Path, key: Path) -> None:
        """Speak TLS from now on."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = self.url.replace("http:", "https:")

    def count(self, ending: str, method: str = "GET") -> int:
        """Requests of this kind whose path ends so."""
        return sum(asked.method == method and asked.path.endswith(ending) for asked in list(self.asked))

    def downloads(self) -> list[str | None]:
        """The range of each request for weights, which lie on a host of their own; None for the whole file."""
        return [asked.range for asked in self.asked if asked.path.startswith("/cdn/")]

    def environment(self, home: Path) -> dict[str, str]:
        """Of a process that uses this hub and has `home` for its home, without a token. Hand it to no other process."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING", "XDG_"))}
        for variable in (*PROXIES, "SUDO_USER", "USER"):
            kept.pop(variable, None)
        return {**kept, "HOME": str(home), "HF_ENDPOINT": self.url}

    def use(self, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
        """See `use`."""
        use(self.url, monkeypatch, home)

    def close(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


def use(url: str, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """Let this process use the hub at this URL, with the cache of an empty `home` and without a token."""
    from huggingface_hub import constants

    huggingface_hub.close_session()  # which knows the proxy of before
    monkeypatch.setattr(constants, "ENDPOINT", url)
    template = f"{url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HOME", str(home))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(home / "token"))
    monkeypatch.setattr(constants, "HF_STORED_TOKENS_PATH", str(home / "stored_tokens"))
    monkeypatch.setenv("HOME", str(home))
    for variable in (*TOKENS, *PROXIES, "HF_HUB_OFFLINE", "SUDO_USER", "USER", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)


@contextmanager
def serving() -> Iterator[Hub]:
    """A hub without repositories."""
    hub = Hub()
    try:
        yield hub
    finally:
        hub.close()
        huggingface_hub.close_session()


def git_sha1(content: bytes) -> str:
    """The name of a file's content in Git."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _pointer(content: bytes) -> bytes:
    """What Git holds in place of a large file."""
    sha256 = hashlib.sha256(content).hexdigest()
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {len(content)}\n".encode()


def _entry(name: str, content: bytes) -> dict[str, Any]:
    """A file as the list of a repository tells of it."""
    if not name.endswith(LARGE):
        return {"rfilename": name, "size": len(content), "blobId": git_sha1(content)}
    large = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": len(_pointer(content))}
    return {"rfilename": name, "size": len(content), "blobId": git_sha1(_pointer(content)), "lfs": large}


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._go()

    def do_GET(self) -> None:
        self._go()

    def _go(self) -> None:
        with suppress(ConnectionError):
            self._route()

    def _route(self) -> None:
        hub = self.hub
        hub.proxied += self.path.startswith("http://")
        url = urlsplit(self.path)
        path = unquote(url.path)
        authorization = self.headers.get("Authorization")
        hub.asked.append(Asked(self.command, path, authorization is not None, self.headers.get("Range")))
        if hub.mood == "silent":
            hub.released.wait()
            self.close_connection = True
        elif hub.mood == "trickle":
            self._trickle()
        elif hub.mood == "down":
            self._fail(503, None, "Service Unavailable")
        elif hub.mood == "proxy password":
            self._send(407, b"", {"Proxy-Authenticate": "Basic"})
        elif hub.mood == "portal":
            self._send(200, PAGE, {"Content-Type": "text/html"})
        elif path.startswith("/cdn/"):
            assert authorization is None, "the token left the hub"
            self._large(path.removeprefix("/cdn/"))
        elif authorization is not None and authorization.removeprefix("Bearer ") not in hub.tokens:
            self._fail(401, None, "Invalid credentials in Authorization header")
        else:
            self._answer(path, parse_qs(url.query), known=authorization is not None)

    def _trickle(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000000")
        self.end_headers()
        while not self.hub.released.wait(0.05):
            self.wfile.write(b" ")
            self.wfile.flush()

    def _answer(self, path: str, query: dict[str, list[str]], *, known: bool) -> None:
        found = re.fullmatch(
            r"/(?P<api>api/models/)?(?P<id>[^/]+/[^/]+)(?:/(?P<verb>revision|tree|resolve)/(?P<rest>.+))?", path
        )
        if found is not None and (today := self.hub.renamed.get(found["id"])) is not None:
            self._send(307, b"", {"Location": self.path.replace(found["id"], today, 1)})
            return
        hosted = self.hub.repositories.get(found["id"]) if found else None
        if found is None or hosted is None or (hosted.private and not known):
            self._fail(404 if known else 401, "RepoNotFound", "Repository not found")
            return
        rest = (found["rest"] or "main").rstrip("/")
        revision, _, file = rest.partition("/") if found["verb"] == "resolve" else (rest, "", "")
        commit = hosted.refs.get(revision, revision)
        files = hosted.commits.get(commit)
        if files is None:
            self._fail(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        elif found["verb"] == "resolve":
            self._resolve(hosted, commit, file, known=known)
        elif found["verb"] == "tree":
            self._json([_tree_entry(name, content) for name, content in files.items()])
        else:
            entries = [_entry(name, content) for name, content in files.items()]
            if "blobs" not in query:
                entries = [{"rfilename": entry["rfilename"]} for entry in entries]
            told = {"id": hosted.id, "sha": commit, "gated": "manual" if hosted.gate else False}
            self._json(told | {"tags": hosted.tags, "siblings": entries})

    def _resolve(self, hosted: Hosted, commit: str, name: str, *, known: bool) -> None:
        content = hosted.commits[commit].get(name)
        if hosted.gate is not None and not known:
            what = f"{RESTRICTED}. You must have access to it and be authenticated to access it. Please log in."
            self._fail(401, "GatedRepo", what.format(id=hosted.id))
        elif hosted.gate in GATES:
            status, code, what = GATES[hosted.gate]
            self._fail(status, code, what.format(id=hosted.id))
        elif content is None:
            self._fail(404, "EntryNotFound", "Entry not found")
        elif name.endswith(LARGE):
            sha256 = hashlib.sha256(content).hexdigest()
            headers = {
                "ETag": f'"{git_sha1(_pointer(content))}"',
                "X-Repo-Commit": commit,
                "X-Linked-ETag": f'"{sha256}"',
                "X-Linked-Size": str(len(content)),
                # Another origin, as the real one's is.
                "Location": f"http://localhost:{self.hub.port}/cdn/{hosted.id}/{commit}/{name}",
            }
            self._send(302, b"", headers)
        else:
            self._send(200, content, {"ETag": f'"{git_sha1(content)}"', "X-Repo-Commit": commit})

    def _large(self, where: str) -> None:
        owner, name, commit, file = where.split("/")
        hosted = self.hub.repositories[f"{owner}/{name}"]
        content = hosted.commits[commit][file]
        first, last = 0, len(content) - 1
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")) if hosted.ranges else None
        if asked:
            first, last = int(asked[1]), min(last, int(asked[2] or last))
        if first > last:
            self._send(416, b"", {"Content-Range": f"bytes */{len(content)}"})
            return
        body = (bytes(len(content)) if hosted.large == "corrupt" else content)[first : last + 1]
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        if hosted.ranges:
            self.send_header("Accept-Ranges", "bytes")
        if asked:
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
        self.end_headers()
        if self.command == "HEAD":
            return
        if hosted.large not in {"abort", "abort once", "stall"}:
            self.wfile.write(body)
            return
        self.wfile.write(body[: max(1, len(body) // 3)])
        self.wfile.flush()
        self.close_connection = True
        if hosted.large == "abort once":
            hosted.large = "whole"
        if hosted.large == "stall":
            self.hub.stalled.set()
            self.hub.released.wait()

    def _json(self, answer: object) -> None:
        self._send(200, json.dumps(answer).encode(), {"Content-Type": "application/json"})

    def _fail(self, status: int, code: str | None, what: str) -> None:
        headers = {"X-Error-Message": what, "Content-Type": "application/json"}
        self._send(status, json.dumps({"error": what}).encode(), headers | ({"X-Error-Code": code} if code else {}))

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _tree_entry(name: str, content: bytes) -> dict[str, Any]:
    told = _entry(name, content)
    large = told.get("lfs")
    found = {"type": "file", "path": name, "size": told["size"], "oid": told["blobId"]}
    if large is None:
        return found
    return {**found, "lfs": {"oid": large["sha256"], "size": large["size"], "pointerSize": large["pointerSize"]}}
