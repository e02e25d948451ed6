"""Images removed externally: found by two inspections, reported once, and never confused with an eviction of ours."""

import sqlite3
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from cleaner.core.disk_usage import Usage
from cleaner.core.errors import EnvironmentUnusableError
from cleaner.core.events import Checked, ImagesRemovedExternally
from cleaner.core.history import ExternallyRemovedImage
from cleaner.core.model import EvictionOutcome, Image
from cleaner.ledger.ledger import SqliteLedger
from cleaner.ledger.removed_externally import PeakUsage
from cleaner.ledger.rows import micros
from cleaner.ledger.schema import APPLICATION_ID, STEPS
from support.fakes import NOON, FakeTimer
from support.ledgers import A, B, C, evict, inspect, make_ledger, query, start_eviction, start_sweep, sweep_once

MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)


@pytest.fixture
def timer() -> FakeTimer:
    return FakeTimer()


@pytest.fixture
def ledger(tmp_path: Path, timer: FakeTimer) -> SqliteLedger:
    """A daemon's, which has seen three images."""
    ledger = make_ledger(tmp_path, timer, tells=True)
    inspect(ledger, timer, A, B, C, used=[A])
    return ledger


def reported(ledger: SqliteLedger) -> list[list[str]]:
    """Ids of the images removed externally, by inspection."""
    return [[i.image_id for i in news.images] for news in ledger.news() if isinstance(news, ImagesRemovedExternally)]


def gone(ledger: SqliteLedger) -> list[tuple[str, datetime, datetime]]:
    """Each image removed externally, when it was last there, and when it was not."""
    return [(i.image_id, i.last_seen_at, i.gone_at) for i in ledger.external_removal_history()]


def measure(ledger: SqliteLedger, timer: FakeTimer, used: int) -> None:
    ledger.record(Checked(Usage("/images", 1000, 1000 - 10 * used, 0, 0, 0), timer.now()))


def test_an_image_that_two_inspections_miss_was_removed_externally(ledger: SqliteLedger, timer: FakeTimer) -> None:
    """It was there at the first time and gone at the second; it is reported once, after the second inspection."""
    timer.move(minutes=1)
    inspect(ledger, timer, B)
    assert reported(ledger) == []
    timer.move(seconds=5)
    inspect(ledger, timer, B)
    assert reported(ledger) == [[A.id, C.id]]
    inspect(ledger, timer, B)
    assert reported(ledger) == []
    assert gone(ledger) == [(A.id, NOON, NOON + MINUTE), (C.id, NOON, NOON + MINUTE)]
    first, second = ledger.external_removal_history()
    assert first == ExternallyRemovedImage(A.id, A.references, NOON, NOON + MINUTE, NOON, NOON)
    assert second == ExternallyRemovedImage(C.id, C.references, NOON, NOON + MINUTE, NOON)


def test_an_image_that_is_missing_once_was_not_removed(ledger: SqliteLedger, timer: FakeTimer) -> None:
    """A runtime that lists nothing once, or an image that was pulled anew between two inspections, leaves no trace."""
    for listed in ((), (A, B, C), (B, C), (A, B, C), (A, B, C)):
        timer.move(minutes=1)
        inspect(ledger, timer, *listed)
        assert reported(ledger) == []
    assert gone(ledger) == []


def test_a_node_that_lost_all_its_images_is_reported(ledger: SqliteLedger, timer: FakeTimer) -> None:
    """Another root of the runtime, or one that keeps on listing nothing: all of them, in one line."""
    for _ in range(3):
        timer.move(minutes=1)
        inspect(ledger, timer)
    assert reported(ledger) == [[A.id, B.id, C.id]]


def test_a_return_is_stored(ledger: SqliteLedger, timer: FakeTimer) -> None:
    """It stays reported, with the time of its return; removed a second time it is another one."""
    times = []
    for listed in ((B, C), (B, C), (A, B, C), (B, C), (B, C)):
        timer.move(minutes=1)
        inspect(ledger, timer, *listed)
        times.append(reported(ledger))
    assert times == [[], [[A.id]], [], [], [[A.id]]]
    again, before = ledger.external_removal_history()
    assert (before.gone_at, before.returned_at) == (NOON + MINUTE, NOON + 3 * MINUTE)
    assert (again.last_seen_at, again.gone_at, again.returned_at) == (NOON + 3 * MINUTE, NOON + 4 * MINUTE, None)


