"""What is read from a ledger without writing to it, and what is forgotten."""

from datetime import timedelta
from pathlib import Path

import pytest

from cleaner.core.clock_trust import StoredTimes
from cleaner.core.errors import EnvironmentUnusableError
from cleaner.core.events import EvictionEnded, EvictionStarted, NightlyRunEnded, RuleOnHold
from cleaner.core.history import NightlyRun
from cleaner.core.model import Image, Trigger
from cleaner.core.regret import Regret
from cleaner.ledger.rows import micros
from support.fakes import NOON, FakeTimer
from support.ledgers import (
    KEEP,
    A,
    B,
    C,
    evict,
    inspect,
    make_eviction,
    make_ledger,
    make_verdict,
    observe_sweep,
    query,
    start_sweep,
    sweep_once,
)
from support.values import MICROSECOND, make_image

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
MIB = 1 << 20


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_history_is_newest_first(tmp_path: Path) -> None:
    """From a time on, that time included; those of one time by id."""
    ledger = make_ledger(tmp_path)
    for number, image in enumerate((A, B, C)):
        sweep_once(ledger, NOON + number * HOUR, image)
    sweep_once(ledger, NOON, B)
    assert [past.image_id for past in ledger.history()] == [C.id, B.id, A.id, B.id]
    assert [past.image_id for past in ledger.history(NOON + HOUR)] == [C.id, B.id]
    assert [past.image_id for past in ledger.history(NOON + HOUR + MICROSECOND)] == [C.id]
    ledger.close()


def test_reading_leaves_no_trace(tmp_path: Path) -> None:
    """A plan knows what is on disk and what it sees now; it writes nothing, and makes no file."""
    timer = FakeTimer()
    daemon = make_ledger(tmp_path, timer)
    inspect(daemon, timer, A, B, used=[A])
    start_sweep(daemon, timer.now())
    evict(daemon, B, timer.now())
    daemon.record(NightlyRunEnded(NightlyRun(NOON, NOON)))
    daemon.close()
    before = contents(tmp_path)
    timer.move(hours=1)
    reader = make_ledger(tmp_path, timer, writable=False)
    memory = inspect(reader, timer, A, B, C, used=[C])
    assert memory.since == memory.installed_at == NOON
    assert memory.first_seen_at == {A.id: NOON, B.id: timer.now(), C.id: timer.now()}
    assert memory.last_used_at == {A.id: NOON, C.id: timer.now()}
    assert memory.regrets == {"company": Regret(1, 0)}
    reader.record(NightlyRunEnded(NightlyRun(NOON + DAY, NOON + DAY)))
    reader.shift(HOUR)
    assert reader.last_nightly_run() == NightlyRun(NOON, NOON)
    assert reader.stored_times() == StoredTimes(NOON)
    assert reader.news() == ()
    reader.close()
    assert contents(tmp_path) == before


def test_a_missing_ledger_is_said(tmp_path: Path) -> None:
    """A command that only reads makes none, and knows nothing but what it sees."""
    timer = FakeTimer()
    reader = make_ledger(tmp_path / "state", timer, writable=False)
    memory = inspect(reader, timer, A, used=[A])
    assert (memory.since, memory.first_seen_at, memory.last_used_at) == (None, {A.id: NOON}, {A.id: NOON})
    with pytest.raises(
        EnvironmentUnusableError, match=r"^no ledger at .*/state/ledger.db: the daemon has not run here yet, or with"
    ):
        reader.history()
    assert reader.last_nightly_run() is None
    assert reader.stored_times() is None
    reader.close()
    assert not (tmp_path / "state").exists()


def test_a_broken_ledger_is_said_and_left_to_the_daemon(tmp_path: Path) -> None:
    """Reading sets nothing aside."""
    (tmp_path / "ledger.db").write_bytes(bytes(8192))
    reader = make_ledger(tmp_path, writable=False)
    with pytest.raises(
        EnvironmentUnusableError, match=r"is broken \(file is not a database\); the daemon sets it aside"
    ):
        reader.observed_history()
    assert list(contents(tmp_path)) == ["ledger.db"]


def test_an_empty_file_is_no_ledger(tmp_path: Path) -> None:
    """As one is that a full disk left behind."""
    (tmp_path / "ledger.db").touch()
    with pytest.raises(EnvironmentUnusableError, match="it is empty: the daemon has not written to it yet"):
        make_ledger(tmp_path, writable=False).history()


def test_a_directory_that_takes_no_shared_memory_is_read_as_it_is(tmp_path: Path) -> None:
    """Where the log's index cannot be made, what was checkpointed is read."""
    ledger = make_ledger(tmp_path)
    sweep_once(ledger, NOON, A)
    ledger.close()
    (tmp_path / "ledger.db-wal").write_bytes(b"0" * 100)
    (tmp_path / "ledger.db-shm").symlink_to("/nonexistent/shm")
    reader = make_ledger(tmp_path, writable=False)
    assert [past.image_id for past in reader.history()] == [A.id]
    reader.close()


