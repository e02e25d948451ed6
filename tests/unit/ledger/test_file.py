"""A ledger that cannot be used: what works without it, what is said, and how memory resumes."""

import fcntl
import os
import sqlite3
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from cleaner.core.errors import EnvironmentUnusableError
from cleaner.core.events import NightlyRunEnded, RuleOnHold
from cleaner.core.history import NightlyRun
from cleaner.core.regret import Regret
from cleaner.ledger import file as ledger_file
from cleaner.ledger.setting_aside import set_aside
from support.fakes import NOON, FakeTimer
from support.ledgers import (
    A,
    B,
    C,
    evict,
    inspect,
    make_ledger,
    pulled_at,
    query,
    start_eviction,
    start_sweep,
    sweep_once,
)
from support.values import make_image

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
STAMP = "20260615T120000Z"


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Have SQLite itself fail from the next opening on: at a size that the file may have, or at every write."""
    pragmas = ledger_file.PRAGMAS

    def set_limit(pragma: str = "") -> None:
        monkeypatch.setattr(ledger_file, "PRAGMAS", (*pragmas, pragma) if pragma else pragmas)

    return set_limit


def names(folder: Path) -> list[str]:
    """Without the space that is held back, which says nothing of the ledger."""
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith("-spare"))


def test_a_full_disk_loses_nothing(tmp_path: Path, limit: Callable[[str], None]) -> None:
    """Evictions and clocks of the time in which the disk was full are written once it has room again."""
    timer = FakeTimer()
    ledger = make_ledger(tmp_path, timer, tells=True)
    inspect(ledger, timer, A, B, C, used=[A])
    limit("PRAGMA max_page_count = 1")
    ledger._file._disconnect()
    images = [make_image(number) for number in range(10, 110)]
    timer.move(minutes=1)
    memory = inspect(ledger, timer, A, B, *images, used=[B])
    assert ledger.error is not None
    assert ledger.error.endswith("database or disk is full; free some space on its disk")
    assert str(tmp_path / "ledger.db") in ledger.error
    assert memory.since is None
    assert memory.last_used_at == {A.id: NOON, B.id: NOON + MINUTE}
    assert memory.first_seen_at[A.id] == NOON
    assert memory.installed_at == NOON
    sweep_once(ledger, timer.now(), *images)
    timer.move(minutes=1)
    memory = inspect(ledger, timer, A, B, images[0])
    assert memory.since is None
    assert memory.first_seen_at == {A.id: NOON, B.id: NOON, images[0].id: timer.now()}
    limit("")
    timer.move(minutes=1)
    memory = inspect(ledger, timer, A, B, images[0])
    assert ledger.error is ledger.aside is None
    assert memory.since == NOON
    assert len(ledger.history()) == 100
    assert [past.image_id for past in ledger.history() if past.regretted_at == timer.now()] == [images[0].id]
    ledger.close()
    memory = inspect(other := make_ledger(tmp_path, timer), timer, A, B, images[0])
    other.close()
    assert memory.first_seen_at == {A.id: NOON, B.id: NOON, images[0].id: NOON + 2 * MINUTE}
    assert memory.last_used_at == {A.id: NOON, B.id: NOON + MINUTE}
    gone = query(tmp_path, "SELECT gone_at FROM image WHERE id = ?", C.id)
    assert gone == query(tmp_path, "SELECT ?", (NOON + MINUTE).timestamp() * 1e6)


def test_a_sweep_that_meets_a_full_disk_continues(tmp_path: Path, limit: Callable[[str], None]) -> None:
    """The first write that fails closes the file; what follows waits for the next inspection."""
    limit("PRAGMA max_page_count = 22")
    timer = FakeTimer()
    ledger = make_ledger(tmp_path, timer)
    inspect(ledger, timer, A)
    assert ledger.error is None
    images = [make_image(number) for number in range(10, 60)]
    sweep_once(ledger, timer.now(), *images)
    assert ledger.error is not None
    assert ledger.stored_times() is None
    assert ledger.evicted_since(NOON) is None
    limit("")
    inspect(ledger, timer, A)
    assert ledger.evicted_since(NOON) == 50
    ledger.close()


def test_a_command_that_ends_writes_what_waits(tmp_path: Path, limit: Callable[[str], None]) -> None:
    """Its own sweep made room."""
    limit("PRAGMA max_page_count = 1")
    timer = FakeTimer()
    ledger = make_ledger(tmp_path, timer)
    inspect(ledger, timer, A)
    sweep_once(ledger, timer.now(), A)
    limit("")
    ledger.close()
    assert query(tmp_path, "SELECT count(*) FROM eviction") == [(1,)]


def test_what_waits_is_bounded(tmp_path: Path, limit: Callable[[str], None]) -> None:
    """The oldest statements are given up, and an end without its beginning is whole."""
    limit("PRAGMA query_only = 1")
    timer = FakeTimer()
    ledger = make_ledger(tmp_path, timer)
    inspect(ledger, timer, A)
    start_sweep(ledger, NOON)
    for number in range(2000):
        evict(ledger, make_image(number), NOON)
    assert ledger._file.waiting == ledger_file.BACKLOG
    limit("")
    inspect(ledger, timer, A)
    assert ledger._file.waiting == 0
    assert len(ledger.history()) == ledger_file.BACKLOG // 6  # statements of an eviction that came to its end
    ledger.close()


def test_a_read_only_disk_is_said(tmp_path: Path, limit: Callable[[str], None]) -> None:
    """With what to do; nothing is set aside, what is there is read."""
    timer = FakeTimer()
    first = make_ledger(tmp_path, timer)
    inspect(first, timer, A, used=[A])
    first.close()
    limit("PRAGMA query_only = 1")
    timer.move(hours=1)
    ledger = make_ledger(tmp_path, timer)
    memory = inspect(ledger, timer, A, B)
    assert memory.since is None
    assert memory.first_seen_at == {A.id: NOON, B.id: NOON + HOUR}
    assert memory.last_used_at == {A.id: NOON}
    assert ledger.error is not None
    assert "attempt to write a readonly database; give it a directory" in ledger.error
    limit("")
    ledger.close()
    assert names(tmp_path) == ["ledger.db"]


def test_a_place_that_cannot_be_is_said(tmp_path: Path) -> None:
    """No directory can be made: the agent works without it, and no sweep waits for it; then it can be."""
    timer = FakeTimer()
    (tmp_path / "state").write_text("a file")
    ledger = make_ledger(tmp_path / "state", timer, tells=True)
    memory = inspect(ledger, timer, A, used=[A])
    assert (memory.since, memory.installed_at) == (None, None)
    assert (memory.first_seen_at, memory.last_used_at) == ({A.id: NOON}, {A.id: NOON})
    assert ledger.error == (
        f"the ledger {tmp_path}/state/ledger.db cannot be used: File exists; give it a directory that can be "
        "written, or set state.path"
    )
    ledger.hold_for_life()
    with ledger.sweep_turn() as mine:
        assert mine
        sweep_once(ledger, NOON, B)
    ledger.record(NightlyRunEnded(NightlyRun(NOON, NOON)))
    ledger.record(RuleOnHold("company", Regret(20, 2), NOON, NOON + HOUR))
    ledger.shift(HOUR)
    assert ledger.stored_times() is None
    assert ledger.last_nightly_run() == NightlyRun(NOON, NOON)
    assert ledger.news() == ()
    assert inspect(ledger, timer, A).on_hold_until == {"company": NOON + HOUR}
    (tmp_path / "state").unlink()
    timer.move(hours=1)
    memory = inspect(ledger, timer, A)
    assert memory.since == memory.installed_at == NOON + HOUR
    assert memory.first_seen_at == {A.id: NOON}
    assert memory.on_hold_until == {"company": NOON + HOUR}
    assert ledger.error is None
    assert len(ledger.history()) == 1
    ledger.close()


def test_memory_that_was_out_of_reach_at_the_start_is_taken_over(tmp_path: Path) -> None:
    """What was there at the first inspection was first seen when the disk says; later changes are new or gone."""
    state, away = tmp_path / "state", tmp_path / "away"
    timer = FakeTimer()
    first = make_ledger(state, timer)
    inspect(first, timer, A, B, C, used=[A, B])
    first.close()
    state.rename(away)
    state.write_text("a file")
    timer.move(hours=1)
    ledger = make_ledger(state, timer)
    inspect(ledger, timer, A, B)
    timer.move(minutes=1)
    inspect(ledger, timer, A)
    timer.move(minutes=1)
    memory = inspect(ledger, timer, A, B)
    assert memory.first_seen_at == {A.id: NOON + HOUR, B.id: timer.now()}
    assert memory.last_used_at == {}
    state.unlink()
    away.rename(state)
    memory = inspect(ledger, timer, A, B)
    assert memory.first_seen_at == {A.id: NOON, B.id: timer.now()}
    assert memory.last_used_at == {A.id: NOON, B.id: NOON}
    assert memory.since == memory.installed_at == NOON
    ledger.close()
    assert query(state, "SELECT count(*) FROM image WHERE gone_at IS NOT NULL") == [(1,)]


def test_an_image_that_was_removed_while_the_file_was_missing_keeps_its_use(tmp_path: Path) -> None:
    """It was in use at the last sample on disk, which only that sample's time says."""
    state, away = tmp_path / "state", tmp_path / "away"
    timer = FakeTimer()
    first = make_ledger(state, timer)
    inspect(first, timer, A, B, used=[B])
    timer.move(minutes=1)
    inspect(first, timer, A, B, used=[B])
    first.close()
    state.rename(away)
    state.write_text("a file")
    timer.move(hours=1)
    ledger = make_ledger(state, timer)
    inspect(ledger, timer, A)
    state.unlink()
    away.rename(state)
    inspect(ledger, timer, A)
    memory = inspect(ledger, timer, A, B)
    assert memory.last_used_at == {B.id: NOON + MINUTE}
    ledger.close()


