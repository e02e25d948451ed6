"""Whether a real containerd's events are followed: no container is missed, and what is lost is reported once."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from cleaner.core.read_state import AVAILABLE, Availability
from cleaner.node.clock import NeverStop
from cleaner.runtime.client import CriRuntime
from cleaner.runtime.rpc.endpoint import parse_endpoint
from lab import BuiltImage, ImageSpec, Lab, Layer
from lab.waiting import wait_until
from support.containerd_ctr import create_container
from support.daemon_process import NO_NIGHT, DaemonProcess
from support.lab_node import run_cleaner_at
from support.slow_proxy import SlowProxy

COMPANY = "registry.gitlab.com"
RULES = {"rules": [{"name": "company", "match": [f"{COMPANY}/golem-ai/**"], "max_age": "30d"}]}
OFTEN = {"check_every": "1s"}
LONG_SECONDS = 180.0
"""For a report that waits 30 s, on a busy machine."""
READS = ("container_events", "pulls")


class Ahead:
    """The clock of this machine, moved ahead by hand."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.seconds


@pytest.fixture
def image(lab: Lab) -> BuiltImage:
    [image] = lab.push(ImageSpec("golem-ai/job", "v1", (Layer(20_000, 1),)))
    lab.pull(image.reference(COMPANY))
    return image


@contextmanager
def following(endpoint: str, clock: Ahead) -> Iterator[CriRuntime]:
    """A client that follows events by this clock, and can rely on them."""
    with CriRuntime(parse_endpoint(endpoint), NeverStop()) as runtime:
        runtime._uses._monotonic = clock
        runtime.watch_created_containers()
        wait_until(lambda: runtime.event_position() is not None, "the stream can be relied on")
        yield runtime


def test_every_container_is_told_of(lab: Lab, image: BuiltImage) -> None:
    """Of pods, of containers outside CRI and of those that are gone at once; other namespaces do not count."""
    reference, clock = image.reference(COMPANY), Ahead()
    with following(lab.endpoint, clock) as runtime:
        runtime.list_containers()
        for number in range(5):
            pod = lab.start_pod(reference)
            create_container(lab, reference, f"outside-{number}")
            if number % 2:
                lab.ctr("containers", "rm", f"outside-{number}")
                pod.stop()
                pod.remove()
            runtime.list_containers()
        clock.seconds += 100
        runtime.list_containers()
        assert runtime.container_events_state == AVAILABLE
        assert runtime._uses._missed.missed is None


def test_a_silent_stream_is_found(lab: Lab, image: BuiltImage) -> None:
    """A container that containerd lists and its stream does not tell of ends the trust in it, until it tells again."""
    clock = Ahead()
    with (
        SlowProxy(lab.folder / "mute.sock", lab.socket) as proxy,
        following(proxy.endpoint, clock) as runtime,
    ):
        runtime.list_containers()
        proxy.mute = True
        silent = lab.start_pod(image.reference(COMPANY)).container_id
        runtime.list_containers()
        clock.seconds += 30
        state = runtime.container_events_state
        assert state is not None
        assert state.unavailable
        assert "its stream of events did not tell of it" in str(state.reason)
        assert runtime.event_position() is None
        assert silent in {container.id for container in runtime.list_containers()}
        proxy.mute = False
        wait_until(lambda: runtime._uses._has_lasted(0.5), "it is followed again")
        assert runtime.event_position() is None
        lab.start_pod(image.reference(COMPANY))
        wait_until(lambda: runtime.event_position() is not None, "it tells again")


def test_an_attempt_shows_whether_there_are_events(lab: Lab) -> None:
    """`check` asks so: containerd has them, and a proxy that refuses them does not."""
    with SlowProxy(lab.folder / "refusing.sock", lab.socket) as proxy:
        proxy.refuse("Events.Subscribe", grpc.StatusCode.UNIMPLEMENTED, "unknown service")
        for endpoint, expected in ((lab.endpoint, Availability.AVAILABLE), (proxy.endpoint, Availability.NOT_OFFERED)):
            with CriRuntime(parse_endpoint(endpoint), NeverStop()) as runtime:
                assert runtime.probe_container_events().availability is expected


