"""The faulty runtime keeps the promises that real containerds keep, behind the product's client, as each of them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from contract import PROMISES, Promise, name_of
from support.faulty_runtime import VERSIONS, FaultyBench, Version, faulty_bench


@pytest.fixture(params=VERSIONS, ids=lambda version: version.number)
def bench(request: pytest.FixtureRequest, folder: Path) -> Iterator[FaultyBench]:
    version: Version = request.param
    with faulty_bench(folder, version) as bench:
        yield bench


@pytest.mark.parametrize("promise", PROMISES, ids=name_of)
def test_the_faulty_runtime_keeps(promise: Promise, bench: FaultyBench) -> None:
    """The faulty runtime keeps each promise of the contract."""
    promise(bench)
