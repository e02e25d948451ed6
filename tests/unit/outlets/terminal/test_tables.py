"""Plans and sweeps for people."""

import io
from dataclasses import replace

import pytest

from cleaner.core.events import EvictionEnded, RegistriesProbed, SweepFailed, SweepStarted
from cleaner.core.model import KeepReason, Plan, StopReason, Trigger
from cleaner.core.reclaim import Holder, Size
from cleaner.outlets.terminal.progress import ProgressLines
from cleaner.outlets.terminal.tables import WHY_ENDED, WHY_KEPT, print_holders, print_plan, print_sweep
from cleaner.outlets.units import MOST_ROWS
from unit.outlets.happenings import (
    BYTES_ONLY,
    DRY_REPORT,
    EVERYTHING,
    EVICTED,
    FAILED,
    FULL,
    GIB,
    MIDNIGHT,
    NIGHT,
    SPARED,
    UNAVAILABLE,
    candidate,
    image,
    report,
    staying,
)


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def _plan_text(plan: Plan = NIGHT, *, all_rows: bool = False, notices: tuple[str, ...] = ()) -> str:
    stream = io.StringIO()
    print_plan(plan, FULL, notices, stream, all_rows=all_rows)
    return stream.getvalue()


def _sweep_text(**changes: object) -> str:
    stream = io.StringIO()
    print_sweep(report(**changes), stream)
    return stream.getvalue()


def _row(text: str, word: str) -> list[str]:
    return next(line for line in text.splitlines() if word in line).split()


def test_a_plan_has_a_row_per_image() -> None:
    """A row has verdict, reason, rule, age, bytes that it frees, size, reference and short id."""
    text = _plan_text()
    assert _row(text, "app1") == [
        *("evict", "expired", "company", "45d", "-", "1.0", "GiB"),
        "registry.gitlab.com/golem-ai/app1:1.0",
        "000000000000",
    ]
    assert _row(text, "kept10")[:4] == ["keep", "in_use", "-", "-"]
    assert "A nightly sweep would evict 4 images and keep 3." in text


def test_a_plan_says_what_it_frees() -> None:
    """Where bytes are estimated each row has its own, and the closing line those of all that would be evicted."""
    (first, second, *others) = NIGHT.evictions
    plan = Plan(
        Trigger.PRESSURE,
        (replace(first, reclaimable=Size(3 * GIB, 3)),),
        NIGHT.kept,
        Size(9 * GIB, 9),
        not_reached=(replace(second, reclaimable=Size(6 * GIB, 6)), *others),
        low_watermark_reachable=True,
    )
    text = _plan_text(plan)
    assert _row(text, "app1")[4:8] == ["3.0", "GiB", "1.0", "GiB"]
    assert _row(text, "app2")[:8] == ["not", "reached", "expired", "company", "45d", "6.0", "GiB", "2.0"]
    assert "A pressure sweep would evict 1 image, which frees 3.0 GiB, and keep 6, 3 of them not reached." in text
    assert "low watermark" not in text


@pytest.mark.parametrize(("count", "shown"), [(MOST_ROWS, True), (MOST_ROWS + 1, False)])
def test_many_images_that_are_not_needed_are_counted(count: int, *, shown: bool) -> None:
    """More than fifty candidates that are not needed are a number, unless all are asked for."""
    rest = tuple(candidate(number) for number in range(2, count + 2))
    plan = Plan(Trigger.PRESSURE, (candidate(1),), (), Size(9, 9), not_reached=rest, low_watermark_reachable=True)
    assert ("not reached  " in _plan_text(plan)) is shown
    assert f"keep {count}, {count} of them not reached." in _plan_text(plan)
    assert f"app{count + 1}:1.0" in _plan_text(plan, all_rows=True)


def test_holders_are_a_line() -> None:
    """Bytes by holder are one line without the holders that have none, and no line where they are not known."""
    stream = io.StringIO()
    print_holders(None, stream)
    assert not stream.getvalue()
    print_holders({Holder.IN_USE: 2 * GIB, Holder.KEPT: 0, Holder.NON_IMAGE: GIB}, stream)
    assert stream.getvalue() == "Held by: in_use 2.0 GiB, non_image 1.0 GiB.\n"


def test_a_plan_says_what_is_used_and_the_notices() -> None:
    """The filesystem's usage comes first, what must be said last."""
    lines = _plan_text(notices=("memory is 3 h old",)).splitlines()
    assert lines[0] == "/var/lib/containerd: 80.0 % used, 20.0 GiB of 100.0 GiB available; inodes: 60.0 % used."
    assert lines[-1] == "memory is 3 h old"


