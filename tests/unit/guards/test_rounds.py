"""Many questions at once: in order, within the time, and never two to the same registry."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from cleaner.core.ports import Stop
from cleaner.guards.question import RegistryQuestion
from cleaner.guards.rounds import JITTER_SHARE, MOST_AT_ONCE, Ask, Rounds
from cleaner.node.clock import NeverStop
from support.registry_servers import serve_registry, serve_silence


class Stopped(NeverStop):
    """One that was asked for a stop."""

    def requested(self) -> bool:
        return True


class Gate:
    """A question that hangs until the test ends, except for the names that are up."""

    def __init__(self, *up: str) -> None:
        self.up = frozenset(up)
        self.asked: list[str] = []
        self.open = threading.Event()
        self.hanging = 0
        self._lock = threading.Lock()

    def __call__(self, registry: str) -> str | None:
        with self._lock:
            self.asked.append(registry)
        if registry not in self.up:
            with self._lock:
                self.hanging += 1
            self.open.wait(30)
        return None


@contextmanager
def hanging(*up: str) -> Iterator[Gate]:
    gate = Gate(*up)
    try:
        yield gate
    finally:
        gate.open.set()
        for thread in threading.enumerate():
            if thread.name == "registries":
                thread.join(10)


def rounds_of(ask: Ask, stop: Stop | None = None, chance: float = 0.0) -> Rounds:
    return Rounds(ask, stop or NeverStop(), lambda: chance)


def test_everybody_is_asked_once() -> None:
    """A round gives each registry's answer, and asks none twice."""
    asked: list[str] = []

    def ask(registry: str) -> str | None:
        asked.append(registry)
        return "HTTP 503" if registry == "b.io" else None

    names = [f"{letter}.io" for letter in "abcdefghijklmnopqrstuvwxyz"]
    assert rounds_of(ask).ask(names, 5.0) == {name: "HTTP 503" if name == "b.io" else None for name in names}
    assert sorted(asked) == names


def test_nobody_to_ask_takes_no_time() -> None:
    """Without a registry there is no thread and no wait."""
    begin = time.monotonic()
    assert rounds_of(lambda _: None, chance=0.999).ask([], 60.0) == {}
    assert time.monotonic() - begin < 30


def test_fifty_that_hang_do_not_delay_a_sweep() -> None:
    """The time limit holds for all of them together, and those who are asked first have answered by then."""
    with hanging("a.io") as gate:
        begin = time.monotonic()
        found = rounds_of(gate).ask(["a.io", *(f"h{number}.io" for number in range(50))], 0.5)
        assert 0.5 <= time.monotonic() - begin < 20
        assert found == {"a.io": None}
        assert gate.hanging == MOST_AT_ONCE


def test_who_still_hangs_is_not_asked_again() -> None:
    """A thread that was left behind is the only one for its registry; once it is back the registry is asked anew."""
    with hanging() as gate:
        rounds = rounds_of(gate)
        assert rounds.ask(["a.io"], 0.1) == {}
        assert rounds.ask(["a.io"], 5.0) == {"a.io": "it has not answered the last question yet"}
        assert gate.asked == ["a.io"]
        gate.open.set()
        while rounds.ask(["a.io"], 5.0) != {"a.io": None}:
            pass
    assert len(gate.asked) == 2


def test_a_question_that_breaks_is_an_answer() -> None:
    """Whatever a question raises is told by its name, and ends nothing."""

    def ask(_: str) -> str | None:
        raise ValueError("http://user:secret@proxy")

    assert rounds_of(ask).ask(["a.io"], 5.0) == {"a.io": "the question broke: ValueError"}
    name = "a" * 64 + ".io"
    assert rounds_of(RegistryQuestion()).ask([name], 5.0) == {name: "the question broke: LocationParseError"}


def test_a_stop_ends_the_wait() -> None:
    """Once a stop is requested nobody waits for an answer."""
    with hanging() as gate:
        begin = time.monotonic()
        assert rounds_of(gate, Stopped()).ask(["a.io"], 60.0) == {}
        assert time.monotonic() - begin < 5


@pytest.mark.parametrize("chance", [0.0, 0.5, 0.999])
def test_the_pause_by_chance_is_bounded(chance: float) -> None:
    """A question waits by chance, less than a tenth of the time limit, and once only however many there are."""
    begin = time.monotonic()
    names = [f"r{number}.io" for number in range(3 * MOST_AT_ONCE)]
    assert len(rounds_of(lambda _: None, chance=chance).ask(names, 5.0)) == len(names)
    assert chance * 5 * JITTER_SHARE <= time.monotonic() - begin < 5 * JITTER_SHARE + 4


def test_a_round_that_ends_meanwhile_asks_nobody_more() -> None:
    """One whose pause is longer than the round is not asked afterwards."""
    asked: list[str] = []
    assert rounds_of(asked.append, chance=20.0).ask(["a.io"], 0.1) == {}
    for thread in threading.enumerate():
        if thread.name == "registries":
            thread.join(10)
    assert asked == []


def test_a_server_that_drips_is_left_behind() -> None:
    """A byte now and then gets around every timeout of the question, and not around that of the round."""
    with serve_silence(drip=b"H") as dripping, serve_registry(401) as registry:
        rounds = rounds_of(RegistryQuestion(frozenset({dripping, registry.address})))
        begin = time.monotonic()
        assert rounds.ask([dripping, registry.address], 1.0) == {registry.address: None}
        assert time.monotonic() - begin < 20
    for thread in threading.enumerate():
        if thread.name == "registries":
            thread.join(10)


def test_without_threads_nobody_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system gives no thread, the round ends at its time without an answer."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert rounds_of(lambda _: None).ask(["a.io"], 0.1) == {}