def test_a_file_that_is_locked_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is neither broken nor waited for without end."""
    monkeypatch.setattr(ledger_file, "BUSY_SECONDS", 0.0)
    timer = FakeTimer()
    ledger = make_ledger(tmp_path, timer)
    inspect(ledger, timer, A)
    other = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    timer.move(minutes=1)
    assert inspect(ledger, timer, A, B).since is None
    assert ledger.error is not None
    assert ledger.error.endswith("database is locked; another process has locked it")
    other.close()
    assert inspect(ledger, timer, A, B).since == NOON
    assert ledger.aside is None
    ledger.close()


def of_zeros(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def cut_short(path: Path) -> None:
    os.truncate(path, 4096)


def cut_to_pieces(path: Path) -> None:
    os.truncate(path, 50)


def with_a_damaged_page(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[5 * 4096 : 6 * 4096] = b"\xff" * 4096
    path.write_bytes(content)


def without_a_table(path: Path) -> None:
    query(path.parent, "DROP TABLE hold")


BREAKAGES = [of_zeros, cut_short, cut_to_pieces, with_a_damaged_page, without_a_table]


@pytest.mark.parametrize("damage", BREAKAGES)
def test_a_broken_file_is_set_aside(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    """It is renamed, never deleted; this inspection has no memory, the next one begins a new file."""
    timer = FakeTimer()
    first = make_ledger(tmp_path, timer)
    inspect(first, timer, A, used=[A])
    first.close()
    damage(tmp_path / "ledger.db")
    broken = (tmp_path / "ledger.db").read_bytes()
    timer.wall = NOON + HOUR
    ledger = make_ledger(tmp_path, timer)
    memory = inspect(ledger, timer, A)
    aside = tmp_path / "ledger.db.broken-20260615T130000Z"
    assert memory.since is None
    assert ledger.aside == str(aside)
    assert ledger.error is not None
    assert "is set aside; a new one begins" in ledger.error
    assert aside.read_bytes() == broken
    sweep_once(ledger, timer.now(), B)
    timer.move(minutes=1)
    memory = inspect(ledger, timer, A)
    assert memory.since == memory.installed_at == timer.now()
    assert ledger.error is None
    assert ledger.aside == str(aside)
    assert len(ledger.history()) == 1
    ledger.close()
    assert names(tmp_path) == ["ledger.db", aside.name]


def test_a_file_that_breaks_meanwhile_leaves_what_is_in_memory(tmp_path: Path) -> None:
    """Clocks are written to the new file; the watch begins anew, the first run on this node stays known."""
    timer = FakeTimer()
    ledger = make_ledger(tmp_path, timer)
    inspect(ledger, timer, A, used=[A])
    query(tmp_path, "DELETE FROM meta WHERE key = 'sampled_at'")
    query(tmp_path, "PRAGMA wal_checkpoint(TRUNCATE)")
    with (tmp_path / "ledger.db").open("r+b") as file:
        file.write(b"\xff" * 32768)
    ledger._file._disconnect()
    timer.move(hours=1)
    assert inspect(ledger, timer, A).since is None
    memory = inspect(ledger, timer, A)
    assert memory.since == timer.now()
    assert memory.installed_at == NOON
    ledger.close()
    memory = inspect(other := make_ledger(tmp_path, timer), timer, A)
    other.close()
    assert (memory.first_seen_at, memory.last_used_at) == ({A.id: NOON}, {A.id: NOON})
    assert memory.installed_at == NOON


def test_setting_aside_takes_the_log_and_overwrites_nothing(tmp_path: Path) -> None:
    """A second broken file of the same second gets a number, with its -wal and -shm."""
    path = tmp_path / "ledger.db"
    for number in range(3):
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).write_text(f"{number}{suffix}")
        assert set_aside(path, path.stat().st_ino, NOON) is not None
    stem = f"ledger.db.broken-{STAMP}"
    assert {name: (tmp_path / name).read_text() for name in names(tmp_path)} == {
        f"{stem}{suffix}{side}": f"{number}{side}"
        for number, suffix in enumerate(("", "-2", "-3"))
        for side in ("", "-wal", "-shm")
    }


def test_the_file_that_another_process_began_is_not_set_aside(tmp_path: Path) -> None:
    """Another file than the one that was found broken lies there, or none."""
    path = tmp_path / "ledger.db"
    assert set_aside(path, 1, NOON) is None
    path.touch()
    assert set_aside(path, path.stat().st_ino + 1, NOON) is None
    assert names(tmp_path) == ["ledger.db"]


def test_a_broken_file_that_cannot_be_moved_is_tried_again(tmp_path: Path) -> None:
    """While another process is just moving it, it is left to that one."""
    path = tmp_path / "ledger.db"
    path.write_text("no database, and long enough to be seen as none")
    timer = FakeTimer()
    ledger = make_ledger(tmp_path, timer)
    with path.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        inspect(ledger, timer, A)
        assert ledger.error is not None
        assert "(file is not a database) and cannot be moved aside: Resource temporarily" in ledger.error
        assert ledger.aside is None
        assert names(tmp_path) == ["ledger.db"]
    inspect(ledger, timer, A)
    assert ledger.aside is not None
    ledger.close()


def test_the_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    """It is no broken ledger."""
    query(tmp_path, "CREATE TABLE mine (a)")
    before = (tmp_path / "ledger.db").read_bytes()
    timer = FakeTimer()
    ledger = make_ledger(tmp_path, timer)
    assert inspect(ledger, timer, A).since is None
    assert ledger.error is not None
    assert "it is the database of another program; give the ledger a state.path of its own" in ledger.error
    ledger.close()
    assert (tmp_path / "ledger.db").read_bytes() == before
    assert names(tmp_path) == ["ledger.db"]


def test_a_directory_in_its_place_is_said(tmp_path: Path) -> None:
    """SQLite cannot open it, which breaks nothing."""
    (tmp_path / "ledger.db").mkdir()
    timer = FakeTimer()
    ledger = make_ledger(tmp_path, timer)
    inspect(ledger, timer, A)
    assert ledger.error is not None
    assert ledger.error.endswith("is not used: it is a directory; set another state.path")
    ledger.close()


def test_a_row_that_somebody_wrote_by_hand_is_said(tmp_path: Path) -> None:
    """What cannot be understood is no crash."""
    timer = FakeTimer()
    first = make_ledger(tmp_path, timer)
    inspect(first, timer, A)
    first.close()
    query(tmp_path, "UPDATE image SET first_seen = 'yesterday'")
    ledger = make_ledger(tmp_path, timer)
    assert inspect(ledger, timer, A).since is None
    assert ledger.error is not None
    ledger.close()
    query(tmp_path, "UPDATE image SET first_seen = 0, id = CAST(x'ff' AS TEXT)")
    assert inspect(ledger, timer, A).since == NOON
    ledger.close()


@pytest.mark.parametrize("replace", [False, True])
def test_a_file_that_is_taken_away_begins_anew(tmp_path: Path, *, replace: bool) -> None:
    """Deleted or replaced under a running daemon, it is not written into the void."""
    timer = FakeTimer()
    ledger = make_ledger(tmp_path, timer)
    inspect(ledger, timer, A, used=[A])
    (tmp_path / "ledger.db").unlink()
    if replace:
        (tmp_path / "ledger.db").touch()
    timer.move(hours=1)
    memory = inspect(ledger, timer, A)
    assert ledger.error is None
    assert memory.since == timer.now()
    assert memory.first_seen_at == memory.last_used_at == {A.id: NOON}
    ledger.close()
    memory = inspect(other := make_ledger(tmp_path, timer), timer, A)
    other.close()
    assert memory.first_seen_at == memory.last_used_at == {A.id: NOON}


def test_what_was_re_pulled_while_it_was_down_is_found_later(tmp_path: Path, limit: Callable[[str], None]) -> None:
    """The first inspection after the file is opened again compares all images; what waited is settled then too."""
    timer = FakeTimer()
    ledger = make_ledger(tmp_path, timer, tells=True)
    inspect(ledger, timer, A, B)
    sweep_once(ledger, timer.now(), A)
    start_sweep(ledger, timer.now())
    start_eviction(ledger, B, timer.now())
    ledger._events.sweep = None
    limit("PRAGMA query_only = 1")
    ledger._file._disconnect()
    timer.move(minutes=1)
    inspect(ledger, timer, pulled_at(A, timer.now()))
    assert ledger.news() == ()
    limit("")
    timer.move(minutes=1)
    inspect(ledger, timer, pulled_at(A, timer.now()))
    assert sorted((past.image_id, past.regretted_at is not None) for past in ledger.history()) == [
        (A.id, True),
        (B.id, False),
    ]
    assert len(ledger.news()) == 2
    ledger.close()


def test_the_daemon_holds_its_directory_until_it_ends(tmp_path: Path) -> None:
    """A directory that is not there yet is made for that."""
    daemon, second = make_ledger(tmp_path / "state"), make_ledger(tmp_path / "state")
    daemon.hold_for_life()
    with pytest.raises(EnvironmentUnusableError, match="another cleaner runs"):
        second.hold_for_life()
    daemon.close()
    second.hold_for_life()
    second.close()


def test_only_one_process_has_its_turn(tmp_path: Path) -> None:
    """Also before anything was written; a ledger that is only read locks nothing."""
    one, two = make_ledger(tmp_path / "state"), make_ledger(tmp_path / "state")
    with one.sweep_turn() as first, two.sweep_turn() as second:
        assert (first, second) == (True, False)
        with make_ledger(tmp_path / "state", writable=False).sweep_turn() as reading:
            assert reading
