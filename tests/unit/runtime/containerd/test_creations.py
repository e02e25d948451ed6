"""What came since a position, and when that is not known."""

import pytest

from cleaner.runtime.containerd.creations import PREPARED_FOR, CreationLog, Creations, ParentSnapshot

LOWER = ParentSnapshot("sha256:1", "overlayfs")
OTHER = ParentSnapshot("sha256:2", "")
NOTHING = Creations({}, {})
MOST = 1000
GIVEN_UP = PREPARED_FOR.total_seconds()


@pytest.fixture
def log() -> CreationLog:
    log = CreationLog()
    log.begin()
    return log


def test_nothing(log: CreationLog) -> None:
    """Nothing was created since the latest position."""
    assert log.since(log.position, 0) == NOTHING


def test_created(log: CreationLog) -> None:
    """Each position has what came after it, however often it is asked."""
    first = log.position
    log.store_created("a", "x:1")
    second = log.position
    log.store_created("b", "y:1")
    for _ in range(2):
        assert log.since(first, 0) == Creations({"a": "x:1", "b": "y:1"}, {})
        assert log.since(second, 0) == Creations({"b": "y:1"}, {})
        assert log.since(log.position, 0) == NOTHING


def test_positions_that_were_never_given(log: CreationLog) -> None:
    """A position before the stream, or after the latest one, has no answer."""
    assert log.since(log.position - 1, 0) is None
    assert log.since(log.position + 1, 0) is None


def test_another_stream(log: CreationLog) -> None:
    """Since a position of an earlier stream some may be missing, also where nothing has come."""
    before = log.position
    log.store_prepared("b", LOWER, 0)
    log.begin()
    assert log.since(before, 0) is None
    assert log.since(log.position, 0) == NOTHING
    after = log.position
    log.store_created("a", "x:1")
    assert log.since(after, 0) == Creations({"a": "x:1"}, {})


def test_interruption(log: CreationLog) -> None:
    """What cannot be understood makes all earlier positions unknown, and no later one."""
    before = log.position
    log.store_created("a", "x:1")
    log.interrupt()
    after = log.position
    log.store_created("b", "x:1")
    assert log.since(before, 0) is None
    assert log.since(after - 1, 0) is None
    assert log.since(after, 0) == Creations({"b": "x:1"}, {})


@pytest.mark.parametrize(("number", "known"), [(MOST, True), (MOST + 1, False)])
def test_only_the_newest_are_kept(log: CreationLog, number: int, known: bool) -> None:
    """A position is unknown once a container after it is forgotten; positions after that one are known."""
    before = log.position
    for name in range(number):
        log.store_created(str(name), "x:1")
    found = log.since(before, 0)
    assert (found is not None) == known
    rest = log.since(before + 1, 0)
    assert rest is not None
    assert len(rest.image_by_container) == number - 1


def test_forgotten_after_an_interruption(log: CreationLog) -> None:
    """Forgetting a container from before an interruption makes no position known again."""
    log.store_created("old", "x:1")
    before = log.position
    log.interrupt()
    for name in range(MOST):
        log.store_created(str(name), "x:1")
    assert log.since(before, 0) is None


def test_one_id_twice(log: CreationLog) -> None:
    """One id that was created from two images is in doubt; twice from one image it is known."""
    before = log.position
    log.store_created("a", "x:1")
    log.store_created("a", "x:1")
    assert log.since(before, 0) == Creations({"a": "x:1"}, {})
    log.store_created("a", "y:1")
    assert log.since(before, 0) is None
    assert log.since(log.position - 1, 0) == Creations({"a": "y:1"}, {})


def test_prepared(log: CreationLog) -> None:
    """A container that is being created counts, also if that began before the position."""
    before = log.position
    log.store_prepared("a", LOWER, 0)
    log.store_prepared("b", OTHER, 0)
    assert log.since(before, 0) == log.since(log.position, 0) == Creations({}, {"a": LOWER, "b": OTHER})


def test_prepared_and_created(log: CreationLog) -> None:
    """A container that was created is one, and the snapshot below it is known."""
    log.store_prepared("a", LOWER, 0)
    before = log.position
    log.store_created("a", "x:1")
    assert log.since(before, 0) == Creations({"a": "x:1"}, {"a": LOWER})
    assert log.since(log.position, 0) == NOTHING


def test_prepared_and_removed(log: CreationLog) -> None:
    """A preparation that failed counts no longer; the end of a container that was created changes nothing."""
    before = log.position
    log.store_prepared("a", LOWER, 0)
    log.store_removed("a")
    assert log.since(before, 0) == NOTHING
    log.store_created("b", "x:1")
    log.store_removed("b")
    assert log.since(before, 0) == Creations({"b": "x:1"}, {})


@pytest.mark.parametrize(("seconds", "counts"), [(GIVEN_UP - 1, True), (GIVEN_UP, True), (GIVEN_UP + 1, False)])
def test_prepared_long_ago(log: CreationLog, seconds: float, counts: bool) -> None:
    """A preparation counts for as long as a kubelet waits for its container."""
    log.store_prepared("a", LOWER, 100)
    expected = Creations({}, {"a": LOWER} if counts else {})
    assert log.since(log.position, 100 + seconds) == expected


@pytest.mark.parametrize(("number", "known"), [(100, True), (101, False)])
def test_too_many_prepared(log: CreationLog, number: int, known: bool) -> None:
    """More preparations than are kept are an interruption."""
    before = log.position
    for name in range(number):
        log.store_prepared(str(name), LOWER, 0)
    found = log.since(before, 0)
    assert (found is not None) is known
    assert found is None or len(found.parent_by_container) == number
