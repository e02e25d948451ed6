"""The duration of each test of a run, stored as `seconds<TAB>name`.

It includes set-up: a module's fixture counts for the module's first test.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

Durations = Mapping[str, float]
"""Seconds by the test's name, as pytest writes it: the file, `::`, the function and its parameters."""


def added_up(phases: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Sum set-up, call and teardown of each test."""
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
    """Write a run's durations, creating the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = (f"{seconds:.3f}\t{name.encode('unicode_escape').decode()}\n" for name, seconds in durations.items())
    path.write_text("".join(lines), encoding="utf-8")


def read(path: Path) -> dict[str, float]:
    """Read a run's durations; none if the run wrote nothing."""
    if not path.exists():
        return {}
    rows = (line.split("\t", 1) for line in path.read_text(encoding="utf-8").splitlines() if "\t" in line)
    return {name: float(seconds) for seconds, name in rows}
