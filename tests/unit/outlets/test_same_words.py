"""A word means the same in table, JSON, log and metric."""

import io

import pytest

from cleaner.core.events import (
    EvictionEnded,
    EvictionRegretted,
    ImagesInventoried,
    SpaceInventoried,
    SweepEnded,
    SweepStarted,
)
from cleaner.core.history import PastEviction
from cleaner.core.model import EvictionOutcome, KeepReason, Plan, StopReason, Trigger
from cleaner.core.reclaim import Holder
from cleaner.outlets.terminal import history, json_documents, tables
from unit.outlets.happenings import (
    EVICTED,
    FULL,
    HELD,
    MIDNIGHT,
    NIGHT,
    OBSERVED_USED,
    PRESSURE,
    REPULLED,
    candidate,
    report,
    staying,
)
from unit.outlets.written import lines_of, metrics_after, value


@pytest.mark.parametrize("reason", StopReason)
def test_stop_reasons(reason: StopReason) -> None:
    """The log's, the document's and the metric's are one word, and the table has a sentence for each."""
    ended = report(stop_reason=reason)
    [line] = lines_of(SweepEnded(ended, MIDNIGHT))
    document = json_documents.sweep_document(ended)
    metrics = metrics_after([SweepEnded(ended, MIDNIGHT)])
    assert line["stop_reason"] == document["stop_reason"] == reason.value
    assert value(metrics, "sweep_ends_total", reason=reason.value) == 1
    assert tables.WHY_ENDED[reason]


@pytest.mark.parametrize("reason", KeepReason)
def test_keep_reasons(reason: KeepReason) -> None:
    """The table's, the document's, the log's and the state of the metric are one word."""
    plan, table = Plan(Trigger.NIGHTLY, (), (staying(1, reason),)), io.StringIO()
    tables.print_plan(plan, FULL, (), table)
    document = json_documents.plan_document(plan, FULL, None)
    [line] = lines_of(ImagesInventoried(plan), level="debug")
    assert f"keep     {reason.value} " in table.getvalue()
    assert [image["reason"] for image in document["images"]] == [reason.value]  # type: ignore[attr-defined]
    assert line["images"] == {"evictable": 0, reason.value: 1}
    assert value(metrics_after([ImagesInventoried(plan)]), "images", state=reason.value) == 1
    assert tables.WHY_KEPT[reason]


def test_holders() -> None:
    """Who holds the space is the same word in the line, the document and the metric."""
    document = json_documents.plan_document(NIGHT, FULL, HELD)
    metrics = metrics_after([SpaceInventoried(NIGHT, PRESSURE, HELD)])
    for holder in Holder:
        assert f"{holder.value} " in tables.holders_line(HELD)
        assert document["held_bytes"][holder.value] == HELD[holder]  # type: ignore[index]
        assert value(metrics, "filesystem_held_bytes", holder=holder.value) == HELD[holder]


def headings_in(table: str) -> list[str]:
    """The lines of a table that name its columns."""
    lines = [" ".join(line.split()) for line in table.splitlines()]
    return [line for line in lines if line.endswith(" IMAGE ID")]


def test_bytes_of_a_plan() -> None:
    """Estimated bytes have this name in the table of a plan, as its document has for each image."""
    table = io.StringIO()
    tables.print_plan(NIGHT, FULL, (), table)
    assert headings_in(table.getvalue()) == ["VERDICT REASON RULE AGE ESTIMATED SIZE IMAGE ID"]
    document = json_documents.plan_document(NIGHT, FULL, HELD)
    assert all("estimated_bytes" in image for image in document["images"])  # type: ignore[attr-defined]


def test_bytes_of_an_eviction() -> None:
    """Estimated and reclaimed bytes have these names in tables, documents, log and metrics."""
    done, table = report(evictions=(EVICTED,)), io.StringIO()
    tables.print_sweep(done, table)
    assert headings_in(table.getvalue()) == [
        "OUTCOME REASON RULE AGE ESTIMATED RECLAIMED IMAGE ID",
        "VERDICT REASON RULE AGE ESTIMATED SIZE IMAGE ID",
    ]
    [evicted] = json_documents.sweep_document(done)["evictions"]  # type: ignore[misc]
    [line] = lines_of(EvictionEnded(Trigger.NIGHTLY, EVICTED, MIDNIGHT))
    metrics = metrics_after([EvictionEnded(Trigger.NIGHTLY, EVICTED, MIDNIGHT)])
    assert EVICTED.outcome is EvictionOutcome.EVICTED
    for word, size in (("estimated", EVICTED.estimated_bytes), ("reclaimed", EVICTED.reclaimed_bytes)):
        assert evicted[f"{word}_bytes"] == line[f"{word}_bytes"] == size  # type: ignore[has-type]
        assert value(metrics, f"{word}_bytes_total", reason="expired") == size


def test_candidates_that_are_not_reached() -> None:
    """Those that the sweep does not need have one word in the table, the document and the log."""
    plan, table = Plan(Trigger.PRESSURE, (candidate(1),), (), not_reached=(candidate(2),)), io.StringIO()
    tables.print_plan(plan, FULL, (), table)
    document = json_documents.plan_document(plan, FULL, None)
    [line] = lines_of(SweepStarted(plan, FULL, MIDNIGHT, dry_run=False))
    assert "\nnot reached " in table.getvalue()
    assert [image["reason"] for image in document["images"]] == ["expired", "not_reached"]  # type: ignore[attr-defined]
    assert line["not_reached"] == 1


@pytest.mark.parametrize("past", [REPULLED, OBSERVED_USED], ids=["evicted", "observed"])
def test_regrets(past: PastEviction) -> None:
    """When and by what an eviction was regretted has the same keys in the document and in the log."""
    document = history.history_document([past], observed=past.outcome is EvictionOutcome.PLANNED)
    [found] = document["evictions"]  # type: ignore[misc]
    [line] = lines_of(EvictionRegretted(past))
    for key in ("regretted_by", "regretted_after_seconds", "estimated_bytes", "reclaimed_bytes", "reason", "rule"):
        assert found[key] == line[key], key  # type: ignore[has-type]
