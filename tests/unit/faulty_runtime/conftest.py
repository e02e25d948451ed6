"""A faulty runtime behind the product's client, with an image and a pod's worth of names."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.faulty_runtime import FaultyBench, faulty_bench


@pytest.fixture
def bench(folder: Path) -> Iterator[FaultyBench]:
    with faulty_bench(folder) as bench:
        yield bench
