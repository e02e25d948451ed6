"""Whether the registries of images answer, so that what a nightly sweep evicts can be pulled again.

It must not ask often: an answer is kept for minutes, a bad one too, and mirrors are asked only where a registry is
down.
"""

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from cleaner.registries.probe_round import ProbeRound

KEPT_SECONDS = 300.0
"""How long an answer is believed."""
FIRST_SHARE = 0.6
"""Of the time limit, for the registries themselves; the rest is left for mirrors."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """What one registry or mirror last answered."""

    reason: str | None
    at: float


class RegistryHealth:
    """Asks registries and keeps what they answered."""

    def __init__(
        self, mirrors: Mapping[str, Sequence[str]], rounds: ProbeRound, monotonic: Callable[[], float]
    ) -> None:
        """`mirrors` by the registry whose images they have."""
        self._mirrors = mirrors
        self._rounds = rounds
        self._monotonic = monotonic
        self._answers: dict[str, _Answer] = {}
        self._down: dict[str, str] = {}

    def find_down(self, registries: frozenset[str], seconds: float) -> Mapping[str, str]:
        """Those that are down with all of their mirrors, and why; asks only those without a recent answer."""
        begin = self._monotonic()
        against = self._ask(registries, seconds * FIRST_SHARE)
        mirrors = {mirror for registry in against for mirror in self._mirrors.get(registry, ())}
        against |= self._ask(mirrors, seconds - (self._monotonic() - begin))
        found = {}
        for registry in sorted(registries):
            places = registry, *self._mirrors.get(registry, ())
            if against.keys() >= set(places):
                found[registry] = "; ".join(
                    (against[registry], *(f"{place}: {against[place]}" for place in places[1:]))
                )
        self._down = {known: reason for known, reason in self._down.items() if known not in registries} | found
        return found

    def known_down(self) -> frozenset[str]:
        """Those that were down when they were last asked; asks nobody."""
        return frozenset(self._down)

    def _ask(self, places: AbstractSet[str], seconds: float) -> dict[str, str]:
        """Those of them that are down, and why; only those are asked whose last answer is too old."""
        now = self._monotonic()
        stale = sorted((place for place in places if not self._is_fresh(place, now)), key=self._rank)
        found = self._rounds.probe_all(stale, seconds)
        for place in stale:
            self._answers[place] = _Answer(found.get(place, "no answer in time"), now)
        return {place: reason for place in places if (reason := self._answers[place].reason) is not None}

    def _is_fresh(self, place: str, now: float) -> bool:
        answer = self._answers.get(place)
        return answer is not None and now - answer.at < KEPT_SECONDS

    def _rank(self, place: str) -> tuple[int, str]:
        """Those that answered well come first, so that many that hang never take the time of the others."""
        answer = self._answers.get(place)
        return (1, place) if answer is None else (0 if answer.reason is None else 2, place)
