"""The clocks, and waiting that a signal ends."""

import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cleaner.node.clock import NeverStop, SignalStop, SystemTimer, pause, read_boot

MINUTE = timedelta(minutes=1)


def test_the_wall_clock_is_aware_and_utc() -> None:
    """Now is a time in UTC."""
    before, now, after = datetime.now(UTC), SystemTimer().now(), datetime.now(UTC)
    assert now.tzinfo is UTC
    assert before - MINUTE < now < after + MINUTE


def test_the_monotonic_clock_runs_on() -> None:
    """The monotonic clock counts from boot and never runs backwards."""
    timer = SystemTimer()
    before = time.monotonic()
    first = timer.monotonic()
    pause(0.001)
    assert timer.monotonic() > first >= before - 1


def test_the_boot_is_known(tmp_path: Path) -> None:
    """One boot has one number, which fits SQLite; another has another, and where none can be read there is none."""
    boot = read_boot()
    assert boot == read_boot()
    assert boot is None or 0 <= boot < 2**63
    (tmp_path / "one").write_text("3f0c\n")
    (tmp_path / "other").write_text("3f0d\n")
    (tmp_path / "empty").write_text("\n")
    one, other = read_boot(tmp_path / "one"), read_boot(tmp_path / "other")
    assert one is not None
    assert other is not None
    assert one != other
    assert 0 <= one < 2**63
    assert read_boot(tmp_path / "empty") is read_boot(tmp_path / "none") is read_boot(tmp_path) is None


def test_without_a_signal_nothing_is_requested(own_signals: None) -> None:
    """Waiting that no signal ends says no."""
    stop = SignalStop()
    assert not stop.requested()
    assert not stop.wait(0.001)


def test_a_signal_ends_waiting_for_good(own_signals: None) -> None:
    """SIGTERM and SIGINT end the present wait, and every later one at once."""
    for number in (signal.SIGTERM, signal.SIGINT):
        stop = SignalStop()
        # To this thread, which blocks it: another test's thread might not, and would end the run.
        signal.pthread_kill(threading.get_ident(), number)
        assert stop.wait(60)
        assert stop.wait(60)
        assert stop.requested()


def test_a_process_that_was_stopped_continues() -> None:
    """SIGSTOP and SIGCONT, as of a debugger, are no request, though the time to wait is over in between."""
    code = "from cleaner.node.clock import SignalStop; s = SignalStop(); print('waits', flush=True); print(s.wait(0.3))"
    # Without -P the folder of the run would come before the package under test.
    command = [sys.executable, "-P", "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as waiting:
        assert waiting.stdout is not None
        assert waiting.stdout.readline() == "waits\n"
        pause(0.1)
        waiting.send_signal(signal.SIGSTOP)
        pause(0.5)
        waiting.send_signal(signal.SIGCONT)
        assert waiting.stdout.readline() == "False\n"


def test_a_command_that_is_not_asked_never_stops() -> None:
    """NeverStop waits it out."""
    stop = NeverStop()
    assert not stop.wait(0.001)
    assert not stop.requested()
