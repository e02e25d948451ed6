"""What `history` prints: for people on terminals of two widths and in files, and for programs."""

import io
import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from cleaner.cli.arguments import parser
from cleaner.cli.image_filter import IdPrefix, matching
from cleaner.core.history import PastEviction, RegretKind
from cleaner.core.model import EvictionOutcome, Trigger
from cleaner.core.references import parse_pattern
from cleaner.outlets.terminal.history import history_document, print_history
from cleaner.outlets.units import MOST_ROWS
from support.golden import assert_golden

GOLDEN = Path(__file__).parents[1] / "golden"
AT = datetime(2026, 6, 15, 2, 11, 30, tzinfo=UTC)
GIB = 1024**3
APP = "registry.gitlab.com/golem-ai/app"


def hexed(number: int) -> str:
    return f"{number:064x}"


def past(number: int = 1, **changes: object) -> PastEviction:
    """An eviction of which everything is known but its return."""
    eviction = PastEviction(
        image_id=f"sha256:{hexed(number)}",
        references=(f"{APP}{number}:1.0", f"{APP}{number}@sha256:{hexed(number)}"),
        trigger=Trigger.NIGHTLY,
        reason="expired",
        rule="company",
        outcome=EvictionOutcome.EVICTED,
        error=None,
        at=AT - timedelta(hours=number),
        created_at=AT - timedelta(days=45),
        pulled_at=AT - timedelta(days=40),
        last_used_at=AT - timedelta(days=35),
        size_bytes=2 * GIB,
        estimated_bytes=GIB,
        reclaimed_bytes=GIB + 50,
    )
    return replace(eviction, **changes)  # type: ignore[arg-type]


RETURNED = past(1, regretted_at=AT + timedelta(hours=2), regretted_by=RegretKind.PULLED)
FAILED = past(
    2,
    outcome=EvictionOutcome.FAILED,
    error="still there\nafter RemoveImage",
    estimated_bytes=None,
    reclaimed_bytes=None,
)
TIMELESS = past(
    3,
    references=(f"quay.io/tool@sha256:{'ab' * 32}",),
    trigger=Trigger.PRESSURE,
    reason="pressure",
    rule="third-party",
    created_at=None,
    pulled_at=None,
    last_used_at=None,
    reclaimed_bytes=None,
)
MANY_NAMES = past(4, references=(f"{APP}4:1.0.7", f"{APP}4:stable", "mirror.example.com/golem-ai/app4:1.0.7"))
NAMELESS = past(5, references=(), trigger=Trigger.MANUAL)
PAST = (NAMELESS, RETURNED, FAILED, TIMELESS, MANY_NAMES)
OBSERVED = tuple(
    replace(eviction, outcome=EvictionOutcome.PLANNED, error=None, reclaimed_bytes=None, trigger=Trigger.NIGHTLY)
    for eviction in (replace(RETURNED, regretted_by=RegretKind.USED), TIMELESS, MANY_NAMES)
)


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A terminal of 80 columns without colours, whichever the tests run on."""
    for name, value in (("TERM", "xterm"), ("NO_COLOR", "1"), ("COLUMNS", "80")):
        monkeypatch.setenv(name, value)
    return monkeypatch


def _text(evictions: tuple[PastEviction, ...] = PAST, *, observed: bool = False, all_rows: bool = False) -> str:
    stream = io.StringIO()
    print_history(evictions, stream, observed=observed, all_rows=all_rows)
    return stream.getvalue()


def _shown(evictions: tuple[PastEviction, ...] = PAST, *, observed: bool = False) -> str:
    stream = _Terminal()
    print_history(evictions, stream, observed=observed)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue())
    return re.sub(" +$", "", plain, flags=re.MULTILINE)


def _last_line(*evictions: PastEviction, observed: bool = False) -> str:
    return _text(evictions, observed=observed).splitlines()[-1]


def _totals(*evictions: PastEviction, observed: bool = False) -> object:
    return history_document(evictions, observed=observed)["totals"]


@pytest.mark.parametrize("columns", [80, 160])
@pytest.mark.parametrize("observed", [False, True])
def test_a_terminal_shows_it_as_it_did(terminal: pytest.MonkeyPatch, columns: int, *, observed: bool) -> None:
    """On terminals of 80 and 160 columns the text equals its golden file, and no line is wider than the terminal."""
    terminal.setenv("COLUMNS", str(columns))
    text = _shown(OBSERVED if observed else PAST, observed=observed)
    assert_golden(GOLDEN / f"history-{'observed-' if observed else ''}{columns}.txt", text)
    assert max(map(len, text.splitlines()[:-1])) <= columns


def test_a_file_has_a_line_per_eviction() -> None:
    """In a pipe each eviction is one plain line, its error on it, and the text equals its golden file."""
    text = _text()
    assert_golden(GOLDEN / "history.txt", text)
    assert "\x1b" not in text
    assert [line.split()[2] for line in text.splitlines()[1:6]] == ["evicted", "failed", *["evicted"] * 3]
    assert f"{APP}2:1.0: still there after RemoveImage" in text


def test_a_file_has_what_a_wide_terminal_has(terminal: pytest.MonkeyPatch) -> None:
    """The table of a file, which is made without rich, is the one that rich makes where there is room."""
    terminal.setenv("COLUMNS", "1000")
    assert _text() == _shown()
    assert _text(OBSERVED, observed=True) == _shown(OBSERVED, observed=True)


def test_the_document_is_as_it_was() -> None:
    """The JSON has every key of the contract, the newest first, and null for what is not known."""
    document = history_document(PAST, observed=False)
    assert_golden(GOLDEN / "history.json", json.dumps(document, indent=2) + "\n")


def test_a_wide_table_loses_nothing_when_narrow(terminal: pytest.MonkeyPatch) -> None:
    """Each word of the wide table's rows is in the narrow text, too."""
    terminal.setenv("COLUMNS", "300")
    words = {word for line in _shown().splitlines()[1:6] for word in line.split()}
    terminal.setenv("COLUMNS", "80")
    narrow = _shown().replace("\n", " ").replace(",", "")
    assert [word for word in sorted(words) if word not in narrow] == []


