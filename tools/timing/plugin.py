"""A plugin of pytest: `--timing=FILE` writes there how long each test took."""

from pathlib import Path

import pytest

from timing import durations


class _Clock:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._phases: list[tuple[str, float]] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add up; also what the processes of pytest-xdist report."""
        self._phases.append((report.nodeid, report.duration))

    def pytest_sessionfinish(self) -> None:
        """Write, also after failures."""
        durations.write(self._path, durations.added_up(self._phases))


def pytest_addoption(parser: pytest.Parser) -> None:
    """The file; without it nothing is written."""
    parser.addoption("--timing", metavar="FILE", help="write there how long each test took")


def pytest_configure(config: pytest.Config) -> None:
    """In the process that has all reports; those of pytest-xdist have only their own."""
    path = config.getoption("--timing")
    if path and not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Clock(Path(path)))