@pytest.mark.parametrize(("kept", "grouped"), [(MOST_ROWS, False), (MOST_ROWS + 1, True)])
def test_many_kept_images_are_grouped(kept: int, *, grouped: bool) -> None:
    """More than fifty kept images are counted by reason, with examples, unless all are asked for."""
    plan = Plan(Trigger.NIGHTLY, (candidate(1),), tuple(staying(number, KeepReason.IN_USE) for number in range(kept)))
    assert (f"kept{kept - 1}:1" not in _plan_text(plan)) is grouped
    assert (WHY_KEPT[KeepReason.IN_USE] in _plan_text(plan)) is grouped
    assert f"kept{kept - 1}:1" in _plan_text(plan, all_rows=True)


def test_every_reason_has_words() -> None:
    """No reason to keep an image or to end a sweep is without an explanation."""
    assert set(WHY_KEPT) == set(KeepReason)
    assert set(WHY_ENDED) == set(StopReason)


def test_an_image_of_a_rule_on_hold_says_so() -> None:
    """An image of a rule on hold is a row with its reason; many are a line that says why."""
    on_hold = replace(candidate(1), reason=KeepReason.RULE_ON_HOLD)
    assert _row(_plan_text(Plan(Trigger.NIGHTLY, (), (on_hold,))), "app1")[:4] == [
        "keep",
        "rule_on_hold",
        "company",
        "45d",
    ]
    many = tuple(staying(number, KeepReason.RULE_ON_HOLD) for number in range(MOST_ROWS + 1))
    row = " ".join(_row(_plan_text(Plan(Trigger.NIGHTLY, (), many)), "on hold"))
    assert row.startswith(
        f"{MOST_ROWS + 1} rule_on_hold its rule is on hold: too many images that it evicted were re-pulled "
    )


def test_first_sight_is_told_from_a_pull_time() -> None:
    """An image that is recent only because no pull time is known says so."""
    kept = replace(staying(1, KeepReason.RECENT), by_memory=True)
    assert "recent (first seen)" in _plan_text(Plan(Trigger.NIGHTLY, (), (kept,)))


def test_an_image_without_tags_is_named_by_its_digest() -> None:
    """Without a tag the digest is shown with twelve digits; without both it is <none>."""
    by_digest = replace(candidate(1), image=image(1, digests=("example.com/a@sha256:" + "ab" * 32,)))
    nameless = replace(candidate(2), image=image(2))
    text = _plan_text(Plan(Trigger.NIGHTLY, (by_digest, nameless), ()))
    assert "example.com/a@sha256:abababababab " in text
    assert "<none>" in text


def test_a_file_has_no_colour_and_no_folded_reference() -> None:
    """Where there is no terminal the text is plain and each reference on one line."""
    long = "registry.example.com/" + "deep/" * 40 + "app:1"
    text = _plan_text(Plan(Trigger.NIGHTLY, (replace(candidate(1), image=image(1, long)),), ()))
    assert long in text
    assert "\x1b" not in text


def test_a_narrow_terminal_folds_references() -> None:
    """On a terminal a long reference is folded, and no part of it is lost."""
    long = "registry.example.com/" + "deep/" * 40 + "app:1"
    stream = _Terminal()
    print_plan(Plan(Trigger.NIGHTLY, (replace(candidate(1), image=image(1, long)),), ()), FULL, (), stream)
    assert stream.getvalue().count("deep/") + stream.getvalue().count("dee") >= 40
    assert "…" not in stream.getvalue()


def test_an_empty_node_has_a_plan_too() -> None:
    """Without images and without a readable disk there are two lines and no table."""
    stream = io.StringIO()
    print_plan(Plan(Trigger.NIGHTLY, (), ()), None, (), stream)
    assert stream.getvalue().splitlines() == [
        "The filesystem of the images could not be read.",
        "A nightly sweep would evict 0 images and keep 0.",
    ]


def test_a_sweep_says_what_was_evicted_what_stayed_and_why() -> None:
    """A sweep has a row per eviction with its estimated and reclaimed bytes, the kept ones, and a closing line."""
    text = _sweep_text()
    assert _row(text, "app1")[:8] == ["evicted", "expired", "company", "45d", "7.0", "GiB", "6.0", "GiB"]
    assert "still there after RemoveImage" in text
    assert _row(text, "kept12")[:2] == ["kept", "recent"]
    assert (
        "The nightly sweep ended after 12 s, the limit of evictions is reached: "
        "1 evicted, 1 failed, 1 spared, 3 kept, 1 not reached." in text
    )
    assert "Freed 6.0 GiB; 80.0 % used before, 70.0 % after." in text


def test_a_sweep_groups_many_kept_images() -> None:
    """A sweep's many kept images are grouped, too, unless all rows are asked for."""
    kept = tuple(staying(number, KeepReason.PINNED) for number in range(MOST_ROWS + 1))
    plan = replace(NIGHT, kept=kept)
    assert WHY_KEPT[KeepReason.PINNED] in _sweep_text(plan=plan)
    stream = io.StringIO()
    print_sweep(report(plan=plan), stream, all_rows=True, notices=["n"])
    assert f"kept{MOST_ROWS}:1" in stream.getvalue()