def test_a_table_is_stacked_only_where_it_does_not_fit(terminal: pytest.MonkeyPatch) -> None:
    """A terminal as wide as the table has the table; one column less, and the other columns stand beneath the image."""
    widest = max(map(len, _text((past(),)).splitlines()[:2]))
    terminal.setenv("COLUMNS", str(widest))
    assert "RECLAIMED" in _shown((past(),))
    terminal.setenv("COLUMNS", str(widest - 1))
    assert "RECLAIMED" not in _shown((past(),))


def test_a_long_reference_is_folded(terminal: pytest.MonkeyPatch) -> None:
    """On a terminal no part of a long reference is lost."""
    long = "registry.example.com/" + "deep/" * 40 + "app:1"
    text = _shown((past(references=(long,)),))
    assert long in "".join(text.replace("WHEN", "").split())
    assert "…" not in text


@pytest.mark.parametrize(("count", "limited"), [(MOST_ROWS, False), (MOST_ROWS + 1, True)])
def test_the_newest_fifty_are_shown(count: int, *, limited: bool) -> None:
    """More than fifty evictions are cut to the newest, which is said; totals and --all have all of them."""
    evictions = tuple(past(number) for number in range(count, 0, -1))
    text = _text(evictions)
    assert text.count("app") == MOST_ROWS
    assert (f"app{MOST_ROWS + 1}:" not in _text(evictions, all_rows=True)) is not limited
    assert ("The newest 50 of 51 are shown; --all shows every one." in text) is limited
    assert f"{count} evicted" in text
    assert "newest" not in _text(evictions, all_rows=True)


def test_of_one_moment_the_order_stays() -> None:
    """Evictions of the same moment stay in the order in which they came."""
    first, second = past(2, at=AT), past(1, at=AT)
    document = history_document((first, second), observed=False)["evictions"]
    assert isinstance(document, list)
    assert [eviction["id"] for eviction in document] == [first.image_id, second.image_id]


