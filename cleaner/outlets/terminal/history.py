"""What `history` prints: past evictions as JSON for programs and as a table for people.

It must not guess: what the ledger does not know is null or `-`, and a sum says how many are not in it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from textwrap import fill
from typing import TextIO, TypeVar

from cleaner.core.history import ExternallyRemovedImage, PastEviction
from cleaner.core.model import EvictionOutcome
from cleaner.outlets.terminal.json_documents import JsonDocument
from cleaner.outlets.terminal.tables import TableRow, print_rows
from cleaner.outlets.units import (
    MOST_ROWS,
    human_age,
    human_bytes,
    human_percent,
    one_line,
    rfc3339,
    short_id,
    short_reference,
)

_T = TypeVar("_T")
WHEN, _OUTCOME, IMAGE = "when (utc)", "outcome", "image"
_BESIDE = (WHEN, _OUTCOME)
"""What stays beside the image on a narrow terminal."""
_NO_BREAK = "\N{NO-BREAK SPACE}"
_READABLE_IMAGE = 40
"""Columns that a reference needs beside the others: with fewer of them the others go beneath it."""


@dataclass(frozen=True, slots=True)
class _Totals:
    """Of the images that were evicted, or would have been; failed and spared ones are not among them."""

    evicted: int
    regretted: int
    estimated_bytes: int | None
    """Sum of those that are known; None where none of them is."""
    reclaimed_bytes: int | None


def history_document(evictions: Sequence[PastEviction], *, observed: bool) -> JsonDocument:
    """Every eviction, the newest first, and what they come to."""
    return {
        "observed": observed,
        "evictions": [_eviction(eviction) for eviction in _newest_first(evictions)],
        "totals": asdict(_totals_of(_evicted(evictions, observed=observed))),
    }


def print_history(evictions: Sequence[PastEviction], stream: TextIO, *, observed: bool, all_rows: bool = False) -> None:
    """A row for each of the newest evictions, or of all; then what all of them come to."""
    shown = _newest_first(evictions)[: None if all_rows else MOST_ROWS]
    if shown:
        print_table(_OBSERVED_COLUMNS if observed else _COLUMNS, shown, stream)
    if len(shown) < len(evictions):
        stream.write(f"The newest {len(shown)} of {len(evictions)} are shown; --all shows every one.\n")
    stream.write(f"{_observed_line(evictions) if observed else _evicted_line(evictions)}\n")


def _newest_first(evictions: Iterable[PastEviction]) -> list[PastEviction]:
    """By the end of the eviction; those of one moment stay as they came."""
    return sorted(evictions, key=lambda eviction: eviction.at, reverse=True)


def _evicted(evictions: Iterable[PastEviction], *, observed: bool) -> list[PastEviction]:
    outcome = EvictionOutcome.PLANNED if observed else EvictionOutcome.EVICTED
    return [eviction for eviction in evictions if eviction.outcome is outcome]


def _totals_of(gone: Sequence[PastEviction]) -> _Totals:
    return _Totals(
        evicted=len(gone),
        regretted=sum(eviction.regretted_at is not None for eviction in gone),
        estimated_bytes=_sum_of([eviction.estimated_bytes for eviction in gone]),
        reclaimed_bytes=_sum_of([eviction.reclaimed_bytes for eviction in gone]),
    )


def _sum_of(sizes: Sequence[int | None]) -> int | None:
    known = [size_bytes for size_bytes in sizes if size_bytes is not None]
    return sum(known) if known or not sizes else None


def _eviction(eviction: PastEviction) -> JsonDocument:
    return {
        "id": eviction.image_id,
        "references": list(eviction.references),
        "trigger": eviction.trigger.value,
        "reason": eviction.reason,
        "rule": eviction.rule,
        "outcome": eviction.outcome.value,
        "error": eviction.error,
        "at": rfc3339(eviction.at),
        "created_at": rfc3339(eviction.created_at),
        "pulled_at": rfc3339(eviction.pulled_at),
        "last_used_at": rfc3339(eviction.last_used_at),
        "age_seconds": {
            "created": _seconds(_age(eviction, eviction.created_at)),
            "pulled": _seconds(_age(eviction, eviction.pulled_at)),
            "last_used": _seconds(_age(eviction, eviction.last_used_at)),
        },
        "size_bytes": eviction.size_bytes,
        "estimated_bytes": eviction.estimated_bytes,
        "reclaimed_bytes": eviction.reclaimed_bytes,
        "regretted_at": rfc3339(eviction.regretted_at),
        "regretted_by": eviction.regretted_by.value if eviction.regretted_by else None,
        "regretted_after_seconds": _seconds(eviction.regretted_after),
    }


def _age(eviction: PastEviction, since: datetime | None) -> timedelta | None:
    """How old the image was at its eviction; a time after that is no age."""
    return None if since is None else max(eviction.at - since, timedelta(0))


def _seconds(duration: timedelta | None) -> float | None:
    return None if duration is None else duration.total_seconds()


def print_table(columns: Sequence["Column[_T]"], gone: Sequence[_T], stream: TextIO) -> None:
    """A row for each; what has no room beside the image stands beneath it."""
    headings = tuple(heading for heading, _ in columns)
    rows = [tuple(cell_of(each) for _, cell_of in columns) for each in gone]
    widths = _widths(headings, rows)
    if not stream.isatty():
        stream.writelines(_plain_lines(headings, rows, widths))
        return
    width = _width_of(stream)
    if sum(widths.values()) - max(widths[IMAGE] - _READABLE_IMAGE, 0) > width:
        room = width - sum(widths[heading] for heading in headings if heading in _BESIDE)
        rows = [_stacked(headings, row, room) for row in rows]
        headings = (*(heading for heading in headings if heading in _BESIDE), IMAGE)
    print_rows(headings, rows, stream)


def _widths(headings: TableRow, rows: Sequence[TableRow]) -> dict[str, int]:
    """Of each column its widest cell and, but for the last one, the gap behind it."""
    return {
        heading: max(map(len, [heading.rstrip(">"), *cells])) + (2 if heading != IMAGE else 0)
        for heading, *cells in zip(headings, *rows, strict=True)
    }


def _plain_lines(headings: TableRow, rows: Iterable[TableRow], widths: Mapping[str, int]) -> Iterator[str]:
    """What `print_rows` gives a file, but at once: rich needs a millisecond per row, and a year has 18,000."""
    for row in (tuple(heading.rstrip(">").upper() for heading in headings), *rows):
        cells = (
            f"{cell.rjust(widths[heading] - 2)}  " if heading.endswith(">") else cell.ljust(widths[heading])
            for heading, cell in zip(headings, row, strict=True)
        )
        yield f"{''.join(cells).rstrip()}\n"
    yield "\n"


def _width_of(stream: TextIO) -> int:
    from rich.console import Console  # noqa: PLC0415 (5 MiB that the daemon does not need)

    return Console(file=stream).width


def _stacked(headings: TableRow, row: TableRow, room: int) -> TableRow:
    """The row of a narrow terminal: what has no column of its own stands beneath the image, with its heading."""
    cells = dict(zip(headings, row, strict=True))
    beside = [cells.pop(heading) for heading in headings if heading in _BESIDE]
    image = cells.pop(IMAGE)
    named = (f"{heading.rstrip('>')} {cell}".replace(" ", _NO_BREAK) for heading, cell in cells.items() if cell)
    beneath = fill(", ".join(named), max(room, _READABLE_IMAGE)).replace(_NO_BREAK, " ")
    return (*beside, f"{image}\n{beneath}")


def minute_of(time: datetime) -> str:
    """A time as tables show it."""
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M}"


def _repulled(eviction: PastEviction) -> str:
    return "" if eviction.regretted_after is None else f"after {human_age(eviction.regretted_after)}"


def _since_then(eviction: PastEviction) -> str:
    return " ".join(filter(None, [eviction.regretted_by, _repulled(eviction)]))


def name_of(gone: PastEviction | ExternallyRemovedImage) -> str:
    """The shortest tag or, without any, digest; and how many more there are."""
    tags = [text for text in gone.references if "@" not in text]
    names = sorted(tags or map(short_reference, gone.references), key=len) or [f"<none> {short_id(gone.image_id)}"]
    return f"{names[0]} +{len(names) - 1}" if len(names) > 1 else names[0]


def _which(eviction: PastEviction) -> str:
    """Its name, and what went wrong."""
    return one_line(name_of(eviction) + (f": {eviction.error}" if eviction.error else ""))


Column = tuple[str, Callable[[_T], str]]
"""A heading as `print_rows` takes it, and the cell beneath it."""

_COLUMNS: tuple[Column[PastEviction], ...] = (
    (WHEN, lambda eviction: minute_of(eviction.at)),
    (_OUTCOME, lambda eviction: eviction.outcome.value),
    ("trigger", lambda eviction: eviction.trigger.value),
    ("reason", lambda eviction: one_line(eviction.reason)),
    ("rule", lambda eviction: one_line(eviction.rule or "-")),
    ("created>", lambda eviction: human_age(_age(eviction, eviction.created_at))),
    ("pulled>", lambda eviction: human_age(_age(eviction, eviction.pulled_at))),
    ("used>", lambda eviction: human_age(_age(eviction, eviction.last_used_at))),
    ("estimated>", lambda eviction: human_bytes(eviction.estimated_bytes)),
    ("reclaimed>", lambda eviction: human_bytes(eviction.reclaimed_bytes)),
    ("re-pulled", _repulled),
    (IMAGE, _which),
)
"""`created`, `pulled` and `used`: the ages of the image at its eviction."""

_OBSERVED_COLUMNS: tuple[Column[PastEviction], ...] = (
    *(column for column in _COLUMNS[:-2] if column[0] not in (_OUTCOME, "reclaimed>")),
    ("since then", _since_then),
    (IMAGE, _which),
)
"""An image that only would have been evicted has no outcome and nothing to measure, and cannot be re-pulled."""


def _evicted_line(evictions: Sequence[PastEviction]) -> str:
    if not evictions:
        return "No eviction of that kind is stored."
    gone = _evicted(evictions, observed=False)
    totals = _totals_of(gone)
    outcomes = [eviction.outcome for eviction in evictions]
    parts = [f"{totals.evicted} evicted"]
    parts += [f"{outcomes.count(o)} {o}" for o in (EvictionOutcome.FAILED, EvictionOutcome.SPARED) if o in outcomes]
    if gone:
        parts += [_reclaimed(gone, totals), _share(totals, "re-pulled")]
    return f"{', '.join(parts)}."


def _observed_line(evictions: Sequence[PastEviction]) -> str:
    gone = _evicted(evictions, observed=True)
    if not gone:
        return "No image that fits and would have been evicted in mode observe is stored."
    totals = _totals_of(gone)
    notes = _in_brackets(_estimated(totals), _unknown([eviction.estimated_bytes for eviction in gone], "estimated"))
    return f"{totals.evicted} would have been evicted{notes}, {_share(totals, 'pulled or used since')}."


def _reclaimed(gone: Sequence[PastEviction], totals: _Totals) -> str:
    if totals.reclaimed_bytes is None:
        return f"bytes not measured{_in_brackets(_estimated(totals))}"
    unknown = _unknown([eviction.reclaimed_bytes for eviction in gone], "measured")
    return f"{human_bytes(totals.reclaimed_bytes)} reclaimed{_in_brackets(_estimated(totals), unknown)}"


def _estimated(totals: _Totals) -> str:
    return "" if totals.estimated_bytes is None else f"estimated {human_bytes(totals.estimated_bytes)}"


def _unknown(sizes: Sequence[int | None], word: str) -> str:
    """Says how many a sum leaves out."""
    count = sizes.count(None)
    return f"{count} not {word}" if count else ""


def _in_brackets(*notes: str) -> str:
    said = "; ".join(filter(None, notes))
    return f" ({said})" if said else ""


def _share(totals: _Totals, what: str) -> str:
    if not totals.regretted:
        return f"none {what}"
    return f"{totals.regretted} {what} ({human_percent(100 * totals.regretted / totals.evicted)})"
