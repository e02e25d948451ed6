"""The faulty runtime keeps the promises that real containerds keep, behind the product's client, as each of them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contract import PROMISES, Promise, name_of
from support.faulty_runtime import VERSIONS, FaultyBench, Version, faulty_bench
from support.recording import read, record


@pytest.fixture(params=VERSIONS, ids=lambda version: version.number)
def bench(request: pytest.FixtureRequest, folder: Path) -> Iterator[FaultyBench]:
    version: Version = request.param
    with faulty_bench(folder, version) as bench:
        yield bench


@pytest.mark.parametrize("promise", PROMISES, ids=name_of)
def test_the_faulty_runtime_keeps(promise: Promise, bench: FaultyBench) -> None:
    """The faulty runtime keeps each promise of the contract."""
    promise(bench)


@pytest.mark.parametrize("recorded", VERSIONS, ids=lambda version: version.number)
def test_the_faulty_runtime_does_what_containerd_did(recorded: Version, folder: Path) -> None:
    """Its answers, events and removals come in the order of the recording of a real containerd of that version."""
    with faulty_bench(folder, recorded) as bench:
        played = record(bench)
    recording = read(recorded.number)
    assert played["containerd"] == recording["containerd"]
    for mine, real in zip(played["steps"], recording["steps"], strict=True):
        assert mine == real


def test_versions_differ_only_where_they_say_so() -> None:
    """The recordings differ as a `Version` says: 1.6 writes records again, and only 2 marks foreign ones."""
    old, middle, new = (read(version.number)["steps"] for version in VERSIONS)
    assert steps_that_differ(old, middle) == {
        "pull by tag",
        "pull by digest",
        "pull again by tag",
        "pull again by digest",
        "the tag moves",
        "pull what was removed",
        # Events of 1.6 do not name the snapshotter.
        "create a container in a pod",
        "create and start a container in a pod",
        "start a pod by digest",
        "start a pod by the tag that was removed",
        # The garbage collector of 1.6 sends no events.
        "RemoveImage of an image with two tags",
        "remove the pod of the image that was removed",
    }
    assert steps_that_differ(middle, new) == {"a second tag", "a record that CRI shows under another name"}


def steps_that_differ(some: list[dict[str, Any]], others: list[dict[str, Any]]) -> set[str]:
    """Names of the steps in which two recordings are not the same."""
    return {one["step"] for one, other in zip(some, others, strict=True) if one != other}
