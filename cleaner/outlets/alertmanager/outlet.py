"""An outlet that sends alerts to Alertmanagers: to each from a thread of its own, which sleeps while there are none.

It must not keep the sweep waiting: an event changes a value and wakes a thread, whatever the other side does.
"""

import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from structlog.typing import FilteringBoundLogger
from tenacity import RetryCallState, Retrying, retry_if_exception, wait_random_exponential

from cleaner.core.events import Event
from cleaner.core.ports import Timer
from cleaner.outlets.alertmanager.client import AlertmanagerApi, AlertmanagerError
from cleaner.outlets.alertmanager.conditions import Alert, Alerts
from cleaner.outlets.alertmanager.pending_alerts import PendingAlerts, PostingTime

VALID_REPEATS = 4
"""A posted alert holds for this many repeats, and the time that one post may take: a missed post ends no alert."""
SHORTEST_PAUSE_SECONDS = 0.2
"""Before another try; the longest is the time between two repeats. Drawn by lot: a fleet does not knock in step."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What holds for every post."""

    labels: Mapping[str, str]
    """Added to each alert."""
    repeat_every: timedelta
    timeout: timedelta

    @property
    def lasts(self) -> timedelta:
        """After this an alert that is not sent again ends by itself."""
        return VALID_REPEATS * self.repeat_every + self.timeout


class Alertmanager:
    """An outlet; one thread for each Alertmanager of a cluster, since each has to receive every alert."""

    def __init__(
        self,
        alerts: Alerts,
        apis: Iterable[AlertmanagerApi],
        delivery: Delivery,
        timer: Timer,
        logger: FilteringBoundLogger,
    ) -> None:
        self._alerts = alerts
        self._sent: tuple[Alert, ...] = ()
        self._posters = [Poster(api, delivery, timer, logger) for api in apis]

    def record(self, event: Event) -> None:
        """Take one event; the threads of the posters send what it changed."""
        self._alerts.record(event)
        active = self._alerts.active
        if active != self._sent:
            self._sent = active
            for poster in self._posters:
                poster.update(active)

    def close(self) -> None:
        """End the threads without waiting for anybody.

        An alert that holds is not sent as resolved: an agent that ends has not mended the cause. The agent's successor
        sends the alert again, and without one it ends by itself.
        """
        for poster in self._posters:
            poster.close()


class Poster:
    """Sends one Alertmanager the latest state, until it accepts; its thread is a daemon, so no exit waits for it."""

    def __init__(self, api: AlertmanagerApi, delivery: Delivery, timer: Timer, logger: FilteringBoundLogger) -> None:
        self._api = api
        self._delivery = delivery
        self._timer = timer
        self._logger = logger
        self._news = threading.Condition()
        self._pending = PendingAlerts()
        self._is_new = False
        self._is_closed = False
        self._failure: AlertmanagerError | None = None
        self.thread = threading.Thread(target=self._run, name="alertmanager", daemon=True)
        self.thread.start()

    def update(self, active: tuple[Alert, ...]) -> None:
        """Take over what holds; other words for the same alerts can wait for the next repeat."""
        with self._news:
            names = [alert.name for alert in self._pending.active]
            self._pending = self._pending.updated(active, self._moment())
            if names != [alert.name for alert in active]:
                self._is_new = True
                self._news.notify()

    def close(self) -> None:
        """Send nothing more; a request that is under way is not waited for."""
        with self._news:
            self._is_closed = True
            self._news.notify_all()

    def _run(self) -> None:
        while self._sleep():
            with suppress(AlertmanagerError):  # logged; what a try at once does not mend is tried with the next repeat
                self._retrying()(self._post)

    def _sleep(self) -> bool:
        """Until there is something to send, for the first time or again; False once closed."""
        with self._news:
            self._news.wait_for(lambda: self._is_new or self._is_closed, self._seconds_to_repeat())
            return not self._is_closed

    def _seconds_to_repeat(self) -> float | None:
        """None where there is nothing to repeat: then nothing but news wakes the thread."""
        self._pending = self._pending.without_expired(self._timer.monotonic())
        return None if self._pending.is_empty else self._delivery.repeat_every.total_seconds()

    def _retrying(self) -> Retrying:
        """As long as it takes: there is an end to it only where there is nothing left to send."""
        longest = self._delivery.repeat_every.total_seconds()
        return Retrying(
            retry=retry_if_exception(lambda error: isinstance(error, AlertmanagerError) and error.transient),
            wait=wait_random_exponential(multiplier=1, max=longest, min=SHORTEST_PAUSE_SECONDS),
            stop=self._is_pointless,
            sleep=self._pause,
            reraise=True,
        )

    def _is_pointless(self, _state: RetryCallState) -> bool:
        with self._news:
            return self._is_closed

    def _pause(self, seconds: float) -> None:
        with self._news:
            self._news.wait_for(lambda: self._is_closed, seconds)

    def _post(self) -> None:
        """One try, with the state as it is now."""
        with self._news:
            pending = self._pending = self._pending.without_expired(self._timer.monotonic())
            self._is_new = False
            if self._is_closed or pending.is_empty:
                return
        try:
            self._api.post(pending.body(self._delivery.labels, self._moment()))
        except AlertmanagerError as error:
            self._log_failure(error)
            raise
        with self._news:
            self._pending = self._pending.after_sending(pending)
        self._log_success()

    def _log_failure(self, error: AlertmanagerError) -> None:
        """Once, until it takes one; and where it is another kind of trouble than before."""
        if self._failure is None or self._failure.transient != error.transient:
            self._logger.warning("alertmanager_down", url=self._api.url, error=str(error))
        self._failure = error

    def _log_success(self) -> None:
        if self._failure is not None:
            self._logger.info("alertmanager_up", url=self._api.url)
        self._failure = None

    def _moment(self) -> PostingTime:
        return PostingTime(self._timer.now(), self._timer.monotonic(), self._delivery.lasts)
