"""A sweep as it runs, line by line, for a person at a terminal.

It must not redraw: lines that stay can be scrolled, copied and piped.
"""

from contextlib import suppress
from typing import TextIO

from cleaner.core.events import Event, EvictionEnded, RegistriesProbed, SweepFailed, SweepStarted
from cleaner.core.model import EvictionOutcome
from cleaner.core.report import Eviction
from cleaner.outlets.terminal.tables import first_name, holders_line
from cleaner.outlets.units import human_age, human_bytes, human_percent, one_line


class ProgressLines:
    """An outlet that prints a line when a sweep starts, and one for each eviction."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._done = 0
        self._planned = 0

    def record(self, event: Event) -> None:
        """Print the line of one event, if it has one."""
        match event:
            case SweepStarted():
                self._done, self._planned = 0, len(event.plan.evictions)
                self._print(_start_line(event))
                if event.plan.low_watermark_reachable is False:
                    held = f" {holders_line(event.held)}" if event.held else ""
                    self._print(f"All candidates together do not reach the low watermark.{held}")
            case EvictionEnded():
                self._done += 1
                # Under pressure a sweep may evict more images than planned.
                self._planned = max(self._planned, self._done)
                self._print(f"[{self._done}/{self._planned}] {_eviction_line(event.eviction)}")
            case RegistriesProbed():
                for registry, reason in event.down.items():
                    self._print(f"The registry {registry} is down ({reason}): its images stay.")
            case SweepFailed():
                self._print(f"The {event.trigger} sweep failed: {event.error}")
            case _:
                pass

    def _print(self, line: str) -> None:
        with suppress(OSError, ValueError):  # the reader is gone; the sweep goes on
            print(one_line(line), file=self._stream, flush=True)


def _start_line(event: SweepStarted) -> str:
    candidates, kept = len(event.plan.evictions), len(event.plan.kept + event.plan.not_reached)
    used = human_percent(event.usage.used_percent)
    return f"{event.plan.trigger} sweep: {candidates} of {candidates + kept} images may be evicted; {used} used."


def _eviction_line(eviction: Eviction) -> str:
    verdict, outcome = eviction.verdict, eviction.outcome
    line = f"{outcome} {first_name(verdict.image)} ({verdict.reason}, {human_age(verdict.age)} old)"
    if outcome is EvictionOutcome.EVICTED and eviction.reclaimed_bytes is not None:
        line += f", {human_bytes(eviction.reclaimed_bytes)} freed"
    return f"{line}: {eviction.error}" if eviction.error else line
