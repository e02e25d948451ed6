"""Run make targets until one fails, and report how long each took.

Usage: python -m timing TARGET... Uses only the standard library, because the first target installs everything else.
"""

import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from timing import durations
from timing.report import Step, report

FOLDER = Path("build", "timing")
"""Test targets write durations here, as `TARGET.tsv`."""
DETAILED = frozenset({"e2e"})


class Ended:
    """The signals that end a run: the target ends first, since tests have to clean up."""

    def __init__(self) -> None:
        self.number = 0
        self._child: subprocess.Popen[bytes] | None = None
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._end)

    def _end(self, number: int, _frame: FrameType | None) -> None:
        """Pass SIGTERM on; a terminal sends SIGINT to the target too."""
        if not self.number:
            sys.stderr.write("\nInterrupted: tests remove their labs before they end. Please wait.\n")
        self.number = number
        if number == signal.SIGTERM and self._child is not None:
            self._child.send_signal(number)

    def wait_for(self, child: "subprocess.Popen[bytes]") -> int:
        """Return the exit status of a target, however long it takes to end."""
        self._child = child
        return child.wait()


def main(targets: Sequence[str]) -> int:
    """Return the exit status of the target that failed or was interrupted, else 0."""
    if not targets or targets[0].startswith("-"):
        sys.stderr.write("usage: python -m timing TARGET...\n")
        return 2
    ended, steps = Ended(), list[Step]()
    for target in targets:
        steps.append(run(target, ended))
        if steps[-1].status or ended.number:
            break
    left = [Step(target, None) for target in targets[len(steps) :]]
    print("", *report([*steps, *left], DETAILED), sep="\n", flush=True)
    return steps[-1].status


def run(target: str, ended: Ended) -> Step:
    """Run one target and read its test durations; stale ones are deleted first."""
    written = FOLDER / f"{target}.tsv"
    written.unlink(missing_ok=True)
    began = time.monotonic()
    with subprocess.Popen(["make", "--no-print-directory", target]) as child:
        status = ended.wait_for(child)
    status = 128 + ended.number if ended.number else status
    return Step(target, time.monotonic() - began, status, durations.read(written))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
