"""The agent's memory, on a real containerd: clocks over restarts, uses of two seconds, and re-pulls.

The calendar is moved by Debian's faketime (all cleaners here live 30 days ahead of the containerd that they ask, so
that images were pulled long ago) and by rows in the ledger.
"""

import json
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lab import BuiltImage, ImageSpec, Lab, Layer
from lab.toolbox import faketime_environment
from support.daemon_process import NO_NIGHT, DaemonProcess
from support.lab_node import run_cleaner_at

COMPANY = "registry.gitlab.com"
AHEAD = timedelta(days=30)
DAY = timedelta(days=1)
LONG_AGO = timedelta(days=60)
CLOCKS_DIFFER = timedelta(seconds=0.1)
"""At most, while a test runs: the wall clock and the time since boot are kept in step, and read to the microsecond."""
LAST_YEAR = "2025-06-01T00:00:00Z"
RULE = {"name": "company", "match": [f"{COMPANY}/golem-ai/**"], "max_age": "7d", "age_from": "last_used"}
POLICY = {"grace": "24h", "rules": [RULE]}
EACH_MINUTE = {"schedule": "* * * * *", "splay": "0s", "window": "1h", "overdue": "36500d"}


@dataclass
class LedgerNode:
    """A node whose agent has a ledger that tests may write in while no agent runs."""

    lab: Lab
    folder: Path
    mode: str = "full"
    environment: dict[str, str] = field(default_factory=lambda: faketime_environment(f"+{AHEAD.days}d"))

    @property
    def ledger(self) -> Path:
        return self.folder / "state" / "ledger.db"

    def daemon(self, nightly: dict[str, str]) -> DaemonProcess:
        state = {"path": str(self.ledger), "sample_every": "1s"}
        return DaemonProcess(
            self.folder,
            self.lab.endpoint,
            self.environment,
            mode=self.mode,
            policy=POLICY,
            nightly=nightly,
            state=state,
            pressure={"check_every": "1s"},
        )

    def history(self, *words: str) -> list[dict[str, object]]:
        config = self.folder / "history.yaml"
        config.write_text(json.dumps({"state": {"path": str(self.ledger)}}))
        done = run_cleaner_at(["history", "-o", "json", *words], self.lab.endpoint, config, self.environment)
        assert done.returncode == 0, done.stderr
        evictions: list[dict[str, object]] = json.loads(done.stdout)["evictions"]
        return evictions

    def forget_nightly_runs(self) -> None:
        """Let the next agent have a nightly run due at once: no agent may run."""
        with sqlite3.connect(self.ledger) as ledger:
            ledger.execute("DELETE FROM nightly_run")
        ledger.close()

    def latest_sample(self) -> tuple[datetime, timedelta]:
        """When the latest sample was by the wall clock, and how long after the boot its time was stored."""
        with sqlite3.connect(f"file:{self.ledger}?mode=ro", uri=True) as ledger:
            meta = dict(ledger.execute("SELECT key, value FROM meta WHERE key IN ('sampled_at', 'boot_seconds')"))
        ledger.close()
        since_boot = timedelta(microseconds=meta["boot_seconds"])
        return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=meta["sampled_at"]), since_boot

    def move(self, **idle: timedelta) -> None:
        """Let the agent have watched for long, and images be used the given times ago: no agent may run."""
        now = datetime.now(UTC) + AHEAD
        with sqlite3.connect(self.ledger) as ledger:
            ledger.execute("UPDATE image SET first_seen = ?", (_micros(now - LONG_AGO),))
            ledger.execute("UPDATE meta SET value = ? WHERE key = 'since'", (_micros(now - LONG_AGO),))
            for name, since in idle.items():
                sql = "UPDATE image SET last_used = ?, in_use = 0 WHERE refs LIKE ?"
                moved = ledger.execute(sql, (_micros(now - since), f"%golem-ai/{name}:%"))
                assert moved.rowcount == 1
        ledger.close()


def _micros(at: datetime) -> int:
    return int(at.timestamp() * 1_000_000)


def pull(lab: Lab, name: str) -> BuiltImage:
    """An image that was built last year."""
    layer = Layer(200_000, int.from_bytes(name.encode(), "big") % 10**9)
    [image] = lab.push(ImageSpec(f"golem-ai/{name}", "v1", (layer,), LAST_YEAR))
    lab.pull(image.reference(COMPANY))
    return image


def live_shortly(lab: Lab, image: BuiltImage) -> None:
    pod = lab.start_pod(image.reference(COMPANY))
    pod.stop()
    pod.remove()


