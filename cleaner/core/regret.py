"""When a rule is put on hold: too many of the images that it evicted were re-pulled.

It must not judge a rule by few evictions: a single image that is re-pulled is bad luck.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

REGRET_WINDOW = timedelta(days=7)
"""An eviction is regretted if its image is re-pulled within this time."""
FEWEST_EVICTIONS = 20
"""A rule needs at least this many evictions in the window before their share says anything."""


@dataclass(frozen=True, slots=True)
class Regret:
    """What became of one rule's evictions of the last week, those before its last hold began left out."""

    evicted: int
    repulled: int

    @property
    def share(self) -> float:
        """The share of the evicted images that were re-pulled; 0 where none was evicted."""
        return self.repulled / self.evicted if self.evicted else 0.0


@dataclass(frozen=True, slots=True)
class RegretLimit:
    """The regret rate above which a rule is put on hold, and for how long."""

    share: float = 0.05
    """A rule with a greater share is put on hold."""
    hold: timedelta = timedelta(hours=72)


def to_hold(
    regrets: Mapping[str, Regret], on_hold_until: Mapping[str, datetime], limit: RegretLimit, now: datetime
) -> tuple[str, ...]:
    """Names of the rules to put on hold now, sorted; a hold that has begun is not extended."""
    return tuple(
        name
        for name, regret in sorted(regrets.items())
        if regret.evicted >= FEWEST_EVICTIONS
        and regret.share > limit.share
        and not is_on_hold(name, on_hold_until, now)
    )


def is_on_hold(rule: str, on_hold_until: Mapping[str, datetime], now: datetime) -> bool:
    """Whether a rule is on hold; its end is no longer part of it."""
    until = on_hold_until.get(rule)
    return until is not None and now < until
