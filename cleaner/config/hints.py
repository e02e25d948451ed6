"""What is valid in a configuration and may still mean something else than it seems to: `check` shows it.

It must not reject anything, see `values.py`.
"""

from collections.abc import Iterator

from cleaner.config.schedule import schedule_hints
from cleaner.config.settings import Config
from cleaner.config.zones import zone_hint

ONE_PERCENT = 0.01


def hints_in(config: Config) -> tuple[str, ...]:
    """A line for each setting that a person may have meant otherwise; each begins with its key."""
    return tuple(_hints(config))


def _hints(config: Config) -> Iterator[str]:
    for hint in schedule_hints(config.nightly.schedule):
        yield f"nightly.schedule: {hint}"
    if said := zone_hint(config.nightly.timezone):
        yield f"nightly.timezone: {said}"
    shares = {"nightly.duty_cycle": config.nightly.duty_cycle, "policy.regret.limit": config.policy.regret.share}
    for key, share in shares.items():
        if 0 < share < ONE_PERCENT:
            percent = round(100 * share, 6)
            yield f"{key}: {percent:g}% is less than one in a hundred; write {100 * percent:g}% if that is meant"
