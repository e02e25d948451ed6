"""Quantities, percentages and durations as Kubernetes writes them."""

from datetime import timedelta

import pytest

from cleaner.core.kubernetes_values import go_duration_of, percentage_of, quantity_of

GIB = 1024**3


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("0", 0),
        ("5", 5),
        ("+5", 5),
        ("1.5Gi", 1.5 * GIB),
        (".5k", 500),
        ("2.", 2),
        ("1500m", 1.5),
        ("3M", 3e6),
        ("1E", 1e18),
        ("1Ei", 2**60),
        ("5e9", 5e9),
        ("5E-1", 0.5),
        ("1K", None),
        ("Gi", None),
        ("-5", None),
        ("5 Gi", None),
        ("1e999", None),
        ("", None),
    ],
)
def test_quantities_are_those_of_kubernetes(text: str, amount: float | None) -> None:
    """Decimal and binary units, exponents; what is none of these is no quantity."""
    assert quantity_of(text) == (None if amount is None else pytest.approx(amount))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("0s", 0),
        ("168h", 7 * 86400),
        ("1h30m0.5s", 5400.5),
        ("500ms", 0.5),
        ("7d", None),
        ("h", None),
        ("1h x", None),
        ("", None),
        ("876000h", 876000 * 3600),
        ("876000h1s", None),
    ],
)
def test_durations_are_those_of_go(text: str, seconds: float | None) -> None:
    """Numbers with units in a row, a century at most."""
    assert go_duration_of(text) == (None if seconds is None else timedelta(seconds=seconds))


@pytest.mark.parametrize(
    ("text", "percent"),
    [("15%", 15), ("+12.5%", 12.5), ("0%", 0), (".5%", 0.5), ("15", None), ("-1%", None), ("15 %", None), ("%", None)],
)
def test_percentages_have_a_sign(text: str, percent: float | None) -> None:
    """A plus, a fraction; without the percent sign it is none."""
    assert percentage_of(text) == percent
