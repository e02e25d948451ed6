"""Prune a million old rows on a disk that is full, or nearly: in batches as the daemon does, beside one transaction.

It prints each figure beside the one to compare it with.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.light import MIB
from lab.bare_disk import bare_disk
from lab.disk import DiskSpec
from support.full_ledger import FullLedger, fill

ROWS = 1_000_000
MB = 1_000_000
FREE_MB = (0, 1, 20)


def main() -> int:
    """Both ways at each number of free bytes."""
    print(f"{ROWS:,} evictions, all older than state.keep; then an inspection and a new eviction each minute")
    line("MB free", "", "old rows", "failed", "largest", "ledger MiB", "", "inspections", "seconds", "slowest")
    line("", "", "left", "writes", "log MiB", "before", "after", "", "", "turn s")
    for free_mb in FREE_MB:
        in_batches(free_mb, running=True)
        in_batches(free_mb, running=False)
        at_once(free_mb)
    return 0


@contextmanager
def full_ledger() -> Iterator[FullLedger]:
    """One on a disk of its own."""
    with bare_disk(DiskSpec(size_mib=FullLedger.disk_mib(ROWS))) as disk:
        yield FullLedger(disk, ROWS)


def in_batches(free_mb: int, *, running: bool) -> None:
    """As the daemon does it."""
    with full_ledger() as full:
        before = full.sizes["ledger.db"]
        with full.lowered_keep(free_mb * MB, running=running) as ledger:
            course = full.prune(ledger)
            line(
                free_mb,
                "in batches, filled while it runs" if running else "in batches, started when full",
                full.rows - len(course.swept),
                course.failed,
                mib(course.largest_log_bytes),
                mib(before),
                mib(full.sizes["ledger.db"]),
                course.inspections,
                f"{course.seconds:.1f}",
                f"{course.slowest_seconds:.2f}",
            )


def at_once(free_mb: int) -> None:
    """In one transaction, as it was done before."""
    with full_ledger() as full:
        before = full.sizes["ledger.db"]
        fill(full.disk, free_mb * MB)
        log_bytes, error = full.prune_at_once()
        line(free_mb, "in one transaction", ROWS if error else 0, error or 0, mib(log_bytes), mib(before))


def mib(size_bytes: int) -> str:
    """Mebibytes."""
    return f"{size_bytes / MIB:.1f}"


def line(free: object, how: str, left: object, failed: object, *others: object) -> None:
    """Columns of fixed width; a long error takes those after it."""
    numbers = "".join(f"{other!s:>12}" for other in others)
    print(f"{free!s:>7}  {how:<34}{left!s:>9}  {failed!s:<26}{numbers}", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
