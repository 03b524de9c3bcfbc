"""What is told of a download, line by line."""

import logging

from trackers.hub.progress import Progress, ProgressLines


def lines(*reports):
    """The lines of reports, each at its second."""
    seconds, said = [at for at, _ in reports], []
    show = ProgressLines(said.append, lambda: seconds.pop(0))
    for _, progress in reports:
        show(progress)
    return said


def at(megabytes, hindrance=""):
    return Progress("some/one", "model.safetensors", megabytes * 1_000_000, 1000 * 1_000_000, hindrance)


def test_a_line_a_minute_with_bytes_rate_and_time_left():
    reports = [(0.0, at(100)), (1.0, at(110)), (59.0, at(390)), (60.0, at(400)), (61.0, at(401)), (120.0, at(520))]
    assert lines(*reports) == [
        "fetching some/one: 100 of 1000 MB are here",
        "fetching some/one: 400 of 1000 MB, 5.0 MB/s, 120 s left",
        "fetching some/one: 520 of 1000 MB, 2.0 MB/s, 240 s left",
    ]


def test_what_holds_it_up_is_said_once():
    reports = [(0.0, at(0)), (1.0, at(5, "it broke")), (2.0, at(5, "it broke")), (3.0, at(6)), (4.0, at(6, "it broke"))]
    assert lines(*reports)[1:] == [f"fetching some/one: {here} of 1000 MB, it broke" for here in (5, 6)]


def test_a_minute_in_which_nothing_came():
    assert lines((0.0, at(5)), (60.0, at(5)))[1:] == ["fetching some/one: 5 of 1000 MB, 0.0 MB/s, nothing comes"]


def test_without_anybody_to_tell_the_log_is_told(caplog):
    with caplog.at_level(logging.INFO):
        ProgressLines()(at(5))
    assert caplog.messages == ["fetching some/one: 5 of 1000 MB are here"]
