"""Containers that a list shows, and that the stream of events did not tell of."""

from cleaner.runtime.containerd.missed_containers import MissedContainers


class Watched:
    """A stream and lists of one node, by hand."""

    def __init__(self) -> None:
        self.missed = MissedContainers()

    def list_at(self, seconds: float, *ids: str, told_meanwhile: str = "") -> None:
        self.missed.begin_list()
        for known in told_meanwhile:
            self.missed.store_told(known)
        self.missed.end_list(ids, seconds)


def test_a_container_that_the_stream_does_not_tell_of() -> None:
    """It was in no list before, and its event does not come within 30 s; it is found once."""
    watched = Watched()
    watched.list_at(0, "a")
    watched.list_at(60, "a", "b")
    assert not watched.missed.judge(89.9)
    assert watched.missed.missed is None
    assert watched.missed.judge(90)
    assert watched.missed.missed == "b"
    assert not watched.missed.judge(200)
    watched.list_at(200, "a", "b")
    assert not watched.missed.judge(300)


def test_it_is_missed_however_it_goes_on() -> None:
    """Another list, also one without the container, changes nothing: it was there."""
    watched = Watched()
    watched.list_at(0, "a")
    watched.list_at(60, "a", "b")
    watched.list_at(80, "a")
    assert watched.missed.judge(90)


def test_a_container_that_the_stream_tells_of() -> None:
    """Before, during or after the list, also long before it: that is no fault."""
    watched = Watched()
    watched.list_at(0, "a")
    watched.missed.store_told("b")
    watched.list_at(60, "a", "b", "c", told_meanwhile="c")
    watched.list_at(61, "a", "b", "c", "d")
    watched.missed.store_told("d")
    watched.list_at(120, "a", "b", "c", "d")
    assert not watched.missed.judge(1000)


def test_what_was_told_during_a_list_counts_for_the_next() -> None:
    """An event may come after the list was read, and before it has arrived."""
    watched = Watched()
    watched.list_at(0, "a")
    watched.list_at(60, "a", told_meanwhile="b")
    watched.list_at(120, "a", "b")
    assert not watched.missed.judge(1000)


def test_what_was_there_before_the_stream() -> None:
    """The first list of a stream is what is known; it may lack nothing that was created before."""
    watched = Watched()
    watched.list_at(0, "a", "b")
    watched.list_at(60, "a", "b")
    assert not watched.missed.judge(1000)


def test_another_stream_knows_nothing() -> None:
    """A list that began before the stream is ignored, and so is what another stream did not tell."""
    watched = Watched()
    watched.list_at(0, "a")
    watched.list_at(60, "a", "b")
    watched.missed.begin_list()
    watched.missed.begin_stream()
    watched.missed.end_list(["a", "b"], 61)
    assert not watched.missed.judge(1000)
    watched.list_at(1000, "a", "b", "c")
    watched.list_at(1060, "a", "b", "c")
    assert not watched.missed.judge(2000)


def test_a_list_that_failed() -> None:
    """What was told until the next list counts; nothing is compared with the one that failed."""
    watched = Watched()
    watched.list_at(0, "a")
    watched.missed.store_told("b")
    watched.missed.begin_list()
    watched.missed.store_told("c")
    watched.list_at(60, "a", "b", "c")
    assert not watched.missed.judge(1000)


def test_a_list_that_nobody_began() -> None:
    """While the stream cannot be relied on, lists are read all the same."""
    watched = Watched()
    watched.missed.end_list(["a"], 0)
    watched.list_at(60, "a", "b")
    assert not watched.missed.judge(1000)


def test_a_stream_that_tells_again() -> None:
    """Any container that it tells of ends the doubt, also on a later stream; until then it stays."""
    watched = Watched()
    watched.list_at(0, "a")
    watched.list_at(60, "b")
    assert watched.missed.judge(90)
    watched.missed.begin_stream()
    assert watched.missed.missed == "b"
    watched.missed.store_told("x")
    assert watched.missed.missed is None


def test_memory_is_bounded() -> None:
    """10,000 containers between two lists are kept; with one more the next list is compared with nothing."""
    for number, missed in ((10_000, True), (10_001, False)):
        watched = Watched()
        watched.list_at(0, "a")
        for name in range(number):
            watched.missed.store_told(str(name))
        assert len(watched.missed._told) <= 10_000
        watched.list_at(60, "a", "9999", "b")
        assert watched.missed.judge(90) is missed
        watched.list_at(120, "a", "9999", "b")
        watched.list_at(180, "a", "9999", "b", "c")
        assert watched.missed.judge(210)


def test_churn_leaves_nothing_behind() -> None:
    """Containers that come and go over months take no memory."""
    watched = Watched()
    for number in range(1000):
        watched.missed.store_told(str(number))
        watched.list_at(number, str(number))
    assert len(watched.missed._told | watched.missed._told_before) <= 1
    assert watched.missed._suspects == {}