def test_only_what_is_there_again_has_returned(ledger: SqliteLedger, timer: FakeTimer) -> None:
    """Others that were missing at the same inspection stay gone."""
    for listed in ((B,), (B,), (A, B)):
        timer.move(minutes=1)
        inspect(ledger, timer, *listed)
    back = {image.image_id: image.returned_at for image in ledger.external_removal_history()}
    assert back == {A.id: NOON + 3 * MINUTE, C.id: None}


def test_what_was_removed_while_no_agent_ran_is_found_at_the_start(
    ledger: SqliteLedger, timer: FakeTimer, tmp_path: Path
) -> None:
    """By the last sample of before; the process that finds it reports it."""
    timer.move(minutes=3)
    inspect(ledger, timer, A, B, C)
    ledger.close()
    timer.move(hours=5)
    second = make_ledger(tmp_path, timer, tells=True)
    inspect(second, timer, A, B)
    assert reported(second) == []
    second.close()
    timer.move(hours=1)
    third = make_ledger(tmp_path, timer, tells=True)
    inspect(third, timer, A, B)
    assert reported(third) == [[C.id]]
    assert gone(third) == [(C.id, NOON + 3 * MINUTE, NOON + 3 * MINUTE + timedelta(hours=5))]


@pytest.mark.parametrize("outcome", [EvictionOutcome.EVICTED, EvictionOutcome.FAILED])
def test_an_eviction_of_ours_is_none(ledger: SqliteLedger, timer: FakeTimer, outcome: EvictionOutcome) -> None:
    """Also one that failed because records were left, or that the runtime did after its deadline."""
    timer.move(minutes=1)
    start_sweep(ledger, timer.now())
    evict(ledger, A, timer.now(), outcome)
    for _ in range(3):
        timer.move(minutes=1)
        inspect(ledger, timer, B, C)
    assert (reported(ledger), gone(ledger)) == ([], [])


def test_an_image_that_was_spared_may_be_removed_externally(ledger: SqliteLedger, timer: FakeTimer) -> None:
    """The final check spared it, and another program removed it."""
    evict(ledger, A, timer.now(), EvictionOutcome.SPARED)
    for _ in range(2):
        timer.move(minutes=1)
        inspect(ledger, timer, B, C)
    assert reported(ledger) == [[A.id]]


@pytest.mark.parametrize(("seconds", "ours"), [(299, True), (300, False), (301, False)])
def test_an_eviction_long_before_it_was_last_seen_did_not_remove_it(
    ledger: SqliteLedger, timer: FakeTimer, seconds: int, ours: bool
) -> None:
    """One that failed less than five minutes before may have come true since."""
    evict(ledger, A, timer.now(), EvictionOutcome.FAILED)
    timer.move(seconds=seconds)
    inspect(ledger, timer, A, B, C)
    for _ in range(2):
        timer.move(minutes=1)
        inspect(ledger, timer, B, C)
    assert reported(ledger) == ([] if ours else [[A.id]])


def by_hand(folder: Path, timer: FakeTimer) -> None:
    """Another process evicts, from its begin to its end."""
    other = make_ledger(folder, timer)
    with other.sweep_turn() as ours:
        assert ours
        inspect(other, timer, A, B, C)
        sweep_once(other, timer.now(), A)
    other.close()


def test_what_another_process_of_ours_evicts_is_none(ledger: SqliteLedger, timer: FakeTimer, tmp_path: Path) -> None:
    """`cleaner sweep` beside the daemon; also when its removal is under way during an inspection of the daemon."""
    timer.move(minutes=1)
    by_hand(tmp_path, timer)
    other = make_ledger(tmp_path, timer)
    with other.sweep_turn():
        inspect(other, timer, B, C)
        start_eviction(other, B, timer.now())
        for _ in range(2):
            timer.move(minutes=1)
            inspect(ledger, timer, C)
        evict(other, B, timer.now())
    other.close()
    for _ in range(2):
        timer.move(minutes=1)
        inspect(ledger, timer, C)
    assert (reported(ledger), gone(ledger)) == ([], [])


