"""A private containerd for each module of end-to-end tests, in every version that there is."""

import os
from collections.abc import Iterator

import pytest

from lab import LEFTOVERS, VERSIONS, Lab, LabUnavailable, reason_unavailable
from lab.toolbox import fetch_everything

# A promise that is broken on a node is to be read in full from the first report.
pytest.register_assert_rewrite("contract")


LAST_PATIENCE_SECONDS = 60.0
"""At the end of a run, for disks that other processes hold."""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Remove what labs could not remove when they ended, and say what was late or is left, and why."""
    left = LEFTOVERS.reap_with_patience(LAST_PATIENCE_SECONDS)
    terminalreporter.section("labs")
    for late in LEFTOVERS:
        if late.removed_after_seconds is not None:
            terminalreporter.line(f"{late.folder}: removed {late.removed_after_seconds:.1f} s late: {late.why}")
    for late in left:
        terminalreporter.line(f"{late.folder}: still there: {late.why}")
    if not left:
        terminalreporter.line("No lab left anything on the machine.")


@pytest.fixture(scope="session", autouse=True)
def require_lab() -> None:
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
    """A lab that a module's tests share, version by version; gone afterwards, whatever happened."""
    with Lab(version=lab_version) as lab:
        yield lab
