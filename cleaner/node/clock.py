"""The machine's clocks, and waiting that a signal ends.

It installs no signal handlers: SIGTERM and SIGINT are blocked and waited for, which also works as PID 1.
"""

import hashlib
import select
import signal
import time
from datetime import UTC, datetime
from pathlib import Path

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
"""A new random text at each boot; the same in every container (proc_sys_kernel(5))."""
STOP_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT})


class SystemTimer:
    """The clocks of the kernel."""

    def now(self) -> datetime:
        """Wall clock, UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds since boot, suspend included: a node that slept did not jump."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)


def read_boot(path: Path = BOOT_ID) -> int | None:
    """Which boot of the machine this is: what `monotonic` says may be compared within one; None where nothing tells.

    A hash of 63 bits, which SQLite holds.
    """
    try:
        text = path.read_bytes().strip()
    except OSError:
        return None
    return int.from_bytes(hashlib.sha256(text).digest()[:8]) >> 1 if text else None


class SignalStop:
    """A stop request by SIGTERM or SIGINT; make it before any thread starts, so that all inherit the mask."""

    def __init__(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        self._requested = False

    def requested(self) -> bool:
        """Whether one of the signals came."""
        return self.wait(0)

    def wait(self, seconds: float) -> bool:
        """Wait for a signal, at most `seconds`; True at once after the first."""
        if not self._requested:
            received = signal.sigtimedwait(STOP_SIGNALS, seconds)
            # Interrupted by SIGSTOP and SIGCONT after its time is over, it gives something that is no signal of ours in
            # place of None (seen with CPython 3.11.7): a debugger or a frozen cgroup must not end the agent.
            self._requested = received is not None and received.si_signo in STOP_SIGNALS
        return self._requested


class NeverStop:
    """For commands that a signal ends at once, as any other program."""

    def requested(self) -> bool:
        """Never."""
        return False

    def wait(self, seconds: float) -> bool:
        """Wait it out."""
        pause(seconds)
        return False


def pause(seconds: float) -> None:
    """Let a moment pass whatever happens: for readings that must lie apart."""
    select.select((), (), (), seconds)
