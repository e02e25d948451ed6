"""The lines of the log, from events to JSON."""

import io
import json
import re
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from cleaner.core.errors import RuntimeRejectedError
from cleaner.core.events import (
    Checked,
    ClockJumped,
    DiskUnread,
    Event,
    EvictionEnded,
    ObservationFailed,
    RuntimeDown,
    SweepEnded,
    SweepReport,
    SweepStarted,
)
from cleaner.core.model import EvictionOutcome, RuntimeVersion, StopReason, Trigger
from cleaner.core.reclaim import Size
from cleaner.outlets.logger import make_logger
from cleaner.outlets.logs import Logs
from unit.outlets.happenings import (
    AWAY,
    BURST_REPORT,
    CONTAINERD,
    COUNTED,
    DRY_REPORT,
    EVERYTHING,
    EVICTED,
    FAILED,
    FULL,
    NIGHT,
    PLANNED,
    SPARED,
    UNREAD,
    going,
    report,
)

DOCUMENT = Path(__file__).parents[3] / "docs" / "logs.md"
GOOD_REPORT = report(evictions=(EVICTED, SPARED))


def _lines(*events: Event, level: str = "info") -> list[dict[str, object]]:
    stream = io.StringIO()
    logs = Logs(make_logger(level, "json", stream, lambda _level: None))
    for event in events:
        logs.record(event)
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def _names(*events: Event) -> list[object]:
    return [line["event"] for line in _lines(*events)]


def _documented_keys(event: str) -> list[str]:
    section = DOCUMENT.read_text().split(f"## `{event}`\n", 1)[1].split("\n## ", 1)[0]
    return re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)


def test_each_line_is_an_object_with_time_level_and_event() -> None:
    """A line begins with an RFC 3339 time in UTC, the level and the event's name."""
    for line in _lines(*EVERYTHING, level="debug"):
        assert list(line)[:3] == ["timestamp", "level", "event"]
        stamp = str(line["timestamp"])
        assert stamp.endswith("Z")
        assert datetime.fromisoformat(stamp).tzinfo is not None


def test_the_documented_keys_of_an_eviction_are_the_emitted_ones() -> None:
    """docs/logs.md lists the keys of an eviction, in order, whatever its outcome."""
    documented = _documented_keys("eviction")
    for eviction in (EVICTED, FAILED, SPARED, PLANNED):
        (line,) = _lines(EvictionEnded(Trigger.NIGHTLY, eviction))
        assert list(line) == documented


@pytest.mark.parametrize("event", ["sweep_started", "sweep_ended"])
def test_the_documented_keys_of_a_sweep_are_the_emitted_ones(event: str) -> None:
    """docs/logs.md lists the keys of a sweep's begin and end, in order."""
    lines = [line for line in _lines(*EVERYTHING) if line["event"] == event]
    assert {tuple(line) for line in lines} == {tuple(_documented_keys(event))}


def test_the_document_lists_every_event() -> None:
    """docs/logs.md has a row for each event that is ever written, with its level, and for no other."""
    rows = re.findall(r"^\| `(\w+)` \| (\w+)", DOCUMENT.read_text().split("\n## ", 1)[0], re.MULTILINE)
    written = {line["event"] for line in _lines(*EVERYTHING, CONTAINERD, Checked(FULL, None), level="debug")}
    assert {name for name, _ in rows} == written | {"library", "thread_broke"}


def test_an_eviction_says_who_took_the_image_and_why() -> None:
    """One line has the image, all its names, the reason, the rule, the trigger and what it freed."""
    (line,) = _lines(EvictionEnded(Trigger.NIGHTLY, EVICTED))
    expected = {"event": "eviction", "outcome": "evicted", "reason": "expired", "rule": "company", "trigger": "nightly"}
    assert line.items() >= expected.items()
    assert line["image_id"] == EVICTED.verdict.image.id
    assert line["references"] == list(EVICTED.verdict.image.references)
    assert (line["age_seconds"], line["reclaimed_bytes"]) == (45 * 86400, EVICTED.reclaimed_bytes)
    assert line["created_at"] == "2026-05-01T00:00:00Z"


@pytest.mark.parametrize(
    ("outcome", "level"),
    [
        (EvictionOutcome.EVICTED, "info"),
        (EvictionOutcome.FAILED, "warning"),
        (EvictionOutcome.SPARED, "info"),
        (EvictionOutcome.PLANNED, "info"),
    ],
)
def test_a_failed_eviction_is_a_warning(outcome: EvictionOutcome, level: str) -> None:
    """Only an eviction that failed asks for attention."""
    (line,) = _lines(EvictionEnded(Trigger.NIGHTLY, replace(EVICTED, outcome=outcome)))
    assert line["level"] == level


def test_an_error_of_several_lines_is_one() -> None:
    """A runtime's text of several lines is logged as one."""
    (line,) = _lines(EvictionEnded(Trigger.NIGHTLY, FAILED))
    assert line["error"] == "still there after RemoveImage"


