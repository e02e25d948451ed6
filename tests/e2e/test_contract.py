"""Real containerds, of every version that there is, keep the promises of the contract, behind the product's client."""

from collections.abc import Iterator

import pytest

from contract import PROMISES, Promise, name_of
from lab import Lab
from support.lab_bench import LabBench, lab_bench


@pytest.fixture(scope="module")
def bench(lab: Lab) -> Iterator[LabBench]:
    with lab_bench(lab) as bench:
        yield bench


@pytest.mark.parametrize("promise", PROMISES, ids=name_of)
def test_containerd_keeps(promise: Promise, bench: LabBench) -> None:
    """Each containerd keeps each promise of the contract."""
    promise(bench)
