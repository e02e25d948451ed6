"""A private containerd for each module of end-to-end tests, in every version that there is."""

import os
from collections.abc import Iterator

import pytest

from lab import VERSIONS, Lab, LabUnavailable, reason_unavailable
from lab.toolbox import fetch_everything

# A promise that is broken on a node is to be read in full from the first report.
pytest.register_assert_rewrite("contract")


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
