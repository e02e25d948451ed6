"""Durations as people write them in the configuration and on the command line: `90s`, `30d`.

A duration is one whole number and one unit: no fractions, no sums, no number without a unit.
"""

import re
from datetime import timedelta

LONGEST = timedelta(days=36500)
"""A century. Ages are subtracted from the time now, which must not leave the calendar."""

_DURATION = re.compile(r"([0-9]{1,12})([smhd])")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DAY = timedelta(days=1)


def parse_duration(text: str) -> timedelta:
    """`0s`, `90s`, `15m`, `4h` or `30d`; ValueError says what is wrong with it."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError("is no duration; write one whole number and one of s, m, h or d, such as 90s or 30d")
    seconds = int(match[1]) * _UNITS[match[2]]
    if seconds > LONGEST.total_seconds():
        raise ValueError(f"is longer than a century; write {duration_text(LONGEST)} or less")
    return timedelta(seconds=seconds)


def duration_text(duration: timedelta) -> str:
    """The shortest text that `parse_duration` reads back; a single day is `24h`, as people say it."""
    seconds = duration.total_seconds()
    if not seconds:
        return "0s"
    for unit in ("d", "h", "m"):
        if seconds % _UNITS[unit] == 0 and duration != _DAY * (unit == "d"):
            return f"{seconds / _UNITS[unit]:.0f}{unit}"
    return f"{seconds:.12g}s"
