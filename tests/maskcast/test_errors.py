"""Errors: their fields, the line that is made of them, and that nothing else gets into it."""

import copy
import errno
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskcast.errors import (
    MaskcastError,
    ModelError,
    SettingsError,
    SinkError,
    SourceError,
    TooLargeError,
    TrackStateError,
    UsageError,
    reason_of,
    unforeseen,
)
from maskcast.printable import check_printable

SECRET = "Zq7-secret"
URL = f"rtsp://me:{SECRET}@camera:554/{SECRET}?token={SECRET}"
# Text of every kind, among it what ends a line, drives a terminal, is no UTF-8, and what holds a password.
PIECES = st.one_of(st.text(), st.sampled_from([URL, "\n", "\r\n", "\x1b[2J", "\u2028", "\u202e", "\udce9", " ", ": "]))
TEXTS = st.lists(PIECES, max_size=6).map("".join)


@pytest.mark.parametrize(
    ("where", "advice", "line"),
    [
        (None, None, "no such file"),
        ("door", None, "door: no such file"),
        (None, "check the path", "no such file; check the path"),
        ("door", "check the path", "door: no such file; check the path"),
    ],
)
def test_the_line_is_made_of_the_fields(where, advice, line):
    error = SourceError("no such file", where=where, advice=advice)
    assert str(error) == line
    assert error.reason == "; ".join(part for part in ("no such file", advice) if part)
    assert (error.what, error.where, error.advice) == ("no such file", where, advice)


@given(what=TEXTS, where=st.none() | TEXTS, advice=st.none() | TEXTS, outer=TEXTS)
def test_whatever_goes_in_it_is_one_printable_line_without_credentials(what, where, advice, outer):
    error = MaskcastError(what, where=where, advice=advice)
    for one in (error, error.at(outer), error.advising(outer)):
        for text in (str(one), repr(one), one.reason, one.what, one.where or "", one.advice or ""):
            assert SECRET not in text
            check_printable(text)


@pytest.mark.parametrize("place", [f"rtsp://{host}" for host in ("camera", "10.0.0.1:554", "[::1]", "[fe80::1]:554")])
def test_the_place_of_a_camera_stays(place):
    assert SourceError("x", where=place).where == place
    assert SourceError("x", where=f"{place} (door)").where == f"{place} (door)"
    assert SourceError(f"see {place}.").what == f"see {place}."


def test_a_place_is_put_in_front_and_not_twice():
    error = SinkError("cannot write", where="out.mp4", advice="make room")
    assert str(error.at("door")) == "door: out.mp4: cannot write; make room"
    assert str(error.at("out.mp4")) == str(error)
    assert str(SinkError("cannot write").at("door")) == "door: cannot write"
    assert str(error.advising("look at its disk")) == "out.mp4: cannot write; make room; look at its disk"
    assert str(error) == "out.mp4: cannot write; make room", "the error itself stays as it is"


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (MaskcastError, 1),
        (UsageError, 2),
        (SourceError, 3),
        (SinkError, 4),
        (ModelError, 5),
        (TrackStateError, 5),
        (TooLargeError, 5),
    ],
)
def test_a_kind_keeps_its_exit_code_wherever_it_goes(kind, code):
    error = kind("broken", where="door", advice="mend it")
    for same in (error, error.at("door"), error.advising("now"), copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert type(same) is kind
        assert same.exit_code == code
        assert (same.what, same.where) == ("broken", "door")


def test_settings_have_a_line_for_each_problem():
    problems = [UsageError("must be a number", where="a.toml: model.weight"), UsageError("unknown key x")]
    error = SettingsError(problems)
    assert str(error).splitlines() == ["a.toml: model.weight: must be a number", "unknown key x"]
    assert error.problems == tuple(problems)
    assert error.where == "a.toml: model.weight"


def test_what_other_errors_say_is_one_line():
    assert reason_of(OSError(errno.ENOSPC, "No space left on device", "/x")) == "No space left on device"
    assert reason_of(RuntimeError("\nfirst\nsecond")) == "first"
    assert reason_of(KeyError()) == "KeyError"
    assert len(reason_of(RuntimeError("a" * 5000))) == 300
    assert unforeseen(RuntimeError("first\nsecond")) == "RuntimeError: first"
    assert unforeseen(AssertionError()) == "AssertionError"
    for said in (reason_of, unforeseen):
        assert SECRET not in said(RuntimeError(f"{'a' * 280} {URL}"))
        assert SECRET not in said(RuntimeError(f"rtsp://me:\n{SECRET}@camera"))
