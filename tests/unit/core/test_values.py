"""The values themselves: what a report adds up to, the words they share, and what the core never calls."""

import ast
from collections.abc import Iterator
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from cleaner import core
from cleaner.core import ports
from cleaner.core.errors import CleanerError, ConfigError, ErrorKind, ImageInUseError, RuntimeRejectedError
from cleaner.core.findings import Finding, Grade
from cleaner.core.model import EvictionOutcome, EvictReason, KeepReason, StopReason, Trigger, Verdict
from cleaner.core.report import Eviction, SweepReport
from support.values import NOW, make_image, make_usage


def make_report(*outcomes: tuple[EvictionOutcome, int | None]) -> SweepReport:
    verdict = Verdict(make_image(), EvictReason.EXPIRED)
    return SweepReport(
        trigger=Trigger.MANUAL,
        dry_run=False,
        started_at=NOW,
        duration_seconds=0.0,
        filesystem_before=make_usage(50),
        filesystem_after=make_usage(50),
        stop_reason=StopReason.DONE,
        evictions=tuple(Eviction(verdict, outcome, reclaimed_bytes=freed) for outcome, freed in outcomes),
        plan=None,
        not_reached=0,
        low_watermark_met=True,
    )


@pytest.mark.parametrize(
    ("outcomes", "reclaimed_bytes"),
    [
        ([], 0),
        ([(EvictionOutcome.EVICTED, 0)], 0),
        ([(EvictionOutcome.EVICTED, 5), (EvictionOutcome.EVICTED, 7)], 12),
        ([(EvictionOutcome.EVICTED, 5), (EvictionOutcome.EVICTED, None)], None),
        ([(EvictionOutcome.EVICTED, 5), (EvictionOutcome.FAILED, None), (EvictionOutcome.SPARED, None)], 5),
        ([(EvictionOutcome.PLANNED, None)], 0),
    ],
)
def test_reclaimed_bytes(outcomes: list[tuple[EvictionOutcome, int | None]], reclaimed_bytes: int | None) -> None:
    """A report adds up what was measured, and says that it does not know once one removal could not be."""
    assert make_report(*outcomes).reclaimed_bytes == reclaimed_bytes


def test_reasons_are_the_words_of_the_design_in_its_order() -> None:
    """Keep reasons carry the design's words, in the order in which they win."""
    assert [reason.value for reason in KeepReason] == [
        "unreadable",
        "in_use",
        "sandbox",
        "pinned",
        "protected",
        "unremovable",
        "removal_failed",
        "unmatched",
        "local",
        "recent",
        "newest",
        "unexpired",
        "rule_on_hold",
        "registry_down",
        "no_gain",
    ]


def test_no_word_means_two_things() -> None:
    """Reasons to keep and to evict share no word, so a count by reason needs no second label."""
    assert not {reason.value for reason in KeepReason} & {reason.value for reason in EvictReason}


def test_references_are_tags_then_digests() -> None:
    """An image's references list its tags before its digests."""
    image = make_image()
    assert image.references == image.tags + image.digests


def test_a_finding_is_graded_by_a_word() -> None:
    """A finding of `check` has a grade, and the grade is the word that is shown."""
    finding = Finding("socket", Grade.NOTE, "not found")
    assert f"{finding.subject}: {finding.grade}" == "socket: note"


def test_values_cannot_be_changed() -> None:
    """What was decided cannot be changed on its way to the report."""
    with pytest.raises(FrozenInstanceError):
        make_image().pinned = True  # type: ignore[misc]


def subclasses(kind: type[CleanerError]) -> Iterator[type[CleanerError]]:
    for subclass in kind.__subclasses__():
        yield subclass
        yield from subclasses(subclass)


def test_every_kind_of_error_has_its_class() -> None:
    """Each word for an error is that of at least one class of the core."""
    assert {error.kind for error in subclasses(CleanerError)} == set(ErrorKind)


def test_a_config_error_has_a_line_for_each_problem() -> None:
    """All problems are kept one by one, and read as one text."""
    error = ConfigError("a: wrong", "b: wrong")
    assert error.problems == ("a: wrong", "b: wrong")
    assert str(error) == "a: wrong\nb: wrong"


def test_an_image_in_use_is_a_rejection() -> None:
    """Code that handles rejections handles this one too."""
    assert issubclass(ImageInUseError, RuntimeRejectedError)


def test_the_core_never_asks_what_time_it_is() -> None:
    """`now` is given: nothing in the core reads a clock, sleeps, opens a file or prints."""
    for path in Path(core.__file__).parent.rglob("*.py"):
        calls = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        names = {call.attr if isinstance(call, ast.Attribute) else getattr(call, "id", "") for call in calls}
        assert not names & {"now", "today", "utcnow", "time", "monotonic", "sleep", "open", "print"}, path


def test_ports_are_protocols() -> None:
    """The world outside is named and never implemented here."""
    for name in ("Runtime", "Disk", "Timer", "Stop", "Ledger", "Outlet"):
        assert getattr(ports, name)._is_protocol
