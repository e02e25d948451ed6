"""The lines of the log, from events to JSON."""

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
    EvictionEnded,
    EvictionObserved,
    InventoryFailed,
    RuntimeDown,
    SweepEnded,
    SweepStarted,
)
from cleaner.core.model import EvictionOutcome, RuntimeVersion, StopReason, Trigger
from cleaner.core.reclaim import Size
from cleaner.core.report import SweepReport
from unit.outlets.happenings import (
    BURST_REPORT,
    CONTAINERD,
    COUNTED,
    DRY_REPORT,
    EVERYTHING,
    EVICTED,
    FAILED,
    FULL,
    GIB,
    HELD,
    MIDNIGHT,
    NIGHT,
    OBSERVED,
    PLANNED,
    PRESSURE,
    SPARED,
    UNAVAILABLE,
    UNREAD,
    candidate,
    report,
)
from unit.outlets.written import lines_of, names_of

DOCUMENT = Path(__file__).parents[4] / "docs" / "logs.md"
GOOD_REPORT = report(evictions=(EVICTED, SPARED))


def _documented_keys(event: str) -> list[str]:
    section = DOCUMENT.read_text().split(f"## `{event}`\n", 1)[1].split("\n## ", 1)[0]
    return re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)


def test_each_line_is_an_object_with_time_level_and_event() -> None:
    """A line begins with an RFC 3339 time in UTC, the level and the event's name."""
    for line in lines_of(*EVERYTHING, level="debug"):
        assert list(line)[:3] == ["timestamp", "level", "event"]
        stamp = str(line["timestamp"])
        assert stamp.endswith("Z")
        assert datetime.fromisoformat(stamp).tzinfo is not None


def test_the_documented_keys_of_an_eviction_are_the_emitted_ones() -> None:
    """docs/logs.md lists the keys of an eviction, in order, whatever its outcome."""
    documented = _documented_keys("eviction")
    for eviction in (EVICTED, FAILED, SPARED, PLANNED):
        (line,) = lines_of(EvictionEnded(Trigger.NIGHTLY, eviction, MIDNIGHT))
        assert list(line) == documented


@pytest.mark.parametrize("event", ["sweep_started", "sweep_ended"])
def test_the_documented_keys_of_a_sweep_are_the_emitted_ones(event: str) -> None:
    """docs/logs.md lists the keys of a sweep's begin and end, in order."""
    lines = [line for line in lines_of(*EVERYTHING) if line["event"] == event]
    assert {tuple(line) for line in lines} == {tuple(_documented_keys(event))}


PAST_EVICTIONS = ("foreign_eviction", "eviction_observed", "eviction_regretted")
OF_LIBRARIES = {"library", "thread_crashed"}
OF_ALERTS = {"alertmanager_down", "alertmanager_up"}
"""Written by threads and not upon an event: test_alertmanager.py has them."""


def _rows() -> list[tuple[str, str, list[str]]]:
    """Event, level and keys of each row of the first table."""
    table = DOCUMENT.read_text().split("\n## ", 1)[0]
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| [^|]+ \|([^|]*)\|$", table, re.MULTILINE)
    return [(event, level, re.findall(r"`(\w+)`", keys)) for event, level, keys in rows]


@pytest.mark.parametrize("event", PAST_EVICTIONS)
def test_the_documented_keys_of_a_past_eviction_are_the_emitted_ones(event: str) -> None:
    """docs/logs.md lists the keys of the ledger's news, in order; only a regret has the last two."""
    written = {tuple(line) for line in lines_of(*EVERYTHING, level="debug") if line["event"] == event}
    expected = _documented_keys("eviction_regretted")
    assert written == {tuple(expected if event == "eviction_regretted" else expected[:-2])}


def test_the_document_lists_every_event() -> None:
    """docs/logs.md has a row for each event that is ever written, with a level that it has, and for no other."""
    written = lines_of(*EVERYTHING, CONTAINERD, Checked(FULL, None), level="debug")
    documented = {event for event, _, _ in _rows()}
    assert documented == {line["event"] for line in written} | OF_LIBRARIES | OF_ALERTS
    levels = {(line["event"], line["level"]) for line in written}
    assert {(event, level) for event, level, _ in _rows() if event not in OF_LIBRARIES | OF_ALERTS} <= levels


