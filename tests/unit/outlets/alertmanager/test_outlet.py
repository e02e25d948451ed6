"""The outlet's threads against a server of their own: what is sent, when again, and that no event waits."""

import io
import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta

import pytest

from cleaner.core.events import Checked, RuntimeDown
from cleaner.outlets.alertmanager.client import Access, AlertmanagerApi
from cleaner.outlets.alertmanager.conditions import Alert, AlertName, Alerts
from cleaner.outlets.alertmanager.outlet import Alertmanager, Delivery, Poster
from cleaner.outlets.log.logger import make_logger
from lab.ports import reserve_port
from lab.waiting import DEADLINE_SECONDS, wait_until
from support.alertmanager_server import HANG, AlertmanagerServer
from support.fakes import NOON, FakeTimer
from unit.outlets.happenings import CONTAINERD, FULL, UNAVAILABLE, WATERMARKS

RECLAIM = Alert(AlertName.CANNOT_RECLAIM, NOON, "full")
RUNTIME = Alert(AlertName.RUNTIME_UNREACHABLE, NOON, "gone")
NEVER = timedelta(minutes=10)
SOON = timedelta(milliseconds=50)


class Bench:
    """A clock, a log, and posters that end with the test."""

    def __init__(self, stack: ExitStack) -> None:
        self.timer = FakeTimer()
        self._stream = io.StringIO()
        self.logger = make_logger("info", "json", self._stream, lambda _level: None)
        self._stack = stack

    def poster(self, url: str, repeat_every: timedelta = NEVER, access: Access | None = None) -> Poster:
        delivery = Delivery({"node": "n1", "cluster": "eu"}, repeat_every, timedelta(seconds=5))
        api = AlertmanagerApi(url, access or Access(timeout_seconds=DEADLINE_SECONDS))
        poster = Poster(api, delivery, self.timer, self.logger)
        self._stack.callback(poster.close)
        return poster

    def lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self._stream.getvalue().splitlines()]

    def wait_for_lines(self, number: int) -> list[dict[str, object]]:
        wait_until(lambda: len(self.lines()) >= number, f"{number} lines of the log")
        return self.lines()


def seconds_to_repeat(poster: Poster) -> float | None:
    """As its own thread asks: two at once could undo what the other did."""
    with poster._news:
        return poster._seconds_to_repeat()


@pytest.fixture
def bench() -> Iterator[Bench]:
    with ExitStack() as stack:
        yield Bench(stack)


def test_an_alert_is_sent_at_once(bench: Bench) -> None:
    """A new alert is sent without waiting for a repeat, and lasts for four repeats and a timeout."""
    with AlertmanagerServer() as server:
        bench.poster(server.url).update((RECLAIM,))
        (alert,) = server.wait_for(1).body
    assert alert["labels"] == {
        "node": "n1", "cluster": "eu", "alertname": "ImageCleanerNodeCannotReclaim", "severity": "warning",
    }  # fmt: skip
    assert (alert["startsAt"], alert["endsAt"]) == ("2026-06-15T12:00:00Z", "2026-06-15T12:40:05Z")
    assert "generatorURL" not in alert
    assert bench.lines() == []


def test_an_active_alert_is_sent_again(bench: Bench) -> None:
    """Each repeat moves the end on, and says what is said now."""
    with AlertmanagerServer() as server:
        poster = bench.poster(server.url, SOON)
        poster.update((RECLAIM,))
        server.wait_for(3)
        bench.timer.move(minutes=1)
        poster.update((Alert(AlertName.CANNOT_RECLAIM, NOON, "fuller"),))
        (alert,) = server.wait_for(len(server.received) + 2).body
    assert (alert["startsAt"], alert["endsAt"]) == ("2026-06-15T12:00:00Z", "2026-06-15T12:01:05.200000Z")
    assert alert["annotations"]["description"] == "fuller"


