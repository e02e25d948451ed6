"""Steps of a cron schedule that do not mean what they seem to."""

import pytest

from cleaner.config.schedule import cron, schedule_hints

TOO_LONG = [
    ("*/90 * * * *", "minute */90 comes once in each hour, at 0; write 0 for that, or a shorter step"),
    ("*/61 * * * *", "minute */61 comes once in each hour, at 0; write 0"),
    ("5/90 * * * *", "minute 5/90 comes once in each hour, at 5; write 5"),
    ("30,*/90 * * * *", "minute */90 comes once in each hour, at 0; write 0"),
    ("0 */36 * * *", "hour */36 comes once in each day, at 0; write 0"),
    ("0 */25 * * *", "hour */25 comes once in each day, at 0; write 0"),
    ("0 0 */32 * *", "day of month */32 comes once in each month, at 1; write 1"),
    ("0 0 * */13 *", "month */13 comes once in each year, at 1; write 1"),
    ("0 0 * * */8", "day of week */8 comes once in each week, at 0; write 0"),
]
EVEN = [
    "0 0 * * *",
    "*/60 * * * *",
    "*/30 * * * *",
    "*/1 * * * *",
    "0 */24 * * *",
    "0 */12 * * *",
    "0 1-23/2 * * *",
    "0 0 */31 * *",
    "0 0 1/30 * *",
    "0 0 * */12 *",
    "0 0 * * */7",
    "0 0 L/2 * *",
    "0 0 * * 5L",
    "0 0 * * 1#2",
    "10-20/10 * * * *",
    "5/60 * * * *",
    "0 0 * * sun",
]
UNEVEN = [
    ("*/45 * * * *", "minute */45 begins anew in each hour: it comes at 0 and 45"),
    ("*/59 * * * *", "minute */59 begins anew in each hour: it comes at 0 and 59"),
    ("*/7 * * * *", "minute */7 begins anew in each hour: it comes at 0, 7, ..., 56"),
    ("0 */5 * * *", "hour */5 begins anew in each day: it comes at 0, 5, 10, 15 and 20"),
    ("0 */23 * * *", "hour */23 begins anew in each day: it comes at 0 and 23"),
    ("0 0 */2 * *", "day of month */2 begins anew in each month: it comes at 1, 3, ..., 31"),
    ("0 0 */30 * *", "day of month */30 begins anew in each month: it comes at 1 and 31"),
    ("0 0 * */5 *", "month */5 begins anew in each year: it comes at 1, 6 and 11"),
    ("10-20/30 * * * *", "minute 10-20/30 comes once in each hour, at 10"),
    ("10-20/11 * * * *", "minute 10-20/11 comes once in each hour, at 10"),
    ("0 0 * jan-mar/3 *", "month JAN-MAR/3 comes once in each year, at 1"),
    ("0 0 * * mon-fri/5", "day of week MON-FRI/5 comes once in each week, at 1"),
    ("0 0 * * */2", "day of week */2 begins anew in each week: it comes at 0, 2, 4 and 6"),
]


@pytest.mark.parametrize(("expression", "line"), TOO_LONG)
def test_a_step_that_is_too_long(expression: str, line: str) -> None:
    """A step beyond the end of its field leaves the first value alone, which another text says better."""
    with pytest.raises(ValueError, match="has a step that is longer than its ") as raised:
        cron(expression)
    assert str(raised.value).partition(": ")[2].startswith(line)


@pytest.mark.parametrize("expression", EVEN)
def test_a_step_that_can_be_taken(expression: str) -> None:
    """A step up to the length of its field comes as it is written."""
    assert cron(expression) == expression
    assert schedule_hints(expression) == ()


@pytest.mark.parametrize(("expression", "hint"), UNEVEN)
def test_a_step_that_is_uneven(expression: str, hint: str) -> None:
    """A step that does not divide its field is accepted, and a hint says when it comes."""
    assert cron(expression) == expression
    assert schedule_hints(expression) == (hint,)


def test_each_field_has_its_hint() -> None:
    """All of the fields are read."""
    assert [hint.partition(" */")[0] for hint in schedule_hints("*/7 */7 */7 */7 */3")] == [
        "minute", "hour", "day of month", "month", "day of week",
    ]  # fmt: skip