def test_times_are_shown_in_utc() -> None:
    """A time with another offset is the same moment in UTC."""
    paris = timezone(timedelta(hours=2))
    assert "2026-06-15 02:11  " in _text((past(at=AT.astimezone(paris)),))


def test_an_age_is_never_negative() -> None:
    """A time after the eviction, from a clock that was wrong, is an age of 0."""
    eviction = past(created_at=AT + timedelta(days=365), at=AT)
    assert " 0s " in _text((eviction,))
    document = history_document((eviction,), observed=False)["evictions"]
    assert isinstance(document, list)
    assert document[0]["age_seconds"] == {"created": 0, "pulled": 40 * 86400, "last_used": 35 * 86400}


def test_foreign_text_stays_on_its_line() -> None:
    """What a terminal would act on is made visible."""
    text = _text((past(error="a\x1b[2Jb\nc", rule="r\x07"),))
    assert "a\\x1b[2Jb c" in text
    assert "r\\x07" in text


def test_the_closing_line_says_what_it_comes_to() -> None:
    """It has the evicted, the bytes measured and estimated, and how many of the evicted were re-pulled."""
    assert _last_line(RETURNED, past(2)) == "2 evicted, 2.0 GiB reclaimed (estimated 2.0 GiB), 1 re-pulled (50.0 %)."
    assert _last_line(past()) == "1 evicted, 1.0 GiB reclaimed (estimated 1.0 GiB), none re-pulled."


def test_failures_are_counted_apart() -> None:
    """What failed or was spared freed nothing, and is no part of any share or sum."""
    spared = past(3, outcome=EvictionOutcome.SPARED)
    assert _last_line(RETURNED, FAILED, spared) == (
        "1 evicted, 1 failed, 1 spared, 1.0 GiB reclaimed (estimated 1.0 GiB), 1 re-pulled (100.0 %)."
    )
    assert _last_line(FAILED) == "0 evicted, 1 failed."
    assert _totals(FAILED, spared) == {"evicted": 0, "regretted": 0, "estimated_bytes": 0, "reclaimed_bytes": 0}


def test_sums_say_what_they_leave_out() -> None:
    """Bytes that were not measured are no 0: the line counts them, and where none are known the sum is null."""
    unknown = past(2, estimated_bytes=None, reclaimed_bytes=None)
    assert "1.0 GiB reclaimed (estimated 1.0 GiB; 1 not measured)" in _last_line(past(1), unknown)
    assert _last_line(unknown) == "1 evicted, bytes not measured, none re-pulled."
    assert "bytes not measured (estimated 1.0 GiB)" in _last_line(past(reclaimed_bytes=None))
    assert _totals(unknown) == {"evicted": 1, "regretted": 0, "estimated_bytes": None, "reclaimed_bytes": None}


def test_observed_ones_would_have_been_evicted() -> None:
    """The observed count as such, and those pulled or used later are a share of them."""
    (first, second, third) = OBSERVED
    assert _last_line(*OBSERVED, observed=True) == (
        "3 would have been evicted (estimated 3.0 GiB), 1 pulled or used since (33.3 %)."
    )
    assert _last_line(second, replace(third, estimated_bytes=None), observed=True) == (
        "2 would have been evicted (estimated 1.0 GiB; 1 not estimated), none pulled or used since."
    )
    assert "used after 3h" in _text((first,), observed=True)
    assert _totals(*OBSERVED, observed=True) == {
        "evicted": 3,
        "regretted": 1,
        "estimated_bytes": 3 * GIB,
        "reclaimed_bytes": None,
    }