def test_an_end_is_sent_once(bench: Bench) -> None:
    """An end is sent at once, with its time; then there is nothing to wake up for."""
    with AlertmanagerServer() as server:
        poster = bench.poster(server.url)
        poster.update((RECLAIM, RUNTIME))
        server.wait_for(1)
        bench.timer.move(minutes=1)
        poster.update((RUNTIME,))
        active, ended = server.wait_for(2).body
        poster.update(())
        (last,) = server.wait_for(3).body
        wait_until(lambda: poster._pending.is_empty, "nothing is left to tell")
    assert (active["labels"]["alertname"], ended["labels"]["alertname"]) == (RUNTIME.name, RECLAIM.name)
    assert ended["endsAt"] == last["endsAt"] == "2026-06-15T12:01:00Z"
    assert last["labels"]["alertname"] == RUNTIME.name


def test_it_sleeps_while_nothing_is_active(bench: Bench) -> None:
    """Before the first alert and after the last one its thread waits without a timeout: no wake-up at all."""
    with AlertmanagerServer() as server:
        poster = bench.poster(server.url)
        assert seconds_to_repeat(poster) is None
        poster.update((RECLAIM,))
        server.wait_for(1)
        assert seconds_to_repeat(poster) == NEVER.total_seconds()
        poster.update(())
        server.wait_for(2)
        wait_until(lambda: seconds_to_repeat(poster) is None, "nothing to repeat")


def test_an_error_is_tried_again(bench: Bench) -> None:
    """A server that fails for a moment gets it after a pause; the trouble and its end are logged once each."""
    with AlertmanagerServer(500, 503, 500, 200) as server:
        bench.poster(server.url, timedelta(milliseconds=200)).update((RECLAIM,))
        assert server.wait_for(4).body
        down, up = bench.wait_for_lines(2)
    assert (down["event"], down["level"]) == ("alertmanager_down", "warning")
    assert (down["url"], down["error"]) == (server.url, "answers HTTP 500")
    assert (up["event"], up["level"], up["url"]) == ("alertmanager_up", "info", server.url)


def test_a_server_that_is_available_again_gets_the_latest(bench: Bench) -> None:
    """While no server answers only the latest state is kept; it is sent once one does."""
    port = reserve_port()
    poster = bench.poster(f"http://127.0.0.1:{port}", timedelta(milliseconds=200))
    poster.update((RECLAIM,))
    (down,) = bench.wait_for_lines(1)
    assert down["error"] == "cannot be reached (Connection refused)"
    poster.update((RUNTIME,))
    with AlertmanagerServer(port=port) as server:
        active, ended = server.wait_for(1).body
    assert (active["labels"]["alertname"], ended["labels"]["alertname"]) == (RUNTIME.name, RECLAIM.name)


def test_an_end_without_an_answer_is_given_up(bench: Bench) -> None:
    """Once Alertmanager has ended it by itself there is nothing left to tell, and the thread sleeps."""
    with AlertmanagerServer(500) as server:
        poster = bench.poster(server.url, SOON)
        poster.update((RECLAIM,))
        server.wait_for(1)
        poster.update(())
        server.wait_for(len(server.received) + 1)
        bench.timer.move(seconds=5.3)
        wait_until(lambda: poster._pending.is_empty, "nothing is left to tell")
    assert [line["event"] for line in bench.lines()] == ["alertmanager_down"]


def test_a_permanent_failure_waits_for_the_next_repeat(bench: Bench) -> None:
    """A rejected login is not tried again at once; another kind of trouble is logged anew."""
    with AlertmanagerServer(401, 401, 500, 500, 200) as server:
        bench.poster(server.url, timedelta(milliseconds=200)).update((RECLAIM,))
        server.wait_for(5)
        lines = bench.wait_for_lines(3)
    assert [line["event"] for line in lines] == ["alertmanager_down", "alertmanager_down", "alertmanager_up"]
    assert "HTTP 401" in str(lines[0]["error"])
    assert "HTTP 500" in str(lines[1]["error"])


def test_a_rejected_login_is_not_repeated_at_once(bench: Bench) -> None:
    """Until the next repeat, which is far away, it was asked once, and its thread waits."""
    with AlertmanagerServer(403) as server:
        poster = bench.poster(server.url)
        poster.update((RECLAIM,))
        bench.wait_for_lines(1)
        poster.update((RECLAIM, RUNTIME))
        server.wait_for(2)
        poster.close()
        poster.thread.join(DEADLINE_SECONDS)
        assert len(server.received) == 2