def count_rows(folder: Path) -> dict[str, int]:
    tables = ("eviction", "sweep", "observed", "image", "nightly_run", "hold")
    return {table: query(folder, f"SELECT count(*) FROM {table}")[0][0] for table in tables}  # noqa: S608 - of this list


def test_what_is_older_than_keep_is_forgotten(tmp_path: Path) -> None:
    """By the time of the pruning before, at most daily; what is there stays, and so does the last nightly run."""
    timer = FakeTimer()
    ledger = make_ledger(tmp_path, timer, observes=True)
    inspect(ledger, timer, A, B, C)
    inspect(ledger, timer, A, B)
    sweep_once(ledger, NOON, B)
    observe_sweep(ledger, NOON, A)
    for occurrence in (NOON - DAY, NOON):
        ledger.record(NightlyRunEnded(NightlyRun(occurrence, NOON)))
    ledger.record(RuleOnHold("company", Regret(20, 2), NOON - DAY, NOON))
    whole = {"eviction": 1, "sweep": 1, "observed": 1, "image": 3, "nightly_run": 2, "hold": 1}
    assert count_rows(tmp_path) == whole
    timer.wall = NOON + KEEP
    inspect(ledger, timer, A)
    ledger.close()
    assert count_rows(tmp_path) == whole
    timer.wall = NOON + KEEP + DAY - MICROSECOND
    inspect(ledger, timer, A)
    ledger.close()
    assert count_rows(tmp_path) == whole
    timer.wall = NOON + KEEP + DAY
    inspect(ledger, timer, A)
    assert count_rows(tmp_path) == whole
    timer.wall = NOON + KEEP + 2 * DAY
    inspect(ledger, timer, A)
    ledger.close()
    assert count_rows(tmp_path) == {"eviction": 0, "sweep": 0, "observed": 0, "image": 1, "nightly_run": 1, "hold": 0}


@pytest.mark.parametrize("jump", [365 * DAY, -365 * DAY])
def test_a_wrong_clock_forgets_nothing_for_a_day(tmp_path: Path, jump: timedelta) -> None:
    """Set forward or back by a year, it prunes by the time before, also after a restart."""
    timer = FakeTimer()
    ledger = make_ledger(tmp_path, timer)
    inspect(ledger, timer, A)
    sweep_once(ledger, NOON, B)
    timer.wall += jump
    for _ in range(2):
        inspect(ledger, timer, A)
        ledger.close()
        timer.move(hours=23)
    assert len(ledger.history()) == 1
    ledger.close()


def test_an_unbounded_keep_is_no_error(tmp_path: Path) -> None:
    """Longer than all time, it forgets nothing."""
    timer = FakeTimer()
    ledger = make_ledger(tmp_path, timer, keep=timedelta.max)
    inspect(ledger, timer, A)
    timer.move(days=2)
    inspect(ledger, timer, A)
    assert ledger.error is None
    ledger.close()


def test_a_year_of_a_busy_node_stays_small(tmp_path: Path) -> None:
    """1,000 images, 50 evictions a day: under 20 MiB, not growing in the last months (`make bench` times it)."""
    timer = FakeTimer(seconds=0)
    ledger = make_ledger(tmp_path, timer, keep=KEEP, tells=True)
    images = [year_image(number) for number in range(1000)]
    sizes = []
    for step in range(73):
        timer.move(days=5)
        inspect(ledger, timer, *images, used=images[500:600])
        for image in images[:250]:
            ledger._file.add(
                ledger._events.statements_for(EvictionStarted(Trigger.NIGHTLY, make_verdict(image), timer.now()))
            )
            ledger._file.add(
                ledger._events.statements_for(EvictionEnded(Trigger.NIGHTLY, make_eviction(image), timer.now()))
            )
        ledger._events.sweep = None
        images = images[250:] + [year_image(1000 + 250 * step + number) for number in range(250)]
        inspect(ledger, timer, *images, used=images[500:600])
        sizes.append((tmp_path / "ledger.db").stat().st_size)
    ledger.close()
    size = (tmp_path / "ledger.db").stat().st_size
    reader = make_ledger(tmp_path, timer, writable=False)
    past = reader.history()
    reader.close()
    print(f"{size / MIB:.1f} MiB for {len(past)} evictions")
    assert size < 20 * MIB
    assert sizes[-1] <= 1.05 * sizes[36]
    assert len(past) == 50 * 100


def year_image(number: int) -> Image:
    """As a company names them: one tag and one digest."""
    repository = f"registry.gitlab.com/golem-ai/platform/backend/service-{number % 40}"
    return make_image(number, (f"{repository}:v1.{number}.0-build", f"{repository}@sha256:{number:064x}"))


def test_the_newest_eviction_counts_as_a_time(tmp_path: Path) -> None:
    """The newest of samples, evictions and nightly runs."""
    timer = FakeTimer()
    ledger = make_ledger(tmp_path, timer)
    inspect(ledger, timer, A)
    sweep_once(ledger, NOON + HOUR, B)
    assert ledger.stored_times() == StoredTimes(NOON + HOUR)
    assert query(tmp_path, "SELECT value FROM meta WHERE key = 'sampled_at'") == [(micros(NOON),)]
    ledger.close()