def test_nothing_is_said_as_such() -> None:
    """Where nothing fits there is one sentence and no table, and an empty document."""
    assert _text(()) == "No eviction of that kind is stored.\n"
    assert _text((), observed=True) == "No image that fits and would have been evicted in mode observe is stored.\n"
    assert history_document((), observed=True) == {
        "observed": True,
        "evictions": [],
        "totals": {"evicted": 0, "regretted": 0, "estimated_bytes": 0, "reclaimed_bytes": 0},
    }


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("registry.gitlab.com/**", [RETURNED, FAILED, MANY_NAMES]),
        ("registry.gitlab.com/golem-ai/app4", [MANY_NAMES]),
        ("**:stable", [MANY_NAMES]),
        ("**:1.0", [RETURNED, FAILED]),
        ("mirror.example.com/**:1.0.*", [MANY_NAMES]),
        ("quay.io/tool", [TIMELESS]),
        ("quay.io/tool:1.0", []),
        (f"quay.io/tool@sha256:{'ab' * 32}", [TIMELESS]),
        (f"**@sha256:{hexed(1)}", [RETURNED]),
        ("<none>", [NAMELESS]),
        ("docker.io/**", []),
    ],
)
def test_a_pattern_finds_what_a_rule_would(pattern: str, found: list[PastEviction]) -> None:
    """One name of an image is enough; a digest is a name of its own only where there is no tag."""
    assert list(matching([RETURNED, FAILED, TIMELESS, MANY_NAMES, NAMELESS], parse_pattern(pattern))) == found


def test_a_reference_that_makes_no_sense_is_compared_as_text() -> None:
    """Outside the grammar only the same text fits, and it hides no other reference."""
    odd = past(references=("example.com/a..b:1", "example.com/c:1"))
    assert matching([odd], parse_pattern("example.com/a..b:1")) == (odd,)
    assert matching([odd], parse_pattern("example.com/a..b")) == ()
    assert matching([odd], parse_pattern("example.com/c")) == (odd,)
    assert matching([past(references=("example.com/a..b",))], parse_pattern("example.com/c")) == ()


def test_no_image_asks_for_all() -> None:
    """Without --image nothing is left out and the order stays."""
    assert matching(iter(PAST), None) == PAST


def test_an_id_finds_its_image() -> None:
    """The beginning of an id fits with or without its algorithm, and nothing but the beginning does."""
    bare = past(image_id="abcdef" + hexed(0)[6:])
    full = replace(bare, image_id=f"sha256:{bare.image_id}")
    assert matching([bare, full, past()], IdPrefix("abcdef")) == (bare, full)
    assert matching([bare, full], IdPrefix(bare.image_id)) == (bare, full)
    assert matching([bare, full], IdPrefix("abcdef1")) == ()
    assert matching([bare, full], IdPrefix("bcdef0")) == ()


@pytest.mark.parametrize(
    ("text", "digits"),
    [
        ("abcdef", "abcdef"),
        ("sha256:abcdef", "abcdef"),
        ("SHA256:ABCDEF0", "abcdef0"),
        (f"sha256:{hexed(7)}", hexed(7)),
    ],
)
def test_six_digits_are_an_id(text: str, digits: str) -> None:
    """From six hexadecimal digits on, with or without its algorithm, --image is an id."""
    assert parser("0").parse_args(["history", "--image", text]).image == IdPrefix(digits)


def test_anything_else_is_a_pattern() -> None:
    """A full pattern is read as the policy reads it, and without --image there is none."""
    text = "docker.io/library/nginx:1.*"
    assert parser("0").parse_args(["history", "--image", text]).image == parse_pattern(text)
    arguments = parser("0").parse_args(["history"])
    assert (arguments.image, arguments.since, arguments.observed, arguments.all) == (None, None, False, False)
    assert parser("0").parse_args(["history", "--since", "7d"]).since == timedelta(days=7)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("nginx:1", '"nginx:1" names no registry; write docker.io/library/nginx:1'),
        ("abcde", '"abcde" names no registry; write docker.io/library/abcde'),
        (hexed(1) + "0", "names no registry"),
        ("sha256:abcde", '"sha256:abcde" is no image id; write 6 to 64 of its hexadecimal digits'),
        ("sha256:abcdeg", "is no image id"),
        (f"sha256:{hexed(1)}0", "is no image id"),
        ("", '"" is empty'),
    ],
)
def test_what_is_neither_is_refused(text: str, complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What is neither id nor full pattern is bad usage, and the complaint says what to write instead."""
    with pytest.raises(SystemExit) as ended:
        parser("0").parse_args(["history", "--image", text])
    assert ended.value.code == 2
    assert complaint in capsys.readouterr().err
