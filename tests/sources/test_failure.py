"""What FFmpeg's errors mean to a person."""

from errno import EIO, ENOENT

import av
import pytest

from maskcast.errors import SourceError
from sources.failure import AccessDeniedError, explain


@pytest.mark.parametrize(
    ("error", "what", "advice"),
    [
        (av.HTTPNotFoundError(1, "x"), "the server knows no such path (404)", "look it up in the camera's"),
        (av.ExitError(1, "x"), "no answer in time", "check the address"),
        (TimeoutError(), "no answer in time", "check the address"),
        (ConnectionRefusedError(), "connection refused", "check that the server runs"),
        (FileNotFoundError(ENOENT, "x", "/a"), "no such file", "check the path"),
        (av.error.OSError(EIO, "Input/output error"), "cannot be reached or read", "check the address"),
        (RuntimeError("first\nsecond"), "first", ""),
    ],
)
def test_an_error_says_what_and_what_to_do(error: Exception, what: str, advice: str) -> None:
    found = explain(error)
    assert (type(found), found.what, found.where) == (SourceError, what, None)
    assert (found.advice or "").startswith(advice)


@pytest.mark.parametrize("refused", [av.HTTPUnauthorizedError, av.HTTPForbiddenError])
def test_refused_credentials_are_a_kind_of_their_own(refused: type[Exception]) -> None:
    found = explain(refused(1, "x"))
    assert isinstance(found, AccessDeniedError)
    assert isinstance(found.at("rtsp://camera (door)"), AccessDeniedError), "wherever it was"


def test_an_error_of_ours_stays_as_it_is() -> None:
    error = SourceError("holds nothing", where="a.mp4")
    assert explain(error) is error
