"""Re-pulls after an eviction, regrets of mode observe, and what a dead process left unfinished."""

from datetime import timedelta
from pathlib import Path

import pytest

from cleaner.core.events import EvictionRegretted, ForeignEviction, RuleOnHold
from cleaner.core.history import PastEviction, RegretKind
from cleaner.core.model import EvictionOutcome, Image
from cleaner.core.regret import REGRET_WINDOW, Regret
from cleaner.ledger.ledger import SqliteLedger
from support.fakes import NOON, FakeTimer
from support.ledgers import (
    A,
    B,
    C,
    evict,
    inspect,
    make_ledger,
    observe_sweep,
    pulled_at,
    query,
    start_eviction,
    start_sweep,
    sweep_once,
)
from support.values import MICROSECOND, make_image

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def regretted(ledger: SqliteLedger) -> list[PastEviction]:
    return [event.eviction for event in ledger.news() if isinstance(event, EvictionRegretted)]


def test_an_evicted_image_that_is_re_pulled_is_regretted(tmp_path: Path) -> None:
    """Once, with when and how long it was gone."""
    timer = FakeTimer()
    ledger = make_ledger(tmp_path, timer, tells=True)
    inspect(ledger, timer, A, B)
    sweep_once(ledger, timer.now(), A, B)
    timer.move(hours=1)
    inspect(ledger, timer)
    assert regretted(ledger) == []
    timer.move(hours=1)
    inspect(ledger, timer, A)
    (past,) = regretted(ledger)
    assert (past.image_id, past.regretted_after, past.regretted_by) == (A.id, 2 * HOUR, RegretKind.PULLED)
    assert (past.regretted_at, past.outcome) == (timer.now(), EvictionOutcome.EVICTED)
    timer.move(hours=1)
    inspect(ledger, timer, A)
    assert regretted(ledger) == []
    ledger.close()


def test_one_that_is_re_pulled_before_the_next_inspection_is_regretted(tmp_path: Path) -> None:
    """It was gone in between, and is a new image."""
    timer = FakeTimer()
    ledger = make_ledger(tmp_path, timer, tells=True)
    inspect(ledger, timer, A)
    sweep_once(ledger, timer.now(), A)
    timer.move(minutes=1)
    memory = inspect(ledger, timer, A)
    assert [past.image_id for past in regretted(ledger)] == [A.id]
    assert memory.first_seen_at == {A.id: timer.now()}
    ledger.close()


def test_one_that_another_process_evicted_and_that_is_re_pulled_is_regretted(tmp_path: Path) -> None:
    """No inspection of the daemon had missed it."""
    timer = FakeTimer()
    daemon, manual = make_ledger(tmp_path, timer, tells=True), make_ledger(tmp_path, timer)
    inspect(daemon, timer, A)
    timer.move(seconds=20)
    inspect(manual, timer, A)
    sweep_once(manual, timer.now(), A)
    manual.close()
    timer.move(seconds=20)
    memory = inspect(daemon, timer, A)
    assert [past.image_id for past in regretted(daemon)] == [A.id]
    assert memory.first_seen_at == {A.id: timer.now()}
    daemon.close()


@pytest.mark.parametrize(("gone", "count"), [(REGRET_WINDOW - MICROSECOND, 1), (REGRET_WINDOW, 0)])
def test_after_a_week_a_re_pull_is_no_regret(tmp_path: Path, gone: timedelta, count: int) -> None:
    """Short of a week it is a regret, also without an inspection meanwhile; from a week on it is not."""
    timer = FakeTimer()
    first = make_ledger(tmp_path, timer, tells=True)
    inspect(first, timer, A)
    sweep_once(first, timer.now(), A)
    first.close()
    timer.wall += gone
    second = make_ledger(tmp_path, timer, tells=True)
    inspect(second, timer, A)
    assert len(regretted(second)) == count
    second.close()


def test_of_several_evictions_the_latest_is_regretted(tmp_path: Path) -> None:
    """An image that was evicted and re-pulled twice counts once for each re-pull; a failed eviction does not count."""
    timer = FakeTimer()
    ledger = make_ledger(tmp_path, timer, tells=True)
    for _ in range(2):
        inspect(ledger, timer, A)
        timer.move(hours=1)
        sweep_once(ledger, timer.now(), A)
        timer.move(hours=1)
        inspect(ledger, timer)
        timer.move(hours=1)
        inspect(ledger, timer, A)
        assert len(regretted(ledger)) == 1
    inspect(ledger, timer, B)
    evict(ledger, B, timer.now(), EvictionOutcome.FAILED)
    inspect(ledger, timer, A)
    inspect(ledger, timer, A, B)
    assert regretted(ledger) == []
    assert [past.regretted_at is not None for past in ledger.history() if past.image_id == A.id] == [True, True]
    ledger.close()


