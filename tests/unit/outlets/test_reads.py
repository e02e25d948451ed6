"""Container events and pulls that cannot be read: one line when that begins and when it ends, and two gauges."""

from dataclasses import replace

import pytest

from cleaner.core.events import RuntimeDown
from cleaner.core.read_state import AVAILABLE, OptionalRead, ReadChanged, unavailable
from unit.outlets.happenings import (
    CONTAINERD,
    EVENTS_FOLLOWED,
    EVENTS_LOST,
    NO_EVENTS,
    NO_PULLS,
    PULLS_READ,
    PULLS_UNREAD,
    SPACE,
    SPACE_UNMEASURED,
    UNAVAILABLE,
)
from unit.outlets.written import lines_of, metrics_after, names_of, value

FOLLOWED, LOST, NONE = ("container_events_up", "container_events_down", "container_events_not_offered")
READ, UNREAD, NO_API = ("pulls_readable", "pulls_unreadable", "pulls_not_offered")


def test_what_works_from_the_start_is_no_line() -> None:
    """Nothing is to be said of it."""
    assert names_of(EVENTS_FOLLOWED, PULLS_READ) == []


@pytest.mark.parametrize(
    ("begins", "ends", "names"),
    [(EVENTS_LOST, EVENTS_FOLLOWED, (LOST, FOLLOWED)), (PULLS_UNREAD, PULLS_READ, (UNREAD, READ))],
)
def test_a_fault_is_a_warning_and_its_end_is_not(
    begins: ReadChanged, ends: ReadChanged, names: tuple[str, str]
) -> None:
    """With the reason, and from the start too."""
    for first in ((), (ends,)):
        begun, ended = lines_of(*first, begins, ends)
        assert [(line["event"], line["level"]) for line in (begun, ended)] == [
            (names[0], "warning"),
            (names[1], "info"),
        ]
        assert begun["reason"] == begins.state.reason
        assert "reason" not in ended


def test_each_has_its_own_line() -> None:
    """The end of one is not that of the other."""
    assert names_of(EVENTS_LOST, PULLS_UNREAD, PULLS_READ, EVENTS_FOLLOWED) == [LOST, UNREAD, READ, FOLLOWED]


def test_what_is_not_offered_is_no_warning() -> None:
    """CRI-O has neither: a line for information, and another one when a containerd comes."""
    lines = lines_of(NO_EVENTS, NO_PULLS, EVENTS_FOLLOWED, PULLS_READ)
    assert [line["event"] for line in lines] == [NONE, NO_API, FOLLOWED, READ]
    assert {line["level"] for line in lines} == {"info"}


@pytest.mark.parametrize(
    ("name", "states"),
    [
        ("container_events_up", (EVENTS_FOLLOWED, EVENTS_LOST, NO_EVENTS)),
        ("pulls_readable", (PULLS_READ, PULLS_UNREAD, NO_PULLS)),
    ],
)
def test_the_gauges(name: str, states: tuple[ReadChanged, ...]) -> None:
    """1, 0 also before it is known, and no sample where the runtime offers none."""
    assert value(metrics_after(), name) == 0
    assert [value(metrics_after([state]), name) for state in states] == [1, 0, None]
    assert [value(metrics_after([states[1], state]), name) for state in states] == [1, 0, None]
    # An unavailable runtime says nothing of it.
    assert value(metrics_after([CONTAINERD, states[0], RuntimeDown(UNAVAILABLE)]), name) == 1


@pytest.mark.parametrize(
    ("read", "name", "words"),
    [
        (OptionalRead.CONTAINER_EVENTS, "container_events_up", (LOST, FOLLOWED)),
        (OptionalRead.PULLS, "pulls_readable", (UNREAD, READ)),
    ],
)
def test_log_and_metric_have_one_word(read: OptionalRead, name: str, words: tuple[str, str]) -> None:
    """The line of the good state is called as the gauge that is 1 then."""
    down, up = ReadChanged(read, unavailable("x")), ReadChanged(read, AVAILABLE)
    assert tuple(names_of(down, up)) == words
    assert words[1] == name
    assert value(metrics_after([up]), name) == 1


def test_snapshots_that_are_not_measured() -> None:
    """Once, until there is another snapshotter, or they are measured for a while."""
    more = replace(SPACE, unmeasured_snapshotters=frozenset({"btrfs", "native"}))
    lines = lines_of(SPACE, SPACE_UNMEASURED, SPACE_UNMEASURED, more, SPACE, more)
    assert [line["event"] for line in lines] == ["snapshots_unmeasured"] * 3
    assert [line["snapshotters"] for line in lines] == [["native", "zfs"], ["btrfs", "native"], ["btrfs", "native"]]


def test_filesystems_that_are_not_seen() -> None:
    """They are named where the runtime is."""
    lines = lines_of(CONTAINERD, RuntimeDown(UNAVAILABLE), replace(CONTAINERD, unseen_paths=("/content",)))
    assert [line["unseen_paths"] for line in lines if line["event"] == "runtime_up"] == [[], ["/content"]]