def test_a_sweep_that_cannot_measure_says_so() -> None:
    """A filesystem that cannot say what an image freed is not reported as 0."""
    text = _sweep_text(evictions=(replace(EVICTED, reclaimed_bytes=None),))
    assert "Freed what this filesystem cannot say per image" in text


def test_a_dry_run_frees_nothing() -> None:
    """A dry run says what is planned and how full the disk is, and nothing of freed bytes."""
    stream = io.StringIO()
    print_sweep(DRY_REPORT, stream)
    assert "The nightly dry run ended after 12 s, there was nothing more to evict: 1 planned" in stream.getvalue()
    assert "Freed" not in stream.getvalue()


def test_a_sweep_that_was_not_needed_has_no_table() -> None:
    """Below the high watermark there are two lines: why it ended, and how full the disk is."""
    text = _sweep_text(plan=None, evictions=(), not_reached=0, stop_reason=StopReason.NOT_NEEDED)
    assert text.splitlines() == [
        "The nightly sweep ended after 12 s, nothing is at its high watermark: 0 kept.",
        "/var/lib/containerd: 80.0 % used, 20.0 GiB of 100.0 GiB available; inodes: 60.0 % used.",
    ]


def test_progress_has_a_line_per_eviction() -> None:
    """A sweep's begin and each eviction are a line, with a count of how many are left."""
    stream = io.StringIO()
    progress = ProgressLines(stream)
    progress.record(SweepStarted(NIGHT, BYTES_ONLY, MIDNIGHT, dry_run=False))
    progress.record(RegistriesProbed(frozenset({"docker.io"}), {"r.io": "HTTP 503"}))
    for eviction in (EVICTED, FAILED, SPARED):
        progress.record(EvictionEnded(Trigger.NIGHTLY, eviction, MIDNIGHT))
    progress.record(SweepFailed(Trigger.NIGHTLY, UNAVAILABLE, 60.0, MIDNIGHT))
    assert stream.getvalue().splitlines() == [
        "nightly sweep: 4 of 7 images may be evicted; 80.0 % used.",
        "The registry r.io is down (HTTP 503): its images stay.",
        "[1/4] evicted registry.gitlab.com/golem-ai/app1:1.0 (expired, 45d old), 6.0 GiB freed",
        "[2/4] failed registry.gitlab.com/golem-ai/app2:1.0 (expired, 45d old): still there after RemoveImage",
        "[3/4] spared registry.gitlab.com/golem-ai/app3:1.0 (expired, 45d old): a container uses it now",
        "The nightly sweep failed: nobody listens at /run/containerd/containerd.sock",
    ]


@pytest.mark.parametrize(
    ("held", "says"),
    [(None, ""), ({**dict.fromkeys(Holder, 0), Holder.NON_IMAGE: GIB}, " Held by: non_image 1.0 GiB.")],
)
def test_progress_says_what_is_in_vain_first(held: dict[Holder, int] | None, says: str) -> None:
    """If the low watermark is out of reach, that is the second line, with the bytes by holder where they are known."""
    stream = io.StringIO()
    plan = replace(NIGHT, low_watermark_reachable=False)
    ProgressLines(stream).record(SweepStarted(plan, BYTES_ONLY, MIDNIGHT, dry_run=False, held=held))
    assert stream.getvalue().splitlines()[1] == f"All candidates together do not reach the low watermark.{says}"


def test_progress_counts_evictions_beyond_the_estimate() -> None:
    """Images that are not needed count as images, and one that is evicted after all as one more."""
    stream = io.StringIO()
    progress = ProgressLines(stream)
    plan = replace(NIGHT, evictions=NIGHT.evictions[:1], not_reached=NIGHT.evictions[1:])
    progress.record(SweepStarted(plan, BYTES_ONLY, MIDNIGHT, dry_run=False))
    for eviction in (FAILED, EVICTED):
        progress.record(EvictionEnded(Trigger.PRESSURE, eviction, MIDNIGHT))
    assert [line.split()[:5] for line in stream.getvalue().splitlines()] == [
        ["nightly", "sweep:", "1", "of", "7"],
        ["[1/1]", "failed", "registry.gitlab.com/golem-ai/app2:1.0", "(expired,", "45d"],
        ["[2/2]", "evicted", "registry.gitlab.com/golem-ai/app1:1.0", "(expired,", "45d"],
    ]


def test_progress_survives_a_reader_that_left() -> None:
    """A closed stream does not end the sweep."""
    stream = io.StringIO()
    stream.close()
    progress = ProgressLines(stream)
    for event in EVERYTHING:
        progress.record(event)
