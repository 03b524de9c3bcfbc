"""When a time of day comes round, also on the days on which clocks are changed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from streaming.service.daily import last_time, next_time


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def utc(month: int, day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, month, day, hour, minute, tzinfo=UTC)


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize(
    ("time_of_day", "now", "last", "following"),
    [
        ("00:00", utc(1, 5, 12), utc(1, 4, 23), utc(1, 5, 23)),
        ("00:00", utc(1, 4, 23), utc(1, 4, 23), utc(1, 5, 23)),  # on the dot
        ("00:00", utc(7, 5, 12), utc(7, 4, 22), utc(7, 5, 22)),
        ("23:59", utc(7, 5, 21, 58), utc(7, 4, 21, 59), utc(7, 5, 21, 59)),
        # 29 March: clocks go from 02:00 to 03:00, so that there is no 02:30: it comes at what is called 03:30.
        ("02:30", utc(3, 29, 1, 15), utc(3, 28, 1, 30), utc(3, 29, 1, 30)),
        ("02:30", utc(3, 29, 12), utc(3, 29, 1, 30), utc(3, 30, 0, 30)),
        ("00:00", utc(3, 29, 12), utc(3, 28, 23), utc(3, 29, 22)),
        # 25 October: clocks go from 03:00 to 02:00, so that 02:30 comes twice: it counts once.
        ("02:30", utc(10, 25, 0, 15), utc(10, 24, 0, 30), utc(10, 25, 0, 30)),
        ("02:30", utc(10, 25, 1, 45), utc(10, 25, 0, 30), utc(10, 26, 1, 30)),
    ],
)
def test_local_times_come_once_a_day(time_of_day: str, now: datetime, last: datetime, following: datetime) -> None:
    assert (last_time(time_of_day, now), next_time(time_of_day, now)) == (last, following)


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize("time_of_day", ["00:00", "02:30", "03:00", "23:30"])
def test_a_year_has_as_many_of_them_as_days(time_of_day: str) -> None:
    moment, count = utc(1, 1, 12), 0
    while moment < datetime(2027, 1, 1, 12, tzinfo=UTC):
        following = next_time(time_of_day, moment)
        assert last_time(time_of_day, following) == following
        assert timedelta(hours=22) < following - moment < timedelta(hours=26) or count == 0
        moment, count = following, count + 1
    assert count == 366