def test_the_document_lists_the_keys_of_every_event() -> None:
    """A row has the keys of its event, in order, where no section has them."""
    documented = {event: keys for event, _, keys in _rows()}
    sections = set(re.findall(r"^## `(\w+)`$", DOCUMENT.read_text(), re.MULTILINE)) | set(PAST_EVICTIONS)
    for line in lines_of(*EVERYTHING, CONTAINERD, Checked(FULL, None), level="debug"):
        if (event := str(line["event"])) not in sections:
            assert list(line)[3:] == documented[event]


def test_an_eviction_says_what_evicted_the_image_and_why() -> None:
    """One line has the image, all its names, the reason, the rule, the trigger and what it freed."""
    (line,) = lines_of(EvictionEnded(Trigger.NIGHTLY, EVICTED, MIDNIGHT))
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
    (line,) = lines_of(EvictionEnded(Trigger.NIGHTLY, replace(EVICTED, outcome=outcome), MIDNIGHT))
    assert line["level"] == level


def test_an_error_of_several_lines_is_one() -> None:
    """A runtime's text of several lines is logged as one."""
    (line,) = lines_of(EvictionEnded(Trigger.NIGHTLY, FAILED, MIDNIGHT))
    assert line["error"] == "still there after RemoveImage"


@pytest.mark.parametrize(
    ("ended", "level"),
    [
        (GOOD_REPORT, "info"),
        (report(evictions=(FAILED,)), "warning"),
        (replace(GOOD_REPORT, stop_reason=StopReason.FAILURES), "warning"),
        (replace(GOOD_REPORT, low_watermark_met=False), "info"),
        (replace(BURST_REPORT, low_watermark_met=False), "warning"),
        (replace(BURST_REPORT, low_watermark_met=False, dry_run=True), "info"),
        (BURST_REPORT, "info"),
    ],
)
def test_a_sweep_that_is_not_enough_is_a_warning(ended: SweepReport, level: str) -> None:
    """A sweep with failures, or under pressure and above the low watermark, asks for attention."""
    assert lines_of(SweepEnded(ended, ended.started_at))[-1]["level"] == level


@pytest.mark.parametrize(("reachable", "level"), [(None, "info"), (True, "info"), (False, "warning")])
def test_a_low_watermark_out_of_reach_is_logged_beforehand(*, reachable: bool | None, level: str) -> None:
    """A sweep whose candidates all together are not enough is a warning at its start."""
    plan = replace(NIGHT, low_watermark_reachable=reachable, reclaimable=Size(5, 1), not_reached=(candidate(9),))
    (line,) = lines_of(SweepStarted(plan, FULL, MIDNIGHT, dry_run=False))
    assert (line["level"], line["low_watermark_reachable"]) == (level, reachable)
    assert (line["to_evict"], line["not_reached"], line["reclaimable_bytes"]) == (4, 1, 5)


def test_bytes_by_holder_are_logged_beforehand() -> None:
    """Bytes by holder are in the start of a sweep whose low watermark is out of reach, and null elsewhere."""
    plan = replace(PRESSURE, low_watermark_reachable=False)
    (line,) = lines_of(SweepStarted(plan, FULL, MIDNIGHT, dry_run=False, held=HELD))
    assert line["held_bytes"] == {holder.value: held_bytes for holder, held_bytes in HELD.items()}
    (line,) = lines_of(SweepStarted(PRESSURE, FULL, MIDNIGHT, dry_run=False))
    assert line["held_bytes"] is None


def test_why_a_sweep_began_is_logged() -> None:
    """Whether it comes ahead of the high watermark, and what pulls in progress will still write."""
    (line,) = lines_of(SweepStarted(PRESSURE, FULL, MIDNIGHT, dry_run=False))
    assert (line["early"], line["pulls_projected_bytes"], line["pulls_given_up"]) == (False, 0, 0)
    (line,) = lines_of(SweepStarted(PRESSURE, FULL, MIDNIGHT, dry_run=False, early=True, pulls_projected_bytes=3 * GIB))
    assert (line["level"], line["early"], line["pulls_projected_bytes"]) == ("info", True, 3 * GIB)


