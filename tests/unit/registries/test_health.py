"""What is made of the answers: mirrors, kept answers, and what is known without asking."""

from collections.abc import Mapping, Sequence

import pytest

from cleaner.node.clock import NeverStop
from cleaner.registries.health import FIRST_SHARE, KEPT_SECONDS, RegistryHealth
from cleaner.registries.probe_round import ProbeRound
from support.fakes import FakeTimer


class Town:
    """Registries that are up or down as a test says, and how often each was asked."""

    def __init__(self, **mirrors: Sequence[str]) -> None:
        self.timer = FakeTimer()
        self.down: set[str] = set()
        self.asked: list[str] = []
        rounds = ProbeRound(self._answer, NeverStop(), lambda: 0.0)
        self.guard = RegistryHealth(mirrors, rounds, self.timer.monotonic)

    def ask(self, *registries: str) -> Mapping[str, str]:
        return self.guard.find_down(frozenset(registries), 5.0)

    def _answer(self, registry: str) -> str | None:
        self.asked.append(registry)
        return "HTTP 503" if registry in self.down else None


def test_one_that_is_down() -> None:
    """Only those that are down are given, each with the reason."""
    town = Town()
    town.down = {"b"}
    assert town.ask("a", "b", "c") == {"b": "HTTP 503"}
    assert sorted(town.asked) == ["a", "b", "c"]
    assert town.guard.known_down() == {"b"}


def test_without_registries_none_is_asked() -> None:
    """Without registries there is no answer and no question."""
    town = Town()
    assert (town.ask(), town.asked, town.guard.known_down()) == ({}, [], frozenset())


@pytest.mark.parametrize("down", [set(), {"a"}, {"m"}, {"n"}, {"a", "m"}, {"a", "n"}, {"m", "n"}, {"a", "m", "n"}])
def test_a_registry_is_up_while_a_mirror_is(down: set[str]) -> None:
    """It is down only with all of its mirrors, which are asked only where it is down itself."""
    town = Town(a=("m", "n"))
    town.down = down
    expected = {"a": "HTTP 503; m: HTTP 503; n: HTTP 503"} if down == {"a", "m", "n"} else {}
    assert town.ask("a") == expected
    assert town.guard.known_down() == expected.keys()
    assert sorted(town.asked) == (["a", "m", "n"] if "a" in down else ["a"])


def test_a_mirror_of_two_is_asked_once() -> None:
    """A mirror that two registries share, and that is a candidate's registry itself, is asked once in a sweep."""
    town = Town(a=("m",), b=("m",))
    town.down = {"a", "b", "m"}
    assert town.ask("a", "b", "m") == {
        "a": "HTTP 503; m: HTTP 503",
        "b": "HTTP 503; m: HTTP 503",
        "m": "HTTP 503",
    }
    assert sorted(town.asked) == ["a", "b", "m"]


@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize(("since", "asked"), [(-0.001, 1), (0.0, 2), (0.001, 2)])
def test_answers_are_kept(down: bool, since: float, asked: int) -> None:
    """For minutes, that moment excluded, no registry is asked again, whatever the answer was."""
    town = Town()
    town.down = {"a"} if down else set()
    first = town.ask("a")
    town.timer.move(seconds=KEPT_SECONDS + since)
    assert town.ask("a") == first
    assert len(town.asked) == asked


def test_an_answer_that_is_too_old_is_replaced() -> None:
    """A registry that answers again is up once it is asked again, and then is known to be."""
    town = Town()
    town.down = {"a"}
    town.ask("a")
    town.down = set()
    assert town.ask("a") == {"a": "HTTP 503"}
    town.timer.move(seconds=KEPT_SECONDS)
    assert town.guard.known_down() == {"a"}
    assert town.ask("a") == {}
    assert town.guard.known_down() == frozenset()


def test_what_is_known_of_others_stays() -> None:
    """A question about some registries leaves what is known of the others, however old; they are not asked again."""
    town = Town()
    town.down = {"a", "b"}
    town.ask("a")
    town.timer.move(days=1)
    town.ask("b")
    asked = list(town.asked)
    assert town.guard.known_down() == {"a", "b"}
    assert town.asked == asked


def test_those_who_answered_well_come_first() -> None:
    """Then those never asked, then those that were down: many that hang do not use up the time of the others."""
    order: list[list[str]] = []

    class Recorded(ProbeRound):
        def probe_all(self, registries: Sequence[str], seconds: float) -> dict[str, str | None]:
            order.append(list(registries))
            return dict.fromkeys(registries) | {"b": "HTTP 503"} if registries else {}

    timer = FakeTimer()
    guard = RegistryHealth({}, Recorded(lambda _: None, NeverStop()), timer.monotonic)
    guard.find_down(frozenset("bd"), 5.0)
    timer.move(seconds=KEPT_SECONDS)
    guard.find_down(frozenset("abcd"), 5.0)
    assert order == [["b", "d"], [], ["d", "a", "c", "b"], []]


def test_the_time_is_shared_with_mirrors() -> None:
    """Registries have a share of the time, and mirrors what is left; without an answer in that time one is down."""
    seconds: list[float] = []
    timer = FakeTimer()

    class Silent(ProbeRound):
        def probe_all(self, _: Sequence[str], limit: float) -> dict[str, str | None]:
            seconds.append(limit)
            timer.move(seconds=limit)
            return {}

    guard = RegistryHealth({"a": ("m",)}, Silent(lambda _: None, NeverStop()), timer.monotonic)
    assert guard.find_down(frozenset({"a"}), 10.0) == {"a": "no answer in time; m: no answer in time"}
    assert seconds == pytest.approx([10 * FIRST_SHARE, 10 * (1 - FIRST_SHARE)])
