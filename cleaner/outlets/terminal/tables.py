"""Plans and sweeps as tables for people, on a terminal or in a file.

It must not cut a reference off: too long a line is folded, and only a digest is shortened. rich is imported where it is
needed.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TextIO

from cleaner.core.disk_usage import Usage
from cleaner.core.findings import Finding
from cleaner.core.model import EvictionOutcome, Image, KeepReason, Plan, StopReason, Verdict
from cleaner.core.reclaim import Holder
from cleaner.core.report import SweepReport
from cleaner.outlets.terminal.metric_changes import Samples, changes
from cleaner.outlets.units import (
    MOST_ROWS,
    human_age,
    human_bytes,
    human_duration,
    human_percent,
    one_line,
    short_id,
    short_reference,
)

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_EXAMPLES = 3
_FILE_WIDTH = 1000
"""Columns of what is no terminal: wide enough to leave each reference on one line, for grep."""

WHY_KEPT = {
    KeepReason.UNREADABLE: "its status could not be read",
    KeepReason.IN_USE: "a container uses it, running or not",
    KeepReason.SANDBOX: "pods are started with it",
    KeepReason.PINNED: "the runtime pinned it",
    KeepReason.PROTECTED: "policy.protect names it",
    KeepReason.UNREMOVABLE: "the runtime would not remove all of it",
    KeepReason.REMOVAL_FAILED: "its last removal failed; it is tried again later",
    KeepReason.UNMATCHED: "a reference of it has no rule",
    KeepReason.LOCAL: "nothing shows that a registry has it",
    KeepReason.RECENT: "pulled or used within grace",
    KeepReason.NEWEST: "among the newest of its repository",
    KeepReason.UNEXPIRED: "not older than its rule's max_age",
    KeepReason.RULE_ON_HOLD: "its rule is on hold: too many images that it evicted were re-pulled",
    KeepReason.REGISTRY_DOWN: "its registry does not answer, so it could not be pulled again",
    KeepReason.NO_GAIN: "no layer of it would be freed where space is short, even if every candidate were evicted",
}

WHY_ENDED = {
    StopReason.DONE: "there was nothing more to evict",
    StopReason.LOW_WATERMARK: "the low watermark is met",
    StopReason.NOT_NEEDED: "nothing is at its high watermark",
    StopReason.STOP_REQUESTED: "it was asked to stop",
    StopReason.LIMIT: "the limit of evictions is reached",
    StopReason.NO_PROGRESS: "three removals in a row freed next to nothing",
    StopReason.KUBELET_THRESHOLD: "the low watermark is out of reach, and usage is below the kubelet's threshold",
    StopReason.FAILURES: "too many evictions failed",
    StopReason.YIELDED_TO_PRESSURE: "a pressure sweep is due first",
    StopReason.WINDOW_CLOSED: "the nightly window is over",
}

TableRow = tuple[str, ...]


PLAN_HEADINGS = ("verdict", "reason", "rule", "age>", "estimated>", "size>", "image", "id")
"""`estimated`: of one to evict, after those above it; of one kept, alone. `size`: as the runtime says."""


def print_plan(  # noqa: PLR0913 - keywords, each of which says what it means
    plan: Plan,
    usage: Usage | None,
    notices: Sequence[str],
    stream: TextIO,
    *,
    starts: Sequence[str] = (),
    all_rows: bool = False,
) -> None:
    """What a sweep would do with each image, and why, evictions first and in order; `starts`: when one starts."""
    console = _console(stream)
    _say(console, _usage_line(usage), *starts)
    rows = [_plan_row("evict", verdict) for verdict in plan.evictions]
    if all_rows or len(plan.not_reached) <= MOST_ROWS:
        rows += [_plan_row("not reached", verdict) for verdict in plan.not_reached]
    if all_rows or len(plan.kept) <= MOST_ROWS:
        rows += [_plan_row("keep", verdict) for verdict in plan.kept]
    if rows:
        _show(console, _table(PLAN_HEADINGS, rows))
    if not all_rows and len(plan.kept) > MOST_ROWS:
        _show(console, _groups(plan.kept, "kept"))
    frees = f", which frees {human_bytes(_sum_of(plan.evictions))}," if plan.reclaimable else ""
    kept = f"{len(plan.kept) + len(plan.not_reached)}"
    kept += f", {len(plan.not_reached)} of them not reached" if plan.not_reached else ""
    _say(console, f"A {plan.trigger} sweep would evict {_images(len(plan.evictions))}{frees} and keep {kept}.")
    _say(console, *notices)


def print_sweep(report: SweepReport, stream: TextIO, *, notices: Sequence[str] = (), all_rows: bool = False) -> None:
    """What a sweep did with each image, what stayed and why, and what the disk says to it."""
    console = _console(stream)
    candidates = [*_eviction_rows(report), *_not_reached_rows(report, all_rows=all_rows)]
    if candidates:
        _show(
            console,
            _table(("outcome", "reason", "rule", "age>", "estimated>", "reclaimed>", "image", "id"), candidates),
        )
    kept = report.plan.kept if report.plan else ()
    if kept and (all_rows or len(kept) <= MOST_ROWS):
        _show(console, _table(PLAN_HEADINGS, [_plan_row("kept", verdict) for verdict in kept]))
    elif kept:
        _show(console, _groups(kept, "kept"))
    _say(console, *_summary(report), *notices)


def print_holders(held: Mapping[Holder, int] | None, stream: TextIO) -> None:
    """Who holds what is used; nothing where that cannot be known."""
    if held is not None:
        _say(_console(stream), holders_line(held))


def holders_line(held: Mapping[Holder, int]) -> str:
    """The holders that hold anything."""
    parts = (f"{holder.value} {human_bytes(held_bytes)}" for holder, held_bytes in held.items() if held_bytes)
    return f"Held by: {', '.join(parts)}."


def print_check(findings: Sequence[Finding], settings: Mapping[str, object], stream: TextIO) -> None:
    """What was found, then every setting in force."""
    console = _console(stream)
    _show(console, _table(("subject", "grade", "detail"), [(f.subject, f.grade.value, f.detail) for f in findings]))
    _show(console, _table(("setting", "value"), _settings_rows(settings)))


def print_rows(headings: Iterable[str], rows: Iterable[TableRow], stream: TextIO) -> None:
    """Any rows as a table; a heading that ends in `>` has its column to the right."""
    _show(_console(stream), _table(headings, rows))


def print_changes(before: Samples, after: Samples, stream: TextIO) -> None:
    """The metrics that two scrapes differ in."""
    rows = [(name, f"{old:.15g}", f"{new:.15g}") for name, old, new in changes(before, after)]
    print_rows(("metric", "before>", "after>"), rows, stream)


def _settings_rows(settings: Mapping[str, object], path: str = "") -> Iterator[TableRow]:
    """A row for each value, with its path in the file."""
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _settings_rows(value, f"{path}{key}.")
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            for number, item in enumerate(value):
                yield from _settings_rows(item, f"{path}{key}[{number}].")
        else:
            yield f"{path}{key}", json.dumps(value, ensure_ascii=False)


def _console(stream: TextIO) -> "Console":
    from rich.console import Console  # noqa: PLC0415 (5 MiB that the daemon does not need)

    width = None if stream.isatty() else _FILE_WIDTH
    return Console(file=stream, width=width, highlight=False, markup=False, emoji=False)


def _table(headings: Iterable[str], rows: Iterable[TableRow]) -> "Table":
    """Columns as wide as needed; a heading that ends in `>` has its column to the right."""
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in headings:
        justify = "right" if heading.endswith(">") else "left"
        table.add_column(heading.rstrip(">").upper(), justify=justify, overflow="fold", no_wrap=heading != "image")  # type: ignore[arg-type]
    for row in rows:
        table.add_row(*(Text(cell, style=_style(cell)) for cell in row))
    return table


def _show(console: "Console", table: "Table") -> None:
    """The table without the blanks that fill its last column."""
    with console.capture() as capture:
        console.print(table)
    lines = capture.get().splitlines()
    console.file.write("".join(f"{line.rstrip()}\n" for line in [*lines, ""]))


def _style(cell: str) -> str:
    return {
        "evict": "yellow",
        "evicted": "green",
        "failed": "red",
        "spared": "cyan",
        "ok": "green",
        "note": "yellow",
        "warning": "bold yellow",
        "error": "red",
    }.get(cell, "")


def _say(console: "Console", *lines: str) -> None:
    for line in lines:
        console.print(one_line(line), soft_wrap=True)


def _plan_row(verdict_word: str, verdict: Verdict) -> TableRow:
    sizes = (_frees(verdict), human_bytes(verdict.image.size_bytes))
    image, image_id = _which(verdict.image)
    detail = f"\n{one_line(verdict.detail)}" if verdict.detail else ""
    return (verdict_word, *_why(verdict), *sizes, image + detail, image_id)


def _eviction_rows(report: SweepReport) -> Iterator[TableRow]:
    for eviction in report.evictions:
        freed = human_bytes(eviction.reclaimed_bytes)
        image, image_id = _which(eviction.verdict.image)
        error = f"\n{one_line(eviction.error)}" if eviction.error else ""
        sizes = (human_bytes(eviction.estimated_bytes), freed)
        yield (eviction.outcome.value, *_why(eviction.verdict), *sizes, image + error, image_id)


def _not_reached_rows(report: SweepReport, *, all_rows: bool) -> Iterator[TableRow]:
    """Candidates that the sweep did not reach, in the order in which it would have evicted them."""
    candidates = report.plan.candidates if report.plan else ()
    left = candidates[len(candidates) - report.not_reached :]
    if all_rows or len(left) <= MOST_ROWS:
        for verdict in left:
            yield ("not reached", *_why(verdict), _frees(verdict), "-", *_which(verdict.image))


def _frees(verdict: Verdict) -> str:
    return human_bytes(verdict.reclaimable.bytes if verdict.reclaimable else None)


def _sum_of(verdicts: Sequence[Verdict]) -> int:
    return sum(verdict.reclaimable.bytes for verdict in verdicts if verdict.reclaimable)


def _why(verdict: Verdict) -> TableRow:
    # Without a pull time only the agent's own first sight of the image speaks for it: that has to be seen.
    reason = f"{verdict.reason} (first seen)" if verdict.by_memory else verdict.reason.value
    return (reason, verdict.rule or "-", human_age(verdict.age))


def _which(image: Image) -> TableRow:
    names = sorted(image.tags) or [short_reference(digest) for digest in sorted(image.digests)]
    return ("\n".join(map(one_line, names)) or "<none>", short_id(image.id))


def _groups(kept: Sequence[Verdict], heading: str) -> "Table":
    reasons = [reason for reason in KeepReason if any(verdict.reason == reason for verdict in kept)]
    return _table((f"{heading}>", "reason", "why", "for example"), [_group(reason, kept) for reason in reasons])


def _group(reason: KeepReason, kept: Sequence[Verdict]) -> TableRow:
    images = [verdict.image for verdict in kept if verdict.reason == reason]
    examples = [first_name(image) for image in images[:_EXAMPLES]]
    return (str(len(images)), reason.value, WHY_KEPT.get(reason, ""), "\n".join(examples))


def first_name(image: Image) -> str:
    """The one name to call an image by in a line."""
    return _which(image)[0].partition("\n")[0]


def _summary(report: SweepReport) -> Iterator[str]:
    outcomes = [eviction.outcome for eviction in report.evictions]
    parts = [f"{outcomes.count(outcome)} {outcome}" for outcome in EvictionOutcome if outcome in outcomes]
    parts.append(f"{len(report.plan.kept) if report.plan else 0} kept")
    if report.not_reached:
        parts.append(f"{report.not_reached} not reached")
    what = f"{report.trigger} {'dry run' if report.dry_run else 'sweep'}"
    took = human_duration(report.duration_seconds)
    reason = WHY_ENDED.get(report.stop_reason, report.stop_reason.value)
    yield f"The {what} ended after {took}, {reason}: {', '.join(parts)}."
    if report.dry_run or not report.evictions:
        yield _usage_line(report.filesystem_before)
        return
    before, after = report.filesystem_before.used_percent, report.filesystem_after.used_percent
    yield f"Freed {_freed(report)}; {human_percent(before)} used before, {human_percent(after)} after."


def _freed(report: SweepReport) -> str:
    freed = report.reclaimed_bytes
    return "what this filesystem cannot say per image" if freed is None else human_bytes(freed)


def _usage_line(usage: Usage | None) -> str:
    if usage is None:
        return "The filesystem of the images could not be read."
    free = f"{human_bytes(usage.available_bytes)} of {human_bytes(usage.capacity_bytes)} available"
    inodes = human_percent(usage.inodes_used_percent)
    return f"{usage.path}: {human_percent(usage.used_percent)} used, {free}; inodes: {inodes} used."


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count} images"
