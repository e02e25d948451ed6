"""Many questions at once: in order, within the time, and never two to the same registry."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from cleaner.core.ports import Stop
from cleaner.node.clock import NeverStop
from cleaner.registries.probe import RegistryProbe
from cleaner.registries.probe_round import JITTER_SHARE, MOST_AT_ONCE, Ask, Found, ProbeRound
from lab.waiting import DEADLINE_SECONDS, wait_until
from support.registry_servers import serve_registry, serve_silence

LIMITS_SECONDS = (1.0, *[15.0] * 9)
"""For rounds that end by their time, to be tried in turn: no machine is too busy for all of them."""
FAR_SECONDS = 10 * DEADLINE_SECONDS
"""A time limit that no test waits for."""
PATIENT = (DEADLINE_SECONDS, DEADLINE_SECONDS)
"""For registries that answer, however busy the machine is."""


@dataclass
class StopWhen(NeverStop):
    """A stop that is requested by what happened."""

    condition: Callable[[], bool] = lambda: True
    asked: int = 0

    def requested(self) -> bool:
        self.asked += 1
        return self.condition()


@dataclass
class Chance:
    """Gives the same number each time."""

    number: float = 0.0
    drawn: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        self.drawn.append(self.number)
        return self.number


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
            self.open.wait(FAR_SECONDS)
        return None


@contextmanager
def hanging(*up: str) -> Iterator[Gate]:
    gate = Gate(*up)
    try:
        yield gate
    finally:
        gate.open.set()
        await_threads()


def await_threads() -> None:
    """Continue once every thread of a round is over."""
    for thread in threading.enumerate():
        if thread.name == "registries":
            thread.join(DEADLINE_SECONDS)
            assert not thread.is_alive()


def rounds_of(ask: Ask, stop: Stop | None = None, chance: float = 0.0) -> ProbeRound:
    return ProbeRound(ask, stop or NeverStop(), lambda: chance)


def ended(rounds: ProbeRound, registries: list[str], seconds: float) -> tuple[Found, float]:
    """The answers of a round, and its seconds; AssertionError where nothing ends it."""
    found: list[tuple[Found, float]] = []

    def ask() -> None:
        begin = time.monotonic()
        answers = rounds.probe_all(registries, seconds)
        found.append((answers, time.monotonic() - begin))

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(2 * DEADLINE_SECONDS)
    assert found, "the round does not end"
    return found[0]


def test_every_registry_is_asked_once() -> None:
    """A round gives each registry's answer, and asks none twice."""
    asked: list[str] = []

    def ask(registry: str) -> str | None:
        asked.append(registry)
        return "HTTP 503" if registry == "b.io" else None

    names = [f"{letter}.io" for letter in "abcdefghijklmnopqrstuvwxyz"]
    found = rounds_of(ask).probe_all(names, DEADLINE_SECONDS)
    assert found == {name: "HTTP 503" if name == "b.io" else None for name in names}
    assert sorted(asked) == names


def test_without_registries_no_time_passes() -> None:
    """Without a registry there is no thread and no wait."""
    stop, chance = StopWhen(lambda: False), Chance(0.999)
    assert ended(ProbeRound(lambda _: None, stop, chance), [], FAR_SECONDS)[0] == {}
    await_threads()
    # A thread draws its pause first, and each wait begins with the question for a stop.
    assert (chance.drawn, stop.asked) == ([], 0)


def test_fifty_that_hang_do_not_delay_a_sweep() -> None:
    """The time limit is that of all of them together, and those who are asked first have answered by then."""
    for seconds in LIMITS_SECONDS:
        with hanging("a.io") as gate:
            found, took = ended(rounds_of(gate), ["a.io", *(f"h{number}.io" for number in range(50))], seconds)
            assert took >= seconds
            assert gate.hanging <= MOST_AT_ONCE
        if found == {"a.io": None} and gate.hanging == MOST_AT_ONCE and took < 2 * seconds:
            return
    pytest.fail(f"{found} within {seconds} s, {gate.hanging} hang")


def test_a_registry_that_still_hangs_is_not_asked_again() -> None:
    """A thread that was left behind is the only one for its registry; once it has ended the registry is asked anew."""
    with hanging() as gate:
        stop = StopWhen(lambda: gate.hanging == 1)
        rounds = rounds_of(gate, stop)
        assert rounds.probe_all(["a.io"], FAR_SECONDS) == {}
        stop.condition = lambda: False
        assert rounds.probe_all(["a.io"], DEADLINE_SECONDS) == {"a.io": "it has not answered the last question yet"}
        assert gate.asked == ["a.io"]
        gate.open.set()
        wait_until(lambda: rounds.probe_all(["a.io"], DEADLINE_SECONDS) == {"a.io": None}, "it is asked anew")
    assert len(gate.asked) == 2


def test_a_question_that_breaks_is_an_answer() -> None:
    """Whatever a question raises is reported by its name, and ends nothing."""

    def ask(_: str) -> str | None:
        raise ValueError("http://user:secret@proxy")

    assert rounds_of(ask).probe_all(["a.io"], DEADLINE_SECONDS) == {"a.io": "the probe failed: ValueError"}
    name = "a" * 64 + ".io"
    found = rounds_of(RegistryProbe()).probe_all([name], DEADLINE_SECONDS)
    assert found == {name: "the probe failed: LocationParseError"}


def test_a_stop_ends_the_wait() -> None:
    """Once a stop is requested no round waits for an answer."""
    with hanging() as gate:
        assert ended(rounds_of(gate, StopWhen()), ["a.io"], FAR_SECONDS)[0] == {}


@pytest.mark.parametrize("number", [0.0, 0.5, 0.999])
def test_the_pause_by_chance_is_bounded(number: float) -> None:
    """A question waits by chance, less than a tenth of the time limit, and once only however many there are."""
    names = [f"r{index}.io" for index in range(3 * MOST_AT_ONCE)]
    for seconds in LIMITS_SECONDS:
        chance = Chance(number)
        found, took = ended(ProbeRound(lambda _: None, NeverStop(), chance), names, seconds)
        await_threads()
        assert len(chance.drawn) == MOST_AT_ONCE
        assert took >= number * seconds * JITTER_SHARE
        # What a busy machine adds is the less of the limit the longer that is.
        if len(found) == len(names) and took < 2 * JITTER_SHARE * seconds:
            return
    pytest.fail(f"{len(found)} answers after {took} of {seconds} s")


def test_a_round_that_ends_meanwhile_asks_no_other_registry() -> None:
    """One whose pause is longer than the round is not asked afterwards."""
    asked: list[str] = []
    assert ended(rounds_of(asked.append, chance=1e6), ["a.io"], 0.1)[0] == {}
    await_threads()
    assert asked == []


def test_a_server_that_drips_is_left_behind() -> None:
    """A byte now and then gets around every timeout of the question, and not around that of the round."""
    with serve_silence(drip=b"H") as dripping, serve_registry(401) as registry:
        plain = frozenset({dripping.address, registry.address})
        for seconds in LIMITS_SECONDS:
            rounds = rounds_of(RegistryProbe(plain, timeouts=PATIENT))
            found, took = ended(rounds, [dripping.address, registry.address], seconds)
            if found and took < 2 * seconds:
                break
        assert (found, took < 2 * seconds) == ({registry.address: None}, True)
    await_threads()


def test_without_threads_no_registry_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system gives no thread, the round ends at its time without an answer."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert rounds_of(lambda _: None).probe_all(["a.io"], 0.1) == {}