def test_an_eviction_that_was_written_late_is_none(ledger: SqliteLedger, timer: FakeTimer, tmp_path: Path) -> None:
    """A process that could not write until after the first inspection that missed the image."""
    timer.move(minutes=1)
    inspect(ledger, timer, B, C)
    assert len(gone(ledger)) == 1
    other = make_ledger(tmp_path, timer)
    evict(other, A, timer.now())
    other.close()
    timer.move(minutes=1)
    inspect(ledger, timer, B, C)
    assert (reported(ledger), gone(ledger)) == ([], [])


def test_what_a_killed_process_evicted_is_none(ledger: SqliteLedger, timer: FakeTimer, tmp_path: Path) -> None:
    """Its eviction was under way, is settled as done by its image, and nothing was removed externally."""
    other = make_ledger(tmp_path, timer)
    start_eviction(other, A, timer.now())
    other.close()
    for _ in range(3):
        timer.move(minutes=1)
        inspect(ledger, timer, B, C)
    assert (reported(ledger), gone(ledger)) == ([], [])
    assert [past.image_id for past in ledger.history()] == [A.id]


def test_what_another_process_finds_is_reported_by_the_daemon(
    ledger: SqliteLedger, timer: FakeTimer, tmp_path: Path
) -> None:
    """The first inspection stores it, whatever process makes it; only the daemon reports it, and it is stored once."""
    other = make_ledger(tmp_path, timer)
    timer.move(minutes=1)
    inspect(other, timer, B, C)
    assert other.news() == ()
    other.close()
    for _ in range(2):
        timer.move(minutes=1)
        inspect(ledger, timer, B, C)
    assert reported(ledger) == [[A.id]]
    assert gone(ledger) == [(A.id, NOON, NOON + MINUTE)]


def test_one_line_for_each_inspection(ledger: SqliteLedger, timer: FakeTimer, tmp_path: Path) -> None:
    """What two inspections missed, one after the other while no daemon ran, is reported apart, oldest first."""
    ledger.close()
    other = make_ledger(tmp_path, timer)
    for listed in ((B, C), (C,), (C,)):
        timer.move(minutes=1)
        inspect(other, timer, *listed)
    other.close()
    daemon = make_ledger(tmp_path, timer, tells=True)
    inspect(daemon, timer, C)
    assert reported(daemon) == [[A.id], [B.id]]


def tagged(number: int, *tags: str) -> Image:
    return Image(f"sha256:{number:064x}", tags, (f"r.io/a@sha256:{number:064x}",))


@pytest.mark.parametrize(
    ("there", "replaced"),
    [
        ([tagged(2, "r.io/a:1", "r.io/a:2")], True),
        ([tagged(2, "r.io/a:1"), tagged(3, "r.io/a:2")], True),
        ([tagged(2, "r.io/a:1")], False),
        ([tagged(2)], False),
    ],
)
def test_an_image_whose_tags_moved_is_stored_and_not_reported(
    tmp_path: Path, timer: FakeTimer, there: list[Image], replaced: bool
) -> None:
    """Where every tag names another image now; one that is named by nothing more is missed."""
    ledger = make_ledger(tmp_path, timer, tells=True)
    old = tagged(1, "r.io/a:1", "r.io/a:2")
    inspect(ledger, timer, old)
    for _ in range(2):
        timer.move(minutes=1)
        inspect(ledger, timer, *there)
    assert reported(ledger) == ([] if replaced else [[old.id]])
    (image,) = ledger.external_removal_history()
    assert image.replaced_by == (tagged(2).id if replaced else None)
    assert not ledger.news()


def test_an_image_without_tags_is_not_replaced(tmp_path: Path, timer: FakeTimer) -> None:
    """One that was known by its digest only, or by its id, is missed."""
    ledger = make_ledger(tmp_path, timer, tells=True)
    inspect(ledger, timer, tagged(1), Image("bare", (), ()))
    for _ in range(2):
        timer.move(minutes=1)
        inspect(ledger, timer, tagged(2, "r.io/a:1"))
    assert reported(ledger) == [[tagged(1).id, "bare"]]


def test_the_highest_usage_between_both_inspections_is_stored(ledger: SqliteLedger, timer: FakeTimer) -> None:
    """Measured since the last inspection, including the measurement right before it; older ones do not count."""
    for used in (90, 60):
        measure(ledger, timer, used)
    timer.move(minutes=1)
    inspect(ledger, timer, A, B, C)
    for used in (70, 86, 72):
        measure(ledger, timer, used)
    ledger.record(Checked(None, None))
    timer.move(minutes=1)
    inspect(ledger, timer, B, C)
    timer.move(minutes=1)
    inspect(ledger, timer, C)
    assert [(image.image_id, image.used_percent) for image in ledger.external_removal_history()] == [
        (B.id, 72),
        (A.id, 86),
    ]


