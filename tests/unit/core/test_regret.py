"""Regret: when a rule takes too much of what is wanted, and for how long it is held."""

from datetime import datetime, timedelta

import pytest

from cleaner.core.regret import FEWEST_EVICTIONS, REGRET_WINDOW, Regret, RegretLimit, is_on_hold, to_hold
from support.values import DAY, HOUR, MICROSECOND, NOW

LIMIT = RegretLimit()


def held(evicted: int, repulled: int, limit: RegretLimit = LIMIT, until: datetime | None = None) -> bool:
    holds = {} if until is None else {"rule": until}
    return to_hold({"rule": Regret(evicted, repulled)}, holds, limit, NOW) == ("rule",)


def test_the_figures() -> None:
    """A week, twenty evictions, five percent, and three days."""
    assert timedelta(days=7) == REGRET_WINDOW
    assert FEWEST_EVICTIONS == 20
    assert RegretLimit(share=0.05, hold=timedelta(hours=72)) == LIMIT


@pytest.mark.parametrize(("evicted", "begins"), [(0, False), (1, False), (19, False), (20, True), (21, True)])
def test_few_evictions_say_nothing(evicted: int, begins: bool) -> None:
    """Below 20 evictions no rule is held, even if all came back; from 20 on it is."""
    assert held(evicted, evicted) is begins


def test_the_limit_by_exhaustion() -> None:
    """At exactly the limit's share a rule is not held, and above it it is, for each whole percent and each count."""
    for percent in range(101):
        limit = RegretLimit(percent / 100)
        for evicted in (20, 25, 40, 60, 99, 100, 101, 300, 7000):
            fits = percent * evicted // 100
            assert not held(evicted, fits, limit), (percent, evicted)
            assert fits == evicted or held(evicted, fits + 1, limit), (percent, evicted)


@pytest.mark.parametrize(("repulled", "share"), [(0, 0.0), (1, 0.05), (20, 1.0)])
def test_share(repulled: int, share: float) -> None:
    """Of what was evicted, what came back; of nothing, nothing."""
    assert Regret(20, repulled).share == share
    assert Regret(0, 0).share == 0


@pytest.mark.parametrize(("since_end", "over"), [(-MICROSECOND, False), (timedelta(0), True), (MICROSECOND, True)])
def test_a_hold_is_over_at_its_end(since_end: timedelta, over: bool) -> None:
    """A rule is held until its end, that moment left out; then it may be held anew, and not before."""
    until = NOW - since_end
    assert is_on_hold("rule", {"rule": until}, NOW) is not over
    assert held(20, 20, until=until) is over


def test_each_rule_by_itself() -> None:
    """Rules are held each by its own figures, and named in order."""
    regrets = {
        "b": Regret(20, 2),
        "a": Regret(20, 2),
        "held": Regret(20, 20),
        "few": Regret(19, 19),
        "c": Regret(50, 2),
    }
    assert to_hold(regrets, {"held": NOW + HOUR, "a": NOW - DAY}, LIMIT, NOW) == ("a", "b")
    assert not is_on_hold("b", {"held": NOW + HOUR}, NOW)
