"""Formats the report of a run: values in, lines of text out."""

import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from timing.durations import Durations, by_file, slowest

SLOWEST = 10
_MINUTE = 60.0
_INTERRUPTED = frozenset({128 + signal.SIGINT, 128 + signal.SIGTERM})


@dataclass(frozen=True)
class Step:
    """One make target of a run."""

    name: str
    seconds: float | None
    """None: it did not run."""
    status: int = 0
    """Its exit status; 128 plus the signal's number if the run was interrupted."""
    tests: Durations = field(default_factory=dict)


def report(steps: Sequence[Step], detailed: frozenset[str]) -> Iterator[str]:
    """Minutes of each step, and of each file of the detailed ones; then the slowest tests of all."""
    yield "minutes"
    for step in steps:
        yield _row(step)
        if step.name in detailed:
            yield from (f"{seconds / _MINUTE:7.1f}    {file}" for file, seconds in by_file(step.tests).items())
    yield f"{sum(step.seconds or 0.0 for step in steps) / _MINUTE:7.1f}  total"
    tests: Mapping[str, float] = {name: seconds for step in steps for name, seconds in step.tests.items()}
    if tests:
        yield ""
        yield f"{min(SLOWEST, len(tests))} slowest tests, in seconds"
        yield from (f"{seconds:7.1f}  {name}" for name, seconds in slowest(tests, SLOWEST))


def _row(step: Step) -> str:
    if step.seconds is None:
        return f"      -  {step.name}: did not run"
    return f"{step.seconds / _MINUTE:7.1f}  {step.name}{_outcome(step.status)}"


def _outcome(status: int) -> str:
    if status in _INTERRUPTED:
        return ": interrupted"
    return ": FAILED" if status else ""
