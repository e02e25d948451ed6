"""How times, ages and bytes are written."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from cleaner.outlets.units import (
    human_age,
    human_bytes,
    human_duration,
    human_percent,
    one_line,
    rfc3339,
    short_id,
    short_reference,
)


@pytest.mark.parametrize(
    ("size_bytes", "written"),
    [
        (None, "-"),
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536 * 1024**2, "1.5 GiB"),
        (1024**2 - 1, "1.0 MiB"),
        (5000 * 1024**5, "5000.0 PiB"),
    ],
)
def test_bytes_have_binary_units(size_bytes: int | None, written: str) -> None:
    """Bytes are written in the largest binary unit of which there is one."""
    assert human_bytes(size_bytes) == written


@pytest.mark.parametrize(
    ("age", "written"),
    [
        (None, "-"),
        (timedelta(seconds=-5), "0s"),
        (timedelta(seconds=119), "119s"),
        (timedelta(seconds=120), "2m"),
        (timedelta(minutes=119), "119m"),
        (timedelta(hours=2), "2h"),
        (timedelta(hours=47, minutes=59), "47h"),
        (timedelta(hours=48), "2d"),
        (timedelta(days=45, hours=23), "45d"),
    ],
)
def test_ages_have_whole_units(age: timedelta | None, written: str) -> None:
    """An age is written in the largest unit of which there are two."""
    assert human_age(age) == written


@pytest.mark.parametrize(
    ("seconds", "written"), [(0.44, "0.4 s"), (9.9, "9.9 s"), (10, "10 s"), (119, "119 s"), (120, "2m"), (7200, "2h")]
)
def test_durations_are_short(seconds: float, written: str) -> None:
    """A duration has a digit below ten seconds, and minutes from two on."""
    assert human_duration(seconds) == written


def test_shares_may_be_unknown() -> None:
    """A share has one digit, and is a dash where there is no limit."""
    assert (human_percent(71.25), human_percent(None)) == ("71.2 %", "-")


def test_times_are_utc_with_z() -> None:
    """A time from any zone is written in UTC with Z, and an unknown one is None."""
    there = datetime(2026, 6, 15, 2, 0, tzinfo=timezone(timedelta(hours=2)))
    assert rfc3339(there) == "2026-06-15T00:00:00Z"
    assert rfc3339(datetime(2026, 6, 15, 0, 0, 0, 5, tzinfo=UTC)) == "2026-06-15T00:00:00.000005Z"
    assert rfc3339(None) is None


def test_foreign_text_is_one_harmless_line() -> None:
    """Line ends become spaces, and what a terminal would obey is spelled out."""
    assert one_line("a\nb\r\n  c\x1b[2J") == "a b c\\x1b[2J"


@pytest.mark.parametrize(
    ("reference", "written"),
    [
        ("docker.io/library/nginx:1.27", "docker.io/library/nginx:1.27"),
        ("localhost:5000/a@sha256:" + "ab" * 32, "localhost:5000/a@sha256:abababababab"),
    ],
)
def test_only_digests_are_shortened(reference: str, written: str) -> None:
    """A tag stays whole, a digest keeps twelve digits."""
    assert short_reference(reference) == written


def test_ids_have_twelve_digits() -> None:
    """Ids of containerd and of CRI-O are shortened alike."""
    assert short_id("sha256:" + "ab" * 32) == short_id("ab" * 32) == "ab" * 6
