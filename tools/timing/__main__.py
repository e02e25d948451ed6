"""Runs targets of the Makefile one after the other until one fails, and reports how long each took.

Usage: python -m timing TARGET... Only Python's own library is needed: the first target sets all else up.
"""

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from timing import durations
from timing.report import Step, report

FOLDER = Path("build", "timing")
"""Where the targets that run tests write how long each took: `TARGET.tsv`."""
DETAILED = frozenset({"e2e"})


def main(targets: Sequence[str]) -> int:
    """The exit status is that of the target that failed, else 0."""
    steps: list[Step] = []
    try:
        for target in targets:
            steps.append(run(target))
            if steps[-1].status:
                break
    finally:
        left = [Step(target, None) for target in targets[len(steps) :]]
        print("", *report([*steps, *left], DETAILED), sep="\n", flush=True)
    return steps[-1].status if steps else 0


def run(target: str) -> Step:
    """One target, with a report of its own tests only."""
    written = FOLDER / f"{target}.tsv"
    written.unlink(missing_ok=True)
    began = time.monotonic()
    status = subprocess.run(["make", "--no-print-directory", target], check=False).returncode
    return Step(target, time.monotonic() - began, status, durations.read(written))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
