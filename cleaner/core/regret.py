"""When a rule evicts what is wanted: too much of it comes back, and the rule is put on hold.

Refuses to judge on few evictions: a single image that comes back is bad luck.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

REGRET_WINDOW = timedelta(days=7)
"""An image that is pulled again within this time of its eviction is regretted."""
FEWEST_EVICTIONS = 20
"""So many evictions of a rule must lie in the window before their share says anything."""


@dataclass(frozen=True, slots=True)
class Regret:
    """What became of one rule's evictions of the last week, those before its last hold began left out."""

    evicted: int
    repulled: int

    @property
    def share(self) -> float:
        """Of the evicted, how many came back; 0 where nothing was evicted."""
        return self.repulled / self.evicted if self.evicted else 0.0


@dataclass(frozen=True, slots=True)
class RegretLimit:
    """From which regret on a rule is held, and for how long."""

    share: float = 0.05
    """A rule with a greater share is held."""
    hold: timedelta = timedelta(hours=72)


def to_hold(
    regrets: Mapping[str, Regret], on_hold_until: Mapping[str, datetime], limit: RegretLimit, now: datetime
) -> tuple[str, ...]:
    """Names of the rules whose hold begins now, sorted; one that is held already is not held longer."""
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