def test_a_pull_without_room_is_a_warning() -> None:
    """Its image will not come: somebody has to make room for it."""
    (line,) = lines_of(SweepStarted(PRESSURE, FULL, MIDNIGHT, dry_run=False, given_up=frozenset({"sha256:a"})))
    assert (line["level"], line["pulls_given_up"]) == ("warning", 1)


def test_a_round_in_which_nothing_happened_is_not_logged() -> None:
    """Rounds, inventories and what mode observe stores leave no line at the default level."""
    assert names_of(Checked(FULL, None), COUNTED, EvictionObserved(OBSERVED)) == []


def test_a_runtime_is_logged_when_it_changes() -> None:
    """A runtime that stays unavailable is one line, and so is one that stays up."""
    assert names_of(
        RuntimeDown(UNAVAILABLE), RuntimeDown(UNAVAILABLE), CONTAINERD, CONTAINERD, RuntimeDown(UNAVAILABLE)
    ) == [
        "runtime_down",
        "runtime_up",
        "runtime_down",
    ]


def test_another_reason_is_another_line() -> None:
    """A runtime that is unavailable for another reason, or is upgraded, is logged again."""
    upgraded = replace(CONTAINERD, version=RuntimeVersion("containerd", "2.2.0"))
    rejected = RuntimeDown(RuntimeRejectedError("no such service"))
    assert len(names_of(RuntimeDown(UNAVAILABLE), rejected, CONTAINERD, upgraded)) == 4


def test_an_unread_disk_is_logged_until_it_is_read_again() -> None:
    """A disk is logged once when it cannot be read and once when it can."""
    unread = (DiskUnread(UNREAD), Checked(None, None))
    assert names_of(*unread, *unread, Checked(FULL, None), Checked(FULL, None), *unread) == [
        "disk_unread",
        "disk_read_again",
        "disk_unread",
    ]


def test_images_that_cannot_be_counted_are_logged_once() -> None:
    """Failing to count images is one line until it works again."""
    failed = InventoryFailed(UNAVAILABLE)
    assert names_of(failed, failed, COUNTED, failed) == ["inventory_failed", "inventory_failed"]


def test_a_clock_that_jumped_is_a_warning() -> None:
    """A jump of the wall clock says how far it was."""
    (line,) = lines_of(ClockJumped(-900.0))
    assert (line["level"], line["event"], line["off_seconds"]) == ("warning", "clock_jumped", -900.0)


def test_a_dry_run_says_what_would_be_evicted_once() -> None:
    """What dry runs would evict is a line per image while it stays planned, and one more when it is again."""
    emptied = replace(DRY_REPORT, evictions=())
    same, nothing = SweepEnded(DRY_REPORT, DRY_REPORT.started_at), SweepEnded(emptied, emptied.started_at)
    lines = [line for line in lines_of(same, same, nothing, same) if line["event"] == "eviction"]
    assert [line["outcome"] for line in lines] == ["planned", "planned"]


def test_another_triggers_dry_run_says_so_too() -> None:
    """An image that two triggers would evict is a line for each."""
    under_pressure = replace(DRY_REPORT, trigger=Trigger.PRESSURE)
    lines = lines_of(*(SweepEnded(ended, ended.started_at) for ended in (DRY_REPORT, under_pressure)))
    assert [line["trigger"] for line in lines if line["event"] == "eviction"] == ["nightly", "pressure"]


def test_a_sweep_does_not_repeat_its_evictions() -> None:
    """The report of a sweep that was no dry run writes no line per eviction: those were written as they happened."""
    assert names_of(SweepEnded(GOOD_REPORT, GOOD_REPORT.started_at)) == ["sweep_ended"]


def test_a_broken_round_has_its_traceback_in_one_line() -> None:
    """An unexpected error is logged with its traceback."""
    (line,) = [line for line in lines_of(*EVERYTHING) if line["event"] == "loop_error"]
    assert line["level"] == "error"
    assert "ValueError: this is unexpected" in str(line["exception"])