@pytest.mark.parametrize(
    ("ended", "level"),
    [
        (GOOD_REPORT, "info"),
        (report(evictions=(FAILED,)), "warning"),
        (replace(GOOD_REPORT, stopped_because=StopReason.FAILURES), "warning"),
        (replace(GOOD_REPORT, low_mark_met=False), "info"),
        (replace(BURST_REPORT, low_mark_met=False), "warning"),
        (replace(BURST_REPORT, low_mark_met=False, dry_run=True), "info"),
        (BURST_REPORT, "info"),
    ],
)
def test_a_sweep_that_is_not_enough_is_a_warning(ended: SweepReport, level: str) -> None:
    """A sweep with failures, or under pressure and above the low mark, asks for attention."""
    assert _lines(SweepEnded(ended, ended.started_at))[-1]["level"] == level


@pytest.mark.parametrize(("reachable", "level"), [(None, "info"), (True, "info"), (False, "warning")])
def test_a_low_mark_out_of_reach_is_said_beforehand(*, reachable: bool | None, level: str) -> None:
    """A sweep whose candidates all together are not enough is a warning at its start."""
    plan = replace(NIGHT, low_mark_reachable=reachable, reclaimable=Size(5, 1), not_reached=(going(9),))
    (line,) = _lines(SweepStarted(plan, FULL))
    assert (line["level"], line["low_mark_reachable"]) == (level, reachable)
    assert (line["to_evict"], line["not_needed"], line["reclaimable_bytes"]) == (4, 1, 5)


def test_a_round_in_which_nothing_happened_is_not_logged() -> None:
    """Rounds and counts of images leave no line at the default level."""
    assert _names(Checked(FULL, None), COUNTED) == []


def test_a_runtime_is_logged_when_it_changes() -> None:
    """A runtime that stays away is one line, and so is one that stays."""
    assert _names(RuntimeDown(AWAY), RuntimeDown(AWAY), CONTAINERD, CONTAINERD, RuntimeDown(AWAY)) == [
        "runtime_down",
        "runtime_up",
        "runtime_down",
    ]


def test_another_kind_of_absence_is_another_line() -> None:
    """A runtime that is away for another reason, or comes back upgraded, is logged again."""
    upgraded = replace(CONTAINERD, version=RuntimeVersion("containerd", "2.2.0"))
    rejected = RuntimeDown(RuntimeRejectedError("no such service"))
    assert len(_names(RuntimeDown(AWAY), rejected, CONTAINERD, upgraded)) == 4


def test_an_unread_disk_is_logged_until_it_is_read_again() -> None:
    """A disk is logged once when it cannot be read and once when it can."""
    unread = (DiskUnread(UNREAD), Checked(None, None))
    assert _names(*unread, *unread, Checked(FULL, None), Checked(FULL, None), *unread) == [
        "disk_unread",
        "disk_read_again",
        "disk_unread",
    ]


def test_images_that_cannot_be_counted_are_logged_once() -> None:
    """Failing to count images is one line until it works again."""
    failed = ObservationFailed(AWAY)
    assert _names(failed, failed, COUNTED, failed) == ["observation_failed", "observation_failed"]


def test_a_clock_that_jumped_is_a_warning() -> None:
    """A jump of the wall clock says how far it went."""
    (line,) = _lines(ClockJumped(-900.0))
    assert (line["level"], line["event"], line["jumped_seconds"]) == ("warning", "clock_jumped", -900.0)


def test_a_dry_run_says_what_would_go_once() -> None:
    """What dry runs would take is a line per image while it stays planned, and one more when it is again."""
    emptied = replace(DRY_REPORT, evictions=())
    same, nothing = SweepEnded(DRY_REPORT, DRY_REPORT.started_at), SweepEnded(emptied, emptied.started_at)
    lines = [line for line in _lines(same, same, nothing, same) if line["event"] == "eviction"]
    assert [line["outcome"] for line in lines] == ["planned", "planned"]


def test_another_triggers_dry_run_says_so_too() -> None:
    """An image that two triggers would take is a line for each."""
    under_pressure = replace(DRY_REPORT, trigger=Trigger.PRESSURE)
    lines = _lines(*(SweepEnded(ended, ended.started_at) for ended in (DRY_REPORT, under_pressure)))
    assert [line["trigger"] for line in lines if line["event"] == "eviction"] == ["nightly", "pressure"]


def test_a_sweep_does_not_repeat_its_evictions() -> None:
    """The report of a sweep that was no dry run writes no line per eviction: those were written as they happened."""
    assert _names(SweepEnded(GOOD_REPORT, GOOD_REPORT.started_at)) == ["sweep_ended"]


def test_a_broken_round_has_its_traceback_in_one_line() -> None:
    """What nobody foresaw is logged as an error with its traceback."""
    (line,) = [line for line in _lines(*EVERYTHING) if line["event"] == "loop_broke"]
    assert line["level"] == "error"
    assert "ValueError: nobody foresaw this" in str(line["exception"])