@pytest.mark.parametrize(("measured", "peak"), [([], None), ([5.0], 5.0), ([5.0, 7.0, 6.0], 7.0)])
def test_a_peak_begins_with_the_latest_measurement(measured: list[float], peak: float | None) -> None:
    """After an inspection the latest one still counts, until a higher one comes."""
    usage = PeakUsage()
    for percent in measured:
        usage.add_measurement(percent)
    assert usage.percent == peak
    usage.reset()
    assert usage.percent == (measured[-1] if measured else None)


def test_what_could_not_be_written_is_not_lost(ledger: SqliteLedger, timer: FakeTimer, tmp_path: Path) -> None:
    """A ledger that was down at the first inspection stores it when it is up; last seen is what the disk says."""
    ledger._file._disconnect()
    moved = tmp_path / "elsewhere"
    (tmp_path / "ledger.db").rename(moved)
    (tmp_path / "ledger.db").mkdir()
    timer.move(minutes=1)
    inspect(ledger, timer, B, C)
    assert ledger.error is not None
    (tmp_path / "ledger.db").rmdir()
    moved.rename(tmp_path / "ledger.db")
    for _ in range(3):
        timer.move(minutes=1)
        inspect(ledger, timer, B, C)
    assert ledger.error is None
    assert reported(ledger) == [[A.id]]
    ((image_id, last_seen, gone_at),) = gone(ledger)
    assert (image_id, last_seen) == (A.id, NOON)
    assert NOON + MINUTE <= gone_at <= NOON + 2 * MINUTE


@pytest.mark.parametrize(("seconds", "left"), [(-1, 1), (0, 1), (1, 0)])
def test_it_is_forgotten_with_all_other_history(tmp_path: Path, timer: FakeTimer, seconds: int, left: int) -> None:
    """At state.keep itself it is still there."""
    keep = timedelta(days=7)
    ledger = make_ledger(tmp_path, timer, keep=keep)
    inspect(ledger, timer, A, B)
    inspect(ledger, timer, B)
    timer.move(seconds=keep.total_seconds() + seconds)
    inspect(ledger, timer, B)
    timer.move(days=1)  # it is pruned by the time of the pruning before
    inspect(ledger, timer, B)
    assert len(ledger.external_removal_history()) == left


def test_history_is_asked_for_from_a_time_on(ledger: SqliteLedger, timer: FakeTimer, tmp_path: Path) -> None:
    """The begin itself is part of it; a reader sees what the daemon wrote."""
    for listed in ((B, C), (C,), (C,)):
        timer.move(minutes=1)
        inspect(ledger, timer, *listed)
    reader = make_ledger(tmp_path, timer, writable=False)
    assert [image.image_id for image in reader.external_removal_history()] == [B.id, A.id]
    assert [image.image_id for image in reader.external_removal_history(NOON + 2 * MINUTE)] == [B.id]
    assert reader.external_removal_history(NOON + 2 * MINUTE + SECOND) == ()
    reader.close()


def test_a_file_of_the_version_before_is_brought_up_to_date(tmp_path: Path, timer: FakeTimer) -> None:
    """What was gone by then is history and not removed externally; later removals are."""
    connection = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
    for statement in (*STEPS[0].statements, f"PRAGMA application_id = {APPLICATION_ID}", "PRAGMA user_version = 1"):
        connection.execute(statement)
    for image, gone_at in ((A, None), (B, None), (C, micros(NOON))):
        row = (image.id, micros(NOON), gone_at)
        connection.execute("INSERT INTO image (id, first_seen, gone_at) VALUES (?, ?, ?)", row)
    connection.close()
    reader = make_ledger(tmp_path, timer, writable=False)
    with pytest.raises(EnvironmentUnusableError, match="an older version, and the daemon has not brought it up to"):
        reader.external_removal_history()
    ledger = make_ledger(tmp_path, timer, tells=True)
    for _ in range(2):
        timer.move(minutes=1)
        inspect(ledger, timer, B)
    assert ledger.error is None
    assert reported(ledger) == [[A.id]]
    assert query(tmp_path, "SELECT last_seen = gone_at FROM removed_externally") == [(1,)]