def seconds_since_boot() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def booted_at() -> datetime:
    """When this machine was started, by the wall clock as it runs now, read while nothing delayed this process."""
    while True:
        before, now, after = seconds_since_boot(), datetime.now(UTC), seconds_since_boot()
        if after - before < CLOCKS_DIFFER.total_seconds() / 10:
            return now - timedelta(seconds=after)


def used(ledger: Path) -> set[str]:
    """Names of the company's images that the ledger has seen in use."""
    with sqlite3.connect(f"file:{ledger}?mode=ro", uri=True) as connection:
        rows = connection.execute(
            "SELECT refs FROM image WHERE last_used IS NOT NULL AND refs LIKE '%golem-ai%'"
        ).fetchall()
    connection.close()
    return {json.loads(references)[0].rpartition("/")[2].partition(":")[0] for (references,) in rows}


def use_until_stored(ledger_node: LedgerNode, daemon: DaemonProcess, image: BuiltImage) -> None:
    """Again and again: the agent cannot see a container that lived before it subscribed to containerd's events."""
    name = image.spec.repository.rpartition("/")[2]

    def is_stored() -> bool:
        live_shortly(ledger_node.lab, image)
        daemon.wait_for_checks(2)
        return name in used(ledger_node.ledger)

    daemon.wait_for(is_stored, f"a use of {name} is stored")


def wait_until_seen(daemon: DaemonProcess, images: int) -> None:
    daemon.wait_for(lambda: sum(daemon.scrape().by_label("images").values()) >= images or None, f"{images} images")


