"""How long each test of a run took, in a file between the run and the report: seconds, a tab, the test's name.

It refuses to tell set-up from the test itself: what a module's first test prepares for the others is its own time.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

Durations = Mapping[str, float]
"""Seconds by the test's name, as pytest writes it: the file, `::`, the function and its parameters."""


def added_up(phases: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Set-up, call and tear-down of each test together."""
    found: dict[str, float] = defaultdict(float)
    for name, seconds in phases:
        found[name] += seconds
    return dict(found)


def by_file(durations: Durations) -> dict[str, float]:
    """The seconds of each file's tests, slowest first."""
    found = added_up((name.partition("::")[0], seconds) for name, seconds in durations.items())
    return dict(slowest(found, len(found)))


def slowest(durations: Durations, count: int) -> list[tuple[str, float]]:
    """The tests that took longest, slowest first; by name where two took the same."""
    return sorted(durations.items(), key=lambda each: (-each[1], each[0]))[:count]


def write(path: Path, durations: Durations) -> None:
    """Write a run's durations; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = (f"{seconds:.3f}\t{name.encode('unicode_escape').decode()}\n" for name, seconds in durations.items())
    path.write_text("".join(lines), encoding="utf-8")


def read(path: Path) -> dict[str, float]:
    """A run's durations; none where the run wrote nothing."""
    if not path.exists():
        return {}
    rows = (line.split("\t", 1) for line in path.read_text(encoding="utf-8").splitlines())
    return {name: float(seconds) for seconds, name in rows}
