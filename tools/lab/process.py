"""One long-running program of the lab, with its output in a file.

It does not get our terminal's signals: Ctrl-C reaches the lab first, which then ends its programs in order.
"""

import signal
import subprocess
from pathlib import Path

from lab.errors import LabError
from lab.shell import last_lines

_STOP_SECONDS = 120.0


class Process:
    """A program that can be started, stopped and killed again and again."""

    def __init__(self, name: str, command: list[str], environment: dict[str, str], log: Path) -> None:
        """Describe a program; start() runs it."""
        self._name = name
        self._command = command
        self._environment = environment
        self._log = log
        self._running: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Return the process id, None while it is not started."""
        return self._running.pid if self._running is not None else None

    def start(self) -> None:
        """Run the program; LabError when it runs already or cannot be run."""
        if self._running is not None:
            raise LabError(f"{self._name} runs already")
        try:
            with self._log.open("ab") as log:
                self._running = subprocess.Popen(
                    self._command,
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd="/",
                    start_new_session=True,
                )
        except OSError as error:
            raise LabError(f"{self._name} cannot be run: {error}") from error

    def raise_if_dead(self) -> None:
        """Raise LabError with the log's last lines if the program ended by itself."""
        if self._running is not None and self._running.poll() is not None:
            raise LabError(f"{self._name} ended with {self._running.returncode}:\n{self.log_tail()}")

    def log_tail(self) -> str:
        """Return the last lines that the program wrote."""
        return last_lines(self._log.read_text(encoding="utf-8", errors="replace"))

    def stop(self) -> None:
        """End the program by SIGTERM and wait; nothing happens if it does not run."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the program by SIGKILL, as a crash would."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        if self._running is None:
            return
        self._running.send_signal(number)
        try:
            self._running.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._running.kill()
            self._running.wait()
        self._running = None
