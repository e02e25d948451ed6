"""A ledger with much to prune on a full disk: writes go on, pruning catches up, its files stay small."""

import multiprocessing
import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from cleaner.ledger import lacks_space
from cleaner.ledger.pruning import LARGEST_LOG_PAGES, SPARE_PAGES
from lab.bare_disk import bare_disk
from lab.disk import DiskSpec
from support.fakes import FakeTimer
from support.full_ledger import FullLedger, fill
from support.ledgers import A, B, inspect, make_ledger, query

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


@pytest.mark.parametrize("opened_first", [True, False], ids=["filled once it is open", "opened on a full disk"])
@pytest.mark.parametrize("left_kib", [0, 8, 16, 24, 32])
def test_a_few_blocks_left_do_not_end_the_process(left_kib: int, opened_first: bool, require_lab: None) -> None:
    """SQLite maps its log's index into memory: a block that the disk has no room for would be a SIGBUS."""
    with bare_disk(DiskSpec(size_mib=64)) as disk:
        first = make_ledger(disk)
        inspect(first, FakeTimer(), A)
        first.close()
        left = disk / "left"
        left.write_bytes(bytes(left_kib * 1024))

        def open_and_write() -> None:
            ledger = make_ledger(disk)
            if opened_first:
                ledger.open()
            fill(disk, 0)
            left.unlink()
            os.sync()
            inspect(ledger, FakeTimer(), A, B)
            assert ledger.error is None
            ledger.close()

        process = multiprocessing.get_context("fork").Process(target=open_and_write)
        process.start()
        process.join()
        assert process.exitcode == 0


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
            assert lacks_space(full.disk / "ledger.db")
            fill(full.disk, MB)
            course = full.prune(ledger)
            assert (course.failed, full.rows) == (0, len(course.swept))
