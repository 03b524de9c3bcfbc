"""When a time of day comes round, by the local clock of this machine."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


def last_time(time_of_day: str, now: datetime) -> datetime:
    """The last moment, not after `now`, at which local clocks showed a time of day; see `next_time`."""
    return max(moment for moment in _around(time_of_day, now) if moment <= now)


def next_time(time_of_day: str, now: datetime) -> datetime:
    """The next moment, after `now`, at which local clocks will show a time of day.

    Once a day also where clocks are changed: of a time that comes twice the first, and in place of one that is left out
    the time an hour later.

    Args:
        time_of_day: ``HH:MM``.
        now: with a time zone.

    Returns:
        In UTC.
    """
    return min(moment for moment in _around(time_of_day, now) if moment > now)


def _around(time_of_day: str, now: datetime) -> list[datetime]:
    hour, minute = map(int, time_of_day.split(":"))
    today = now.astimezone().replace(hour=hour, minute=minute, second=0, microsecond=0, tzinfo=None, fold=0)
    return [_moment(today + timedelta(days=days)) for days in (-2, -1, 0, 1, 2)]


def _moment(local: datetime) -> datetime:
    """When local clocks, which no time zone is given for, show a time."""
    first = local.astimezone(UTC)
    if first.astimezone().replace(tzinfo=None) == local:
        return first
    # It is left out, and Python (PEP 495) has one answer before the change and one after it.
    return max(first, local.replace(fold=1).astimezone(UTC))