@pytest.fixture(scope="module", params=["1.6", "1.7", "2"])
def node(request: pytest.FixtureRequest, require_lab: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with Lab(version=str(request.param)) as lab:
        yield lab


def test_uses_outlive_restarts(node: Lab, tmp_path: Path) -> None:
    """By last use: used yesterday stays and idle for 8 days is evicted, over restarts of agent and containerd.

    A container of two seconds is a use. An evicted image that is re-pulled is regretted, and history shows it all.
    """
    images = {name: pull(node, name) for name in ("daily", "idle", "short", "never")}
    ledger_node = LedgerNode(node, tmp_path)
    with ledger_node.daemon(NO_NIGHT) as first:
        wait_until_seen(first, 4)
        use_until_stored(ledger_node, first, images["daily"])
        # From now on the very first one is stored.
        live_shortly(node, images["idle"])
        first.wait_for(lambda: "idle" in used(ledger_node.ledger), "the use is stored")
    ledger_node.move(daily=1 * DAY, idle=8 * DAY)
    with ledger_node.daemon(NO_NIGHT) as second:
        wait_until_seen(second, 4)
        node.stop()
        second.wait_for_event("runtime_down")
        node.start()
        second.wait_for_event("runtime_up", 2)
        use_until_stored(ledger_node, second, images["short"])
    with ledger_node.daemon(EACH_MINUTE) as third:
        third.wait_for_event("nightly_done")
        gone = {e["references"][0].rpartition("/")[2] for e in third.events("eviction") if e["outcome"] == "evicted"}
        print(f"\nevicted {sorted(gone)} of {sorted(images)}; installed {third.events('ledger_up')[0]['installed_at']}")
        assert gone == {"idle:v1", "never:v1"}
        assert third.scrape().value("repulls_total") == 0
        node.pull(images["idle"].reference(COMPANY))
        regret = third.wait_for_event("eviction_regretted")
        # A line is written before its counters count, and those one after the other.
        third.wait_for_checks(1)
        scrape = third.scrape()
        assert scrape.value("repulls_total") == 1
        assert regret["references"][0] == images["idle"].reference(COMPANY)
        assert scrape.value("repulled_bytes_total") == regret["size_bytes"] > 0
        assert (scrape.value("ledger_up"), scrape.value("installed_timestamp_seconds") > 0) == (1, True)
        assert scrape.value("images_removed_externally_total") == 0
        told = {e["references"][0].rpartition("/")[2]: e for e in ledger_node.history()}  # type: ignore[index]
        print({name: (e["regretted_by"], e["regretted_after_seconds"], e["age_seconds"]) for name, e in told.items()})
        assert told.keys() == gone
        assert (told["idle:v1"]["regretted_by"], told["never:v1"]["regretted_by"]) == ("pulled", None)
        assert [e["id"] for e in ledger_node.history("--image", f"{COMPANY}/golem-ai/never")] == [
            told["never:v1"]["id"]
        ]
    for image in images.values():
        node.remove_tag(image.reference(COMPANY))


def test_observed_and_regretted(node: Lab, tmp_path: Path) -> None:
    """In mode observe what would have been evicted is stored once, over a restart too; used later, it is a regret."""
    images = {name: pull(node, name) for name in ("regretted", "unused")}
    ledger_node = LedgerNode(node, tmp_path, mode="observe")
    with ledger_node.daemon(NO_NIGHT) as first:
        wait_until_seen(first, 2)
    ledger_node.move()
    for _ in range(2):
        ledger_node.forget_nightly_runs()
        with ledger_node.daemon(EACH_MINUTE) as daemon:
            daemon.wait_for_event("sweep_ended")
            daemon.wait_for_checks(2)
            observed = daemon.scrape().value("observed_evictions_total")
            print(f"\nobserved {observed:g}")
    assert observed == 0
    with ledger_node.daemon(NO_NIGHT) as last:
        use_until_stored(ledger_node, last, images["regretted"])
        last.wait_for_value(1, "observed_regrets_total")
    told = {e["references"][0].rpartition("/")[2]: e["regretted_by"] for e in ledger_node.history("--observed")}  # type: ignore[index]
    print(told)
    assert {"regretted:v1": "used", "unused:v1": None}.items() <= told.items()
    assert node.find_image(images["unused"].image_id)


def test_a_clock_that_was_set_while_no_agent_ran(node: Lab, tmp_path: Path) -> None:
    """A day ahead of the latest sample in this boot, the clock has jumped; as far ahead as it was, it has not."""
    ledger_node = LedgerNode(node, tmp_path)
    with ledger_node.daemon(NO_NIGHT) as first:
        wait_until_seen(first, 0)
        first.wait_for_checks(2)
    with ledger_node.daemon(NO_NIGHT) as same:
        wait_until_seen(same, 0)
        same.wait_for_checks(2)
        assert same.events("clock_jumped") == []
    # Between its time and the seconds since boot that it was stored with, the agent may have been delayed.
    sampled_at, since_boot = ledger_node.latest_sample()
    delayed = booted_at() + AHEAD + since_boot - sampled_at
    ledger_node.environment = faketime_environment(f"+{AHEAD.days + 1}d")
    began = time.monotonic()
    with ledger_node.daemon(NO_NIGHT) as ahead:
        off = timedelta(seconds=ahead.wait_for_event("clock_jumped")["off_seconds"])
    # As it may be between its own two readings of the clocks, the wall clock first.
    took = timedelta(seconds=time.monotonic() - began)
    print(f"\noff by {off.total_seconds()} s, of which delayed {delayed.total_seconds()} s")
    assert -took < off - DAY - delayed < CLOCKS_DIFFER


def test_by_hand_beside_the_daemon(node: Lab, tmp_path: Path) -> None:
    """What `cleaner sweep` did beside the daemon is in its metrics, its log and the history, and counts once."""
    image = pull(node, "by-hand")
    ledger_node = LedgerNode(node, tmp_path)
    with ledger_node.daemon(NO_NIGHT) as first:
        wait_until_seen(first, 1)
    ledger_node.move()
    with ledger_node.daemon(NO_NIGHT) as daemon:
        wait_until_seen(daemon, 1)
        by_hand = run_cleaner_at(["sweep", "-o", "json"], node.endpoint, daemon.config, ledger_node.environment)
        assert by_hand.returncode == 0, by_hand.stderr
        names = [eviction["references"][0] for eviction in json.loads(by_hand.stdout)["evictions"]]
        assert image.reference(COMPANY) in names
        foreign = daemon.wait_for_event("foreign_sweep")
        daemon.wait_for_checks(2)
        scrape = daemon.scrape()
        print(f"\n{len(names)} by hand; the daemon counted {scrape.value('evictions_total', reason='expired'):g}")
        assert foreign["trigger"] == "manual"
        assert scrape.value("sweeps_total", trigger="manual") == 1
        assert scrape.value("evictions_total", reason="expired") == len(names)
        assert scrape.value("reclaimed_bytes_total", reason="expired") == json.loads(by_hand.stdout)["reclaimed_bytes"]
    second = ledger_node.daemon(NO_NIGHT)
    with second:
        wait_until_seen(second, 0)
        second.wait_for_checks(2)
        assert second.scrape().value("sweeps_total", trigger="manual") == 0
    assert [eviction["trigger"] for eviction in ledger_node.history()] == ["manual"] * len(names)
