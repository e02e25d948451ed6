"""Reads the cron schedule, and explains steps that do not mean what they seem to.

A step begins anew with each hour, day, month, year or week, so no step is longer than that.
"""

from datetime import UTC, datetime

from attrs import frozen
from cronsim import CronSim, CronSimError

from cleaner.config.values import text

MOST_LISTED = 5
"""Values of a field that are written out in a hint."""
_ANY_DAY = datetime(2024, 1, 1, tzinfo=UTC)
"""Whether a schedule ever comes is asked from here; cronsim looks 50 years ahead."""


@frozen
class _Field:
    """One of the five."""

    name: str
    first: int
    count: int
    """How many values it has; Sunday counts once."""
    cycle: str
    """After which it begins anew."""


_FIELDS = (
    _Field("minute", 0, 60, "hour"),
    _Field("hour", 0, 24, "day"),
    _Field("day of month", 1, 31, "month"),
    _Field("month", 1, 12, "year"),
    _Field("day of week", 0, 7, "week"),
)


@frozen
class _Steps:
    """`*/90`, `10-40/15` or `5/10` in one of the fields."""

    field: _Field
    term: str
    from_one: bool
    """Whether it begins with `*` or one number, and so goes on to the end of the cycle."""
    step: int
    reached: tuple[int, ...]

    @property
    def are_too_long(self) -> bool:
        """Whether only the first value is ever reached, since the step is longer than the whole field."""
        return len(self.reached) == 1 and self.from_one and self.step > self.field.count

    @property
    def is_of_no_use(self) -> bool:
        """Whether a range ends before its first step does: `1-5/7`."""
        return len(self.reached) == 1 and not self.from_one

    @property
    def are_uneven(self) -> bool:
        """Whether the last step of each cycle is shorter than the others."""
        return self.term.startswith("*") and len(self.reached) > 1 and self.field.count % self.step > 0


def cron(value: object) -> str:
    """Five cron fields that come to pass at some time, and whose steps can be taken."""
    expression = text(value)
    if (count := len(expression.split())) != len(_FIELDS):
        raise ValueError(
            f"has {count} field{'s' * (count != 1)}; write five: minute, hour, day of month, month, day of week"
        )
    try:
        occurrence = next(CronSim(expression, _ANY_DAY), None)
    except (CronSimError, ValueError) as error:
        raise ValueError(f'is no cron schedule ({error}); write one such as "0 0 * * *"') from error
    for steps in _steps_in(expression):
        if steps.are_too_long:
            field, (only,) = steps.field, steps.reached
            raise ValueError(
                f"has a step that is longer than its {field.cycle}: {field.name} {steps.term} comes once in each "
                f"{field.cycle}, at {only}; write {only} for that, or a shorter step"
            )
    if occurrence is None:
        raise ValueError("never comes; write a schedule that has a day in it")
    return expression


def schedule_hints(expression: str) -> tuple[str, ...]:
    """A line for each step that is shorter at the end of its cycle, or is never taken: `*/45` minutes, `1-5/7` days."""
    lines = []
    for steps in _steps_in(expression):
        field = steps.field
        if steps.are_uneven:
            times = _listed(steps.reached)
            lines.append(f"{field.name} {steps.term} begins anew in each {field.cycle}: it comes at {times}")
        elif steps.is_of_no_use:
            lines.append(f"{field.name} {steps.term} comes once in each {field.cycle}, at {steps.reached[0]}")
    return tuple(lines)


def _steps_in(expression: str) -> list[_Steps]:
    """Of a schedule that is valid."""
    found = []
    for index, (field, part) in enumerate(zip(_FIELDS, expression.split(), strict=True)):
        for term in part.upper().split(","):
            start, slash, step = term.partition("/")
            if slash and not start.startswith("L"):
                found.append(_Steps(field, term, "-" not in start, int(step), _values(index, term)))
    return found


def _values(index: int, term: str) -> tuple[int, ...]:
    """Those of one field that a term reaches, in cronsim's eyes; it has two Sundays."""
    parts = ["*"] * len(_FIELDS)
    parts[index] = term
    simulated = CronSim(" ".join(parts), _ANY_DAY)
    sets = (simulated.minutes, simulated.hours, simulated.days, simulated.months, simulated.weekdays)
    values = {value for value in sets[index] if isinstance(value, int)}
    if _FIELDS[index].cycle == "week":
        values = {value % _FIELDS[index].count for value in values}
    return tuple(sorted(values))


def _listed(values: tuple[int, ...]) -> str:
    words = [str(value) for value in values]
    if len(words) > MOST_LISTED:
        words[2:-1] = ["..."]
        return ", ".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"
