"""What the daemon is given: settings that hold for its life, and what there is before the runtime answers."""

from dataclasses import dataclass
from datetime import timedelta

from cleaner.core.ports import Ledger, Stop, Timer
from cleaner.core.triggers import Triggers
from cleaner.sweep import SweepSettings


@dataclass(frozen=True, slots=True)
class DaemonSettings:
    """What holds for the daemon's life."""

    triggers: Triggers
    """As they are at the start."""
    sweep: SweepSettings
    check_every: timedelta
    """Between two checks of the disk; they come sooner as a watermark or threshold comes nearer."""
    horizon: timedelta
    """A high watermark that is nearer than this at a steady rate starts an early sweep."""
    sample_every: timedelta
    """Between two inspections of what is there and in use."""
    startup_delay: timedelta
    evictions_per_night: int


@dataclass(frozen=True, slots=True)
class Host:
    """What there is before the runtime answers."""

    timer: Timer
    stop: Stop
    ledger: Ledger
