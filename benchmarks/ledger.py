"""What memory costs a node: a year of 1,000 images and 50 evictions a day, written as the daemon writes it.

It prints each figure beside the one to compare it with.
"""

import gc
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.light import CLEANER, best, row, row_of
from cleaner.core.disk_usage import Usage
from cleaner.core.events import EvictionEnded, EvictionStarted, NightlyRunEnded, SweepEnded, SweepStarted
from cleaner.core.history import NightlyRun
from cleaner.core.model import EvictionOutcome, EvictReason, Image, Plan, StopReason, Trigger, Verdict
from cleaner.core.reclaim import Size
from cleaner.core.report import Eviction, SweepReport
from cleaner.ledger import file
from cleaner.ledger.ledger import SqliteLedger

DAYS = 365
IMAGES = 1000
EVICTIONS_PER_DAY = 50
IN_USE = 100
SAMPLES = 120
KEEP = timedelta(days=90)
DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
USAGE = Usage("/var/lib/containerd", 10**12, 10**11, 0, 0, 10**11)
MIB = 1 << 20


@dataclass
class Calendar:
    """A clock that is moved; it ends about now, so that commands see the year as past."""

    at: datetime

    def now(self) -> datetime:
        """The time of the simulated node."""
        return self.at

    def monotonic(self) -> float:
        """Since a boot long ago."""
        return self.at.timestamp() - 10**9


def main() -> int:
    """Write the year, then measure samples and questions."""
    print(f"ledger: {DAYS} days, {IMAGES} images, {EVICTIONS_PER_DAY} evictions a day, kept for {KEEP.days} days")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.db"
        timer = Calendar(datetime.now(UTC) - DAYS * DAY)
        began = time.monotonic()
        with opened(path, timer) as ledger:
            images = live_a_year(ledger, timer)
        print(f"written in {time.monotonic() - began:.0f} s; {size_of(path) / MIB:.1f} MiB (aim: below 20)\n")
        row("", "median ms", "max ms")
        for synchronous in ("FULL", "NORMAL"):
            with opened(path, timer, synchronous) as ledger:
                measure_samples(
                    ledger, timer, images, f"a minute's sample, synchronous = {synchronous} (aim: below 10)"
                )
        print()
        row("", "wall s", "CPU s")
        config = Path(folder) / "cleaner.yaml"
        config.write_text(f"state: {{path: {path}}}\n")
        row_of("cleaner --version (all imports)", best([CLEANER, "--version"], dict(os.environ)))
        for words in ([], ["--all"], ["-o", "json"], ["--image", "registry.gitlab.com/golem-ai/app7", "-o", "json"]):
            what = f"cleaner history {' '.join(words)}".strip()
            row_of(f"{what} (aim: below 0.5)", best([CLEANER, "history", *words, "--config", config], dict(os.environ)))
    return 0


@contextmanager
def opened(path: Path, timer: Calendar, synchronous: str = "FULL") -> Iterator[SqliteLedger]:
    """The daemon's ledger; FULL is what it uses."""
    usual = file.PRAGMAS
    file.PRAGMAS = tuple(p.replace("synchronous = FULL", f"synchronous = {synchronous}") for p in usual)
    ledger = SqliteLedger(path, keep=KEEP, grace=DAY, timer=timer, tells=True)
    try:
        yield ledger
    finally:
        ledger.close()
        file.PRAGMAS = usual


def live_a_year(ledger: SqliteLedger, timer: Calendar) -> tuple[Image, ...]:
    """Each day the oldest are evicted and as many are pulled; gives the images of the last day."""
    images = [image_of(number, timer.at) for number in range(IMAGES)]
    for day in range(DAYS):
        timer.at += DAY
        inspect(ledger, timer, tuple(images))
        ledger.record(SweepStarted(Plan(Trigger.NIGHTLY, (), ()), USAGE, timer.at, dry_run=False))
        for image in images[:EVICTIONS_PER_DAY]:
            verdict = Verdict(image, EvictReason.EXPIRED, "company", image.created_at, reclaimable=Size(10**8, 9))
            ledger.record(EvictionStarted(Trigger.NIGHTLY, verdict, timer.at))
            eviction = Eviction(verdict, EvictionOutcome.EVICTED, None, 10**8, 10**8, 0.1)
            ledger.record(EvictionEnded(Trigger.NIGHTLY, eviction, timer.at))
        ledger.record(SweepEnded(report_at(timer.at), timer.at))
        ledger.record(NightlyRunEnded(NightlyRun(timer.at, timer.at)))
        first = IMAGES + day * EVICTIONS_PER_DAY
        new = [image_of(number, timer.at) for number in range(first, first + EVICTIONS_PER_DAY)]
        images = images[EVICTIONS_PER_DAY:] + new
    return tuple(images)


def measure_samples(ledger: SqliteLedger, timer: Calendar, images: tuple[Image, ...], what: str) -> None:
    """What `store_images` takes when a minute has passed, the list of images at hand."""
    inspect(ledger, timer, images)
    gc.collect()
    gc.freeze()  # as the daemon does, or Python's collector walks through a year of garbage meanwhile
    taken = []
    for _ in range(SAMPLES):
        timer.at += MINUTE
        began = time.perf_counter()
        inspect(ledger, timer, images)
        taken.append(1000 * (time.perf_counter() - began))
    row(what, f"{statistics.median(taken):.2f}", f"{max(taken):.2f}")


def inspect(ledger: SqliteLedger, timer: Calendar, images: tuple[Image, ...]) -> None:
    """The newest hundred are in use."""
    ledger.store_images(images, frozenset(image.id for image in images[-IN_USE:]), timer.at)


def image_of(number: int, at: datetime) -> Image:
    """One with a tag and a digest, as long as real ones."""
    name = f"registry.gitlab.com/golem-ai/app{number % 100}"
    digest = f"sha256:{number:064x}"
    return Image(digest, (f"{name}:v{number}",), (f"{name}@{digest}",), 10**8, created_at=at - 40 * DAY, pulled_at=at)


def report_at(at: datetime) -> SweepReport:
    """A nightly sweep that evicted all its candidates."""
    return SweepReport(
        trigger=Trigger.NIGHTLY,
        dry_run=False,
        started_at=at,
        duration_seconds=10.0,
        filesystem_before=USAGE,
        filesystem_after=USAGE,
        stop_reason=StopReason.DONE,
        evictions=(),
        plan=None,
        not_reached=0,
        low_watermark_met=True,
    )


def size_of(path: Path) -> int:
    """With what lies beside it while it is open."""
    return sum(part.stat().st_size for part in path.parent.glob(f"{path.name}*"))


if __name__ == "__main__":
    sys.exit(main())