def test_regret_is_counted_by_rule(tmp_path: Path) -> None:
    """How many of the last week's evictions were re-pulled; counted anew after each change, or after 10 minutes."""
    timer = FakeTimer()
    ledger = make_ledger(tmp_path, timer)
    images = [make_image(number) for number in range(4)]
    inspect(ledger, timer, *images)
    for image, rule in zip(images, ("one", "one", "two", "one"), strict=True):
        evict(ledger, image, timer.now(), rule=rule)
    start_sweep(ledger, timer.now())
    evict(ledger, images[0], timer.now(), EvictionOutcome.SPARED, rule="two")
    timer.move(hours=1)
    inspect(ledger, timer)
    assert inspect(ledger, timer, images[3]).regrets == {"one": Regret(3, 1), "two": Regret(1, 0)}
    timer.wall = NOON + REGRET_WINDOW
    assert inspect(ledger, timer).regrets == {"one": Regret(3, 1), "two": Regret(1, 0)}
    timer.seconds += 600
    assert inspect(ledger, timer).regrets == {}
    ledger.close()


def test_a_hold_forgives_what_was_before_it(tmp_path: Path) -> None:
    """Evictions up to the beginning of a rule's latest hold do not count; the hold is known at once and later."""
    timer = FakeTimer()
    ledger = make_ledger(tmp_path, timer)
    evict(ledger, A, NOON, rule="one")
    evict(ledger, B, NOON, rule="two")
    timer.move(hours=1)
    ledger.record(RuleOnHold("one", Regret(20, 2), NOON, NOON + DAY))
    evict(ledger, C, timer.now(), rule="one")
    memory = inspect(ledger, timer)
    assert memory.regrets == {"one": Regret(1, 0), "two": Regret(1, 0)}
    assert memory.on_hold_until == {"one": NOON + DAY}
    ledger.record(RuleOnHold("one", Regret(20, 2), timer.now(), NOON + 3 * DAY))
    ledger.close()
    memory = inspect(other := make_ledger(tmp_path, timer), timer)
    other.close()
    assert memory.on_hold_until == {"one": NOON + 3 * DAY}
    assert memory.regrets == {"two": Regret(1, 0)}


def test_an_observed_eviction_that_is_used_is_regretted(tmp_path: Path) -> None:
    """Once, at the first inspection that finds it in use; others are left alone."""
    timer = FakeTimer()
    ledger = make_ledger(tmp_path, timer, observes=True, tells=True)
    inspect(ledger, timer, A, B)
    observe_sweep(ledger, timer.now(), A, B)
    ledger.news()
    inspect(ledger, timer, A, B, used=[A])
    assert regretted(ledger) == []
    timer.move(hours=1)
    inspect(ledger, timer, A, B, used=[A])
    (past,) = regretted(ledger)
    assert (past.image_id, past.regretted_by, past.regretted_after) == (A.id, RegretKind.USED, HOUR)
    assert past.outcome is EvictionOutcome.PLANNED
    timer.move(hours=1)
    inspect(ledger, timer, A, B, used=[A])
    assert regretted(ledger) == []
    ledger.close()


@pytest.mark.parametrize("offset", [-MICROSECOND, MICROSECOND, 2 * HOUR])
def test_an_observed_eviction_that_is_pulled_is_regretted(tmp_path: Path, offset: timedelta) -> None:
    """Pulled after it would have been evicted; a time before that, or in the future, is no pull."""
    timer = FakeTimer()
    ledger = make_ledger(tmp_path, timer, observes=True, tells=True)
    inspect(ledger, timer, A)
    observe_sweep(ledger, timer.now(), A)
    timer.move(hours=1)
    inspect(ledger, timer, pulled_at(A, NOON + offset))
    regretted_by = [past.regretted_by for past in regretted(ledger)]
    assert regretted_by == ([RegretKind.PULLED] if offset == MICROSECOND else [])
    ledger.close()


def test_an_observed_eviction_that_was_removed_and_re_pulled_is_regretted(tmp_path: Path) -> None:
    """Where no pull time is known, an image that is there again was pulled; after a restart too."""
    timer = FakeTimer()
    untimed = make_image(9, pulled=None)
    ledger = make_ledger(tmp_path, timer, observes=True, tells=True)
    inspect(ledger, timer, untimed)
    observe_sweep(ledger, timer.now(), untimed)
    ledger.close()
    timer.move(hours=1)
    ledger = make_ledger(tmp_path, timer, observes=True, tells=True)
    inspect(ledger, timer)
    inspect(ledger, timer, untimed)
    assert [past.regretted_by for past in regretted(ledger)] == [RegretKind.PULLED]
    ledger.close()


def test_without_mode_observe_nothing_is_followed(tmp_path: Path) -> None:
    """What mode observe would have evicted does not count once the mode is another one."""
    timer = FakeTimer()
    ledger = make_ledger(tmp_path, timer, observes=True)
    observe_sweep(ledger, timer.now(), A)
    ledger.close()
    timer.move(hours=1)
    ledger = make_ledger(tmp_path, timer, tells=True)
    inspect(ledger, timer, A, used=[A])
    assert regretted(ledger) == []
    ledger.close()