# The daemon, which waits for half a minute before it reports


@pytest.fixture(scope="module")
def one_lab(require_lab: None) -> Iterator[Lab]:
    with Lab(version="1.7") as lab:
        yield lab


def read_lines(daemon: DaemonProcess) -> list[tuple[str, str]]:
    """Event and level of all lines about both reads, in order."""
    return [(line["event"], line["level"]) for line in daemon.lines() if line["event"].startswith(READS)]


def test_a_restart_makes_no_noise(one_lab: Lab, tmp_path: Path) -> None:
    """A containerd that is killed and started again has one line for each, and none about its events."""
    with DaemonProcess(tmp_path, one_lab.endpoint, policy=RULES, pressure=OFTEN, nightly=NO_NIGHT) as daemon:
        daemon.wait_for_event("runtime_up")
        daemon.wait_for_value(1, "container_events_up")
        one_lab.kill()
        daemon.wait_for_event("runtime_down")
        one_lab.start()
        daemon.wait_for_event("runtime_up", 2)
        daemon.wait_for_checks(45, LONG_SECONDS)
        scrape = daemon.scrape()
        assert read_lines(daemon) == []
        assert len(daemon.events("runtime_down")) == 1
    assert (scrape.value("container_events_up"), scrape.value("pulls_readable")) == (1, 1)


def test_refused_reads_are_reported(one_lab: Lab, tmp_path: Path) -> None:
    """A proxy that refuses the stream and the leases is logged once for each, in the metrics and in `check`."""
    with SlowProxy(one_lab.folder / "refusing.sock", one_lab.socket) as proxy:
        proxy.refuse("Events.Subscribe", grpc.StatusCode.PERMISSION_DENIED, "not yours")
        proxy.refuse("Leases.List", grpc.StatusCode.INTERNAL, "database is broken")
        with DaemonProcess(tmp_path, proxy.endpoint, policy=RULES, pressure=OFTEN, nightly=NO_NIGHT) as daemon:
            reported = lambda: read_lines(daemon) if len(read_lines(daemon)) >= 2 else None  # noqa: E731
            daemon.wait_for(reported, "both are reported", LONG_SECONDS)
            checked = run_cleaner_at(["check", "-o", "json"], proxy.endpoint, daemon.config)
            scrape = daemon.scrape()
            daemon.wait_for_checks(5, LONG_SECONDS)
            assert sorted(read_lines(daemon)) == [("container_events_down", "warning"), ("pulls_unreadable", "warning")]
            assert daemon.events("container_events_down")[0]["reason"].endswith("PERMISSION_DENIED: not yours")
            assert daemon.events("pulls_unreadable")[0]["reason"].endswith("INTERNAL: database is broken")
            proxy.stop_refusing()
            over = lambda: read_lines(daemon)[2:] if len(read_lines(daemon)) >= 4 else None  # noqa: E731
            ends = daemon.wait_for(over, "both are over", LONG_SECONDS)
            assert sorted(ends) == [("container_events_up", "info"), ("pulls_readable", "info")]
            again = daemon.scrape()
    assert (scrape.value("container_events_up"), scrape.value("pulls_readable")) == (0, 0)
    assert (again.value("container_events_up"), again.value("pulls_readable")) == (1, 1)
    assert checked.returncode == 0
    found = {finding["subject"]: finding for finding in json.loads(checked.stdout)["findings"]}
    assert [found[subject]["grade"] for subject in ("container events", "pulls")] == ["warning", "warning"]
    assert "PERMISSION_DENIED: not yours" in found["container events"]["detail"]
    assert "database is broken" in found["pulls"]["detail"]