def test_no_event_waits_for_a_server_that_hangs(bench: Bench) -> None:
    """While its thread is inside a request that is not answered, events are accepted; the latest state follows."""
    alerts = Alerts(bench.timer, WATERMARKS, timedelta(0))
    delivery = Delivery({}, NEVER, timedelta(seconds=5))
    with AlertmanagerServer(HANG, 200) as server:
        api = AlertmanagerApi(server.url, Access(timeout_seconds=DEADLINE_SECONDS))
        outlet = Alertmanager(alerts, [api], delivery, bench.timer, bench.logger)
        (poster,) = outlet._posters
        outlet.record(RuntimeDown(UNAVAILABLE))
        server.wait_for(1)
        for _ in range(1000):  # all of these returned although the one request has no answer
            outlet.record(RuntimeDown(UNAVAILABLE))
            outlet.record(CONTAINERD)
            outlet.record(Checked(FULL, None))
        assert len(server.received) == 1
        assert poster.thread.is_alive()
        server._closing.set()
        (ended,) = server.wait_for(2).body
        assert ended["endsAt"] == "2026-06-15T12:00:00Z"
        outlet.close()
        poster.thread.join(DEADLINE_SECONDS)
        assert not poster.thread.is_alive()


def test_closing_waits_for_no_request(bench: Bench) -> None:
    """Closing returns while a request hangs, and its thread is one that no exit waits for."""
    with AlertmanagerServer(HANG) as server:
        poster = bench.poster(server.url)
        poster.update((RECLAIM,))
        server.wait_for(1)
        poster.close()
        assert poster.thread.is_alive()
        assert poster.thread.daemon
    poster.thread.join(DEADLINE_SECONDS)
    assert not poster.thread.is_alive()


def test_closing_ends_a_thread_that_sleeps(bench: Bench) -> None:
    """Before anything was sent, the thread ends at once."""
    poster = bench.poster("http://127.0.0.1:9")
    poster.close()
    poster.thread.join(DEADLINE_SECONDS)
    assert not poster.thread.is_alive()


def test_closing_ends_a_thread_between_two_tries(bench: Bench) -> None:
    """After a failure it ends without a new try, and active alerts are not called resolved."""
    with AlertmanagerServer(500) as server:
        poster = bench.poster(server.url)
        poster.update((RECLAIM,))
        bench.wait_for_lines(1)
        before = len(server.received)
        poster.close()
        poster.thread.join(DEADLINE_SECONDS)
        assert not poster.thread.is_alive()
        assert len(server.received) <= before + 1  # one may have begun
        assert server.received[0].body[0]["endsAt"] > server.received[0].body[0]["startsAt"]


def test_closing_ends_the_longest_pause(bench: Bench) -> None:
    """A pause of ten minutes ends when it is closed, and one that begins later does not begin."""
    poster = bench.poster("http://127.0.0.1:9")
    pausing = threading.Thread(target=poster._pause, args=(NEVER.total_seconds(),), daemon=True)
    pausing.start()
    poster.close()
    pausing.join(DEADLINE_SECONDS)
    assert not pausing.is_alive()
    poster._pause(NEVER.total_seconds())


def test_every_peer_of_a_cluster_gets_alerts(bench: Bench) -> None:
    """A dead peer keeps no other one waiting, and an unchanged state is not sent."""
    alerts = Alerts(bench.timer, WATERMARKS, timedelta(0))
    delivery = Delivery({}, NEVER, timedelta(seconds=5))
    gone = f"http://127.0.0.1:{reserve_port()}"
    with AlertmanagerServer() as one, AlertmanagerServer() as two:
        access = Access(timeout_seconds=DEADLINE_SECONDS)
        apis = [AlertmanagerApi(url, access) for url in (gone, one.url, two.url)]
        outlet = Alertmanager(alerts, apis, delivery, bench.timer, bench.logger)
        for event in (Checked(FULL, None), RuntimeDown(UNAVAILABLE), RuntimeDown(UNAVAILABLE), Checked(None, None)):
            outlet.record(event)
        assert one.wait_for(1).body == two.wait_for(1).body
        outlet.close()
        for poster in outlet._posters:
            poster.thread.join(DEADLINE_SECONDS)
        assert (len(one.received), len(two.received)) == (1, 1)
