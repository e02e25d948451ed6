"""A ledger with much to prune on a full disk: writes go on, pruning catches up, its files stay small."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from cleaner.ledger.pruning import LARGEST_LOG_PAGES, SPARE_PAGES
from lab.bare_disk import bare_disk
from lab.disk import DiskSpec
from support.full_ledger import FullLedger, fill
from support.ledgers import A, inspect, query

ROWS = 100_000
MB = 1_000_000
PAGE_BYTES = 4096
FREE = pytest.mark.parametrize("free_mb", [0, 1, 20])


@contextmanager
def full_ledger() -> Iterator[FullLedger]:
    with bare_disk(DiskSpec(size_mib=FullLedger.disk_mib(ROWS))) as disk:
        yield FullLedger(disk, ROWS)


@FREE
@pytest.mark.parametrize("running", [True, False], ids=["filled while it runs", "started on a full disk"])
def test_pruning_catches_up_and_writes_go_on(free_mb: int, running: bool, require_lab: None) -> None:
    """Not one write fails, each eviction of that time is on disk, and the file gives its space back."""
    with full_ledger() as full:
        before = full.sizes
        with full.lowered_keep(free_mb * MB, running=running) as ledger:
            print(f"\n{free_mb} MB free; before: {before}")
            course = full.prune(ledger)
            print(f"{course.inspections} inspections, largest log {course.largest_log_bytes}; after: {full.sizes}")
            assert course.failed == 0
            assert full.rows == len(course.swept)
            assert {eviction.image_id for eviction in ledger.history()} == set(course.swept)
            assert course.largest_log_bytes <= 2 * LARGEST_LOG_PAGES * PAGE_BYTES
            assert full.sizes["ledger.db"] <= (2 * SPARE_PAGES) * PAGE_BYTES
        assert query(full.disk, "PRAGMA integrity_check") == [("ok",)]


@FREE
def test_one_transaction_fails_there(free_mb: int, require_lab: None) -> None:
    """What the test above would see without batches: the log needs as much space as the rows."""
    with full_ledger() as full:
        fill(full.disk, free_mb * MB)
        log_bytes, error = full.prune_at_once()
        print(f"\nlog of {log_bytes} bytes: {error}")
        assert error
        assert full.sizes["ledger.db-spare"]


def test_without_spare_space_it_waits_for_some(require_lab: None) -> None:
    """A ledger that never had room for it: nothing works at 0 bytes, all of it once there is a little."""
    with full_ledger() as full:
        (full.disk / "ledger.db-spare").unlink()
        with full.lowered_keep(0, running=False) as ledger:
            inspect(ledger, full.timer, A)
            assert ledger.error
            print(f"\n{ledger.error}")
            fill(full.disk, MB)
            course = full.prune(ledger)
            assert (course.failed, full.rows) == (0, len(course.swept))