def leave_unfinished(folder: Path, timer: FakeTimer, image: Image) -> None:
    """As a process does that is killed while the runtime removes an image."""
    dead = make_ledger(folder, timer, tells=True)
    inspect(dead, timer, image)
    start_sweep(dead, timer.now())
    start_eviction(dead, image, timer.now())
    dead.close()


def test_an_unfinished_eviction_whose_image_is_gone_happened(tmp_path: Path) -> None:
    """It is evicted, with its estimated bytes and no measured ones, and is news."""
    timer = FakeTimer()
    leave_unfinished(tmp_path, timer, A)
    timer.move(minutes=1)
    ledger = make_ledger(tmp_path, timer, tells=True)
    memory = inspect(ledger, timer)
    (foreign,) = ledger.news()
    assert isinstance(foreign, ForeignEviction)
    past = foreign.eviction
    assert (past.outcome, past.at, past.error) == (EvictionOutcome.EVICTED, timer.now(), None)
    assert (past.estimated_bytes, past.reclaimed_bytes) == (700, None)
    assert memory.regrets == {"company": Regret(1, 0)}
    assert ledger.history() == (past,)
    ledger.close()


def test_an_unfinished_eviction_of_an_image_pulled_again_happened(tmp_path: Path) -> None:
    """There with another pull time, it was removed in between: the daemon counts it, and it is regretted."""
    timer = FakeTimer()
    leave_unfinished(tmp_path, timer, A)
    timer.move(minutes=1)
    ledger = make_ledger(tmp_path, timer, tells=True)
    memory = inspect(ledger, timer, pulled_at(A, NOON + MINUTE / 2))
    foreign, regret = ledger.news()
    assert isinstance(foreign, ForeignEviction)
    assert isinstance(regret, EvictionRegretted)
    assert regret.eviction.regretted_by is RegretKind.PULLED
    assert memory.first_seen_at == {A.id: timer.now()}
    ledger.close()


@pytest.mark.parametrize("image", [A, make_image(9, pulled=None)], ids=["pull time known", "unknown"])
def test_an_unfinished_eviction_of_an_image_that_is_there_did_not_happen(tmp_path: Path, image: Image) -> None:
    """It stays pending for 5 minutes, in which the runtime may still be at it; then it is forgotten."""
    timer = FakeTimer()
    leave_unfinished(tmp_path, timer, image)
    ledger = make_ledger(tmp_path, timer, tells=True)
    for passed, pending in ((5 * MINUTE, 1), (5 * MINUTE + MICROSECOND, 0)):
        timer.wall = NOON + passed
        inspect(ledger, timer, image)
        inspect(ledger, timer, image)
        assert query(tmp_path, "SELECT count(*) FROM eviction") == [(pending,)]
    assert ledger.news() == ()
    assert ledger.history() == ()
    ledger.close()


def test_an_image_that_was_pulled_where_no_pull_time_was_known_stays_unsettled(tmp_path: Path) -> None:
    """A pull time that is only now known says nothing of what happened."""
    timer = FakeTimer()
    leave_unfinished(tmp_path, timer, make_image(9, pulled=None))
    ledger = make_ledger(tmp_path, timer, tells=True)
    inspect(ledger, timer, pulled_at(make_image(9, pulled=None), NOON))
    assert ledger.news() == ()
    ledger.close()


def test_what_another_process_is_doing_is_left_to_it(tmp_path: Path) -> None:
    """While another process has its turn, nothing that is pending is settled; after it, it is."""
    timer = FakeTimer()
    manual, daemon = make_ledger(tmp_path, timer), make_ledger(tmp_path, timer, tells=True)
    with manual.sweep_turn() as mine:
        assert mine
        start_sweep(manual, timer.now())
        start_eviction(manual, A, timer.now())
        inspect(daemon, timer)
        with daemon.sweep_turn() as second:
            assert not second
        assert daemon.news() == ()
    inspect(daemon, timer)
    assert [type(event) for event in daemon.news()] == [ForeignEviction]
    manual.close()
    daemon.close()


def test_its_own_sweep_is_not_settled_before_it_is_over(tmp_path: Path) -> None:
    """In its turn a process settles what others left, and not what it is doing itself."""
    timer = FakeTimer()
    leave_unfinished(tmp_path, timer, A)
    ledger = make_ledger(tmp_path, timer, tells=True)
    with ledger.sweep_turn():
        start_sweep(ledger, timer.now())
        start_eviction(ledger, B, timer.now())
        inspect(ledger, timer)
        assert [past.image_id for past in ledger.history()] == [A.id]
    inspect(ledger, timer)
    assert [past.image_id for past in ledger.history()] == [A.id, B.id]
    ledger.close()
