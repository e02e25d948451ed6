"""Regret: when a rule evicts too many images that are re-pulled, and how long it is on hold."""

from datetime import datetime, timedelta

import pytest

from cleaner.core.regret import FEWEST_EVICTIONS, REGRET_WINDOW, Regret, RegretLimit, is_on_hold, to_hold
from support.values import DAY, HOUR, MICROSECOND, NOW

LIMIT = RegretLimit()


def begins_hold(evicted: int, repulled: int, limit: RegretLimit = LIMIT, until: datetime | None = None) -> bool:
    holds = {} if until is None else {"rule": until}
    return to_hold({"rule": Regret(evicted, repulled)}, holds, limit, NOW) == ("rule",)


def test_the_figures() -> None:
    """A week, twenty evictions, five percent, and three days."""
    assert timedelta(days=7) == REGRET_WINDOW
    assert FEWEST_EVICTIONS == 20
    assert RegretLimit(share=0.05, hold=timedelta(hours=72)) == LIMIT


@pytest.mark.parametrize(("evicted", "begins"), [(0, False), (1, False), (19, False), (20, True), (21, True)])
def test_few_evictions_say_nothing(evicted: int, begins: bool) -> None:
    """Below 20 evictions no rule is put on hold, even if all were re-pulled; from 20 on it is."""
    assert begins_hold(evicted, evicted) is begins


def test_the_limit_by_exhaustion() -> None:
    """At exactly the limit's share a rule is not put on hold, above it it is, for each whole percent and each count."""
    for percent in range(101):
        limit = RegretLimit(percent / 100)
        for evicted in (20, 25, 40, 60, 99, 100, 101, 300, 7000):
            fits = percent * evicted // 100
            assert not begins_hold(evicted, fits, limit), (percent, evicted)
            assert fits == evicted or begins_hold(evicted, fits + 1, limit), (percent, evicted)


@pytest.mark.parametrize(("repulled", "share"), [(0, 0.0), (1, 0.05), (20, 1.0)])
def test_share(repulled: int, share: float) -> None:
    """The re-pulled share of what was evicted; of nothing, nothing."""
    assert Regret(20, repulled).share == share
    assert Regret(0, 0).share == 0


@pytest.mark.parametrize(("since_end", "over"), [(-MICROSECOND, False), (timedelta(0), True), (MICROSECOND, True)])
def test_a_hold_is_over_at_its_end(since_end: timedelta, over: bool) -> None:
    """A rule is on hold until its end, that moment excluded; only then it may be put on hold anew."""
    until = NOW - since_end
    assert is_on_hold("rule", {"rule": until}, NOW) is not over
    assert begins_hold(20, 20, until=until) is over


def test_each_rule_by_itself() -> None:
    """Each rule is put on hold by its own figures, and rules are named in order."""
    regrets = {
        "b": Regret(20, 2),
        "a": Regret(20, 2),
        "held": Regret(20, 20),
        "few": Regret(19, 19),
        "c": Regret(50, 2),
    }
    assert to_hold(regrets, {"held": NOW + HOUR, "a": NOW - DAY}, LIMIT, NOW) == ("a", "b")
    assert not is_on_hold("b", {"held": NOW + HOUR}, NOW)
