"""Values as Kubernetes writes them in its files: quantities, percentages and durations.

It must not know which key has which value.
"""

import re
from datetime import timedelta

_UNITS = {"": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
_UNITS |= {unit: 1000.0**power for power, unit in enumerate("kMGTPE", 1)}
_UNITS |= {f"{unit}i": 1024.0**power for power, unit in enumerate("KMGTPE", 1)}
_NUMBER = r"[0-9]{1,30}(?:\.[0-9]{0,30})?|\.[0-9]{1,30}"
_PERCENT = re.compile(rf"\+?({_NUMBER})%")
_QUANTITY = re.compile(rf"\+?({_NUMBER})([numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]{{1,2}}|)")
_GO_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_GO_PART = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)(ns|us|µs|ms|s|m|h)")
_LONGEST = timedelta(days=36500)


def percentage_of(text: str) -> float | None:
    """The number of a percentage such as `15%`; None where it is none."""
    match = _PERCENT.fullmatch(text)
    return None if match is None else float(match[1])


def quantity_of(text: str) -> float | None:
    """A Kubernetes quantity such as `10Gi`, `5e9` or `100k`; None where it is none."""
    match = _QUANTITY.fullmatch(text)
    if match is None:
        return None
    number, suffix = float(match[1]), match[2]
    return number * (_UNITS[suffix] if suffix in _UNITS else float(f"1{suffix}"))


def go_duration_of(text: str) -> timedelta | None:
    """A duration as Go writes it, such as `168h` or `1h30m`; None where it is none, or longer than a century."""
    if text == "0":
        return timedelta(0)
    parts = _GO_PART.findall(text)
    if not parts or "".join(f"{number}{unit}" for number, unit in parts) != text:
        return None
    seconds = sum(float(number) * _GO_UNITS[unit] for number, unit in parts)
    return timedelta(seconds=seconds) if seconds <= _LONGEST.total_seconds() else None
