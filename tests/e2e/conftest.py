"""A private containerd for each module of end-to-end tests, in every version that there is."""

import os
import signal
from collections.abc import Iterator
from types import FrameType

import pytest

from lab import LEFTOVERS, VERSIONS, Lab, LabUnavailable, reason_unavailable
from lab.toolbox import fetch_everything

# A promise that fails on a node is to be read in full from the first report.
pytest.register_assert_rewrite("contract")


LAST_PATIENCE_SECONDS = 60.0
"""How long a run waits at its end for disks in use."""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Remove leftovers of labs, and report what was late or remains, with the reason."""
    if terminalreporter.config.option.collectonly:
        return
    left = LEFTOVERS.reap_until(LAST_PATIENCE_SECONDS)
    terminalreporter.section("labs")
    for late in LEFTOVERS.late():
        if late.removed_after_seconds is not None:
            seconds = late.removed_after_seconds
            terminalreporter.line(f"{late.folder} was removed {seconds:.1f} s late: {late.reason}")
    for late in left:
        terminalreporter.line(f"{late.folder} could not be removed: {late.reason}")
        terminalreporter.line("Once it is free: make reap")
    if not left:
        terminalreporter.line("This run left nothing on the machine.")


@pytest.fixture(scope="session", autouse=True)
def end_on_sigterm() -> None:
    """Let SIGTERM end the run as Ctrl-C does, so that labs are removed."""
    signal.signal(signal.SIGTERM, _end)


def _end(number: int, _frame: FrameType | None) -> None:
    # A SIGTERM to the process group arrives twice, since make passes its own on. The second must not stop the cleanup.
    signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


@pytest.fixture(scope="session", autouse=True)
def require_lab(end_on_sigterm: None) -> None:
    """Skip where there can be no lab, with the reason; in CI that is a failure."""
    reason = reason_unavailable() or _reason_not_fetched()
    if reason is None:
        return
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def _reason_not_fetched() -> str | None:
    try:
        fetch_everything()
    except LabUnavailable as error:
        return str(error)
    return None


@pytest.fixture(scope="module", params=VERSIONS)
def lab_version(request: pytest.FixtureRequest) -> str:
    """Each of the containerds: "1.6", "1.7", "2"."""
    return str(request.param)


@pytest.fixture(scope="module")
def lab(lab_version: str, require_lab: None) -> Iterator[Lab]:
    """A lab that a module's tests share, version by version; removed afterwards, whatever happened."""
    with Lab(version=lab_version) as lab:
        yield lab
