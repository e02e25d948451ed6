"""Probes of several registries at once, within a time limit even where some of them hang.

A probe that hangs is not waited for: its thread is left behind, and its registry is not probed again until it returns.
"""

import random
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Event, Lock, Thread

from cleaner.core.ports import Stop

Ask = Callable[[str], str | None]
"""Asks one registry: why it is down, None where it is alive."""

MOST_AT_ONCE = 8
JITTER_SHARE = 0.1
"""Of the time limit: within that a question is put off by chance, so that a fleet does not ask at once."""
POLL_SECONDS = 0.1
"""Between two checks whether a stop was requested."""

Found = dict[str, str | None]


class ProbeRound:
    """Asks many in one round; a round after the other."""

    def __init__(self, ask: Ask, stop: Stop, chance: Callable[[], float] = random.random) -> None:
        """`chance` gives a number from 0 to below 1."""
        self._ask = ask
        self._stop = stop
        self._chance = chance
        self._busy: set[str] = set()
        """Registries that a thread probes now, perhaps for a round that is long over."""
        self._lock = Lock()

    def probe_all(self, registries: Sequence[str], seconds: float) -> Found:
        """What each answered, the first ones first; those missing did not in time, or a stop was requested."""
        deadline = time.monotonic() + seconds
        waiting: SimpleQueue[str] = SimpleQueue()
        answers: SimpleQueue[tuple[str, str | None]] = SimpleQueue()
        over = Event()
        for registry in registries:
            waiting.put(registry)

        def work() -> None:
            over.wait(self._chance() * seconds * JITTER_SHARE)
            with suppress(Empty):
                while not over.is_set():
                    registry = waiting.get_nowait()
                    answers.put((registry, self._answer_of(registry)))

        _start(work, min(len(registries), MOST_AT_ONCE))
        found: Found = {}
        while len(found) < len(registries) and not self._stop.requested() and (left := deadline - time.monotonic()) > 0:
            with suppress(Empty):
                registry, reason = answers.get(timeout=min(left, POLL_SECONDS))
                found[registry] = reason
        over.set()
        return found

    def _answer_of(self, registry: str) -> str | None:
        with self._lock:
            if registry in self._busy:
                return "it has not answered the last question yet"
            self._busy.add(registry)
        try:
            return self._ask(registry)
        except Exception as error:  # noqa: BLE001 - whatever fails here keeps images, and never ends a sweep
            return f"the probe failed: {type(error).__name__}"
        finally:
            with self._lock:
                self._busy.discard(registry)


def _start(work: Callable[[], None], count: int) -> None:
    """As many threads as the system gives; the process does not wait for them at its end."""
    with suppress(RuntimeError):
        for _ in range(count):
            Thread(target=work, name="registries", daemon=True).start()
