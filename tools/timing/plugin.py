"""A pytest plugin: `--timing=FILE` writes each test's duration."""

from pathlib import Path

import pytest

from timing import durations


class _Clock:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._phases: list[tuple[str, float]] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Collect each phase, including those of xdist workers."""
        self._phases.append((report.nodeid, report.duration))

    def pytest_sessionfinish(self) -> None:
        """Write the file, also after failures."""
        durations.write(self._path, durations.added_up(self._phases))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--timing`."""
    parser.addoption("--timing", metavar="FILE", help="write each test's duration to FILE")


def pytest_configure(config: pytest.Config) -> None:
    """Register on the xdist controller only: it sees all reports."""
    path = config.getoption("--timing")
    if path and not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Clock(Path(path)))
