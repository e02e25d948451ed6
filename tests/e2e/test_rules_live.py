"""Recording rules and alerts on what the real daemon says on a real containerd, and the way of an alert to a person.

A real Prometheus scrapes it, evaluates alerts/ and tells a real Alertmanager, which routes by alerts/alertmanager.yaml:
the older of Debian's together, and the newer. Targets have the labels that the PodMonitor gives. What the rules read of
kube-state-metrics and of the kubelet is made up, and served by tests/support/cluster_state.py: there is no cluster.

The rules are loaded as they are. Only for the way of an alert is each `for` of theirs a second. Of the routes the waits
for a group are a tenth of a second, and the receivers a web server of the test. All is scraped and evaluated each
second or two, and an alert is sent again after two: an older Prometheus loses what it sends just after it was reloaded.

A scrape that fails on a busy machine makes a target look down, and removes what a rule reads. So active alerts are read
at a moment before which none failed (`PrometheusServer.steady_moment`), and only the last notifications count.
"""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lab import ImageSpec, Lab, Layer
from lab.toolbox import ALERTMANAGERS, PROMETHEUSES
from support.alert_files import ALERTMANAGER, ALERTS, RULES, labels_shown_by, rules_in
from support.cluster_state import serve_cluster_state
from support.daemon_process import NO_NIGHT, DaemonProcess, SweepTrace, trace_sweep, wait_for
from support.prometheus_server import PrometheusServer
from support.real_alertmanager import RealAlertmanager
from support.rule_questions import questions_of
from support.rule_servers import Asked, config_of, evaluations_of, name_of

MB = 1_000_000
COMPANY = "registry.gitlab.com"
LAST_YEAR = "2025-06-01T00:00:00Z"
NODE, YOUNG = "lab-node", "lab-young"
HIGH, LOW = 60, 50
OVER_THE_KUBELETS, OVER_OURS = 88, 70
"""Percent used: above the kubelet's threshold, which is 84, and between our high watermark and that."""
SECTIONS: dict[str, Any] = {
    "policy": {"grace": "0s", "rules": [{"name": "company", "match": [f"{COMPANY}/golem-ai/**"], "max_age": "30d"}]},
    "pressure": {"check_every": "1s", "grace": "0s", "bytes": {"high": HIGH, "low": LOW}},
    "nightly": NO_NIGHT,
}
ALL = rules_in(RULES) + rules_in(ALERTS)
USED = "filesystem_resource:image_cleaner_filesystem_used:ratio"
"""A record that is there whatever happens to the disk."""
RECLAIM, UNREACHABLE, IMMINENT = (
    "ImageCleanerCannotReclaim",
    "ImageCleanerLowWatermarkUnreachable",
    "ImageCleanerKubeletEvictionImminent",
)
ACTIVE = {RECLAIM, UNREACHABLE, IMMINENT}
"""What is true of a disk that is fuller than the kubelet allows, whatever is evicted."""
BY_CHANCE = {
    "ImageCleanerDiskPressureForecast": "it extrapolates the seconds in which the test filled the disk",
    "ImageCleanerDiskFillsTooFast": "the same",
}
EMPTY = {
    "cluster_node:image_cleaner_hurt_pods:count": "no pod has waited for ten minutes",
    "instance:image_cleaner_reclaimed_of_estimated:ratio_increase1h": "no gigabyte was evicted, and others wrote",
    "cluster_pool:image_cleaner_repulls:ratio_increase7d": "less than twenty images were evicted",
}
"""What is not recorded here, and why that is right; on the made-up fleet of test_rules.py all of it is."""


@dataclass(frozen=True)
class Chain:
    """Everything between a disk and a person."""

    lab: Lab
    daemon: DaemonProcess
    server: PrometheusServer
    alerts: Path
    """The file that the server reads, as yet the one of alerts/."""
    told: RealAlertmanager

    def shown(self, *flags: str) -> set[str]:
        """The node's alerts that Alertmanager shows: those that are not inhibited, or those that are."""
        alerts = self.told.query(*flags) or ()
        return {alert["labels"]["alertname"] for alert in alerts if alert["labels"].get("node") == NODE}


@pytest.fixture(scope="module")
def lab(require_lab: None) -> Iterator[Lab]:
    with Lab(version="2", size_mib=300) as lab:
        yield lab


@pytest.fixture(scope="module", params=zip(PROMETHEUSES, ALERTMANAGERS, strict=True), ids="-".join)
def chain(lab: Lab, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    """Two agents on one disk, as if on two nodes, of which one only observes, and all that reads them."""
    folder = tmp_path_factory.mktemp("chain")
    lab.drop_ballast()  # of one that failed
    specs = [ImageSpec(f"golem-ai/app-{number}", "v1", (Layer(MB, number),), LAST_YEAR) for number in range(3)]
    lab.pull_all(image.reference(COMPANY) for image in lab.push(*specs))
    alerts = folder / "alerts.yaml"
    alerts.write_text(ALERTS.read_text("utf-8"), "utf-8")
    daemon = DaemonProcess(folder, lab.endpoint, mode="full", **SECTIONS)
    observer = observer_of(lab, folder / "observer")
    told = RealAlertmanager(folder, request.param[1], [])
    (folder / "alertmanager.yml").write_text(hasty_routes(told.receiver_url), "utf-8")
    with told, serve_cluster_state(NODE, YOUNG) as (cluster_port, kubelet_port):
        jobs = [
            job("node-image-cleaner", ((daemon.port, NODE), (observer.port, YOUNG))),
            job("kubelet", ((kubelet_port, NODE),)),
            job("kube-state-metrics", ((cluster_port, None),)) | {"honor_labels": True},
        ]
        alerting = {"alertmanagers": [{"static_configs": [{"targets": [told.url.removeprefix("http://")]}]}]}
        config = config_of(RULES, alerts, scrape_configs=jobs, alerting=alerting)
        server = PrometheusServer(folder, request.param[0], "--rules.alert.resend-delay=2s", config=config)
        with server, daemon, observer:
            targets = sum(len(each["static_configs"]) for each in jobs)
            wait_for(lambda: len(server.query("up", time.time())) == targets, "Prometheus scrapes all targets")
            yield Chain(lab, daemon, server, alerts, told)
    lab.drop_ballast()


def observer_of(lab: Lab, folder: Path) -> DaemonProcess:
    """A second daemon of one runtime: it does not see the directory that the first one locks, as on another node."""
    images = lab.root / "io.containerd.snapshotter.v1.overlayfs"
    hide = f'mount -t tmpfs none "{images}" && exec "$@"'

    class Observer(DaemonProcess):
        command = ("unshare", "--mount", "--propagation", "private", "sh", "-c", hide, "sh", *DaemonProcess.command)

    return Observer(folder, lab.endpoint, mode="observe", filesystem={"path": str(lab.disk)}, **SECTIONS)


def job(name: str, targets: tuple[tuple[int, str | None], ...]) -> dict[str, Any]:
    """What is scraped at some ports, with the labels of a target on a node."""
    configs = []
    for port, node in targets:
        labels = {"cluster": "lab"} | ({"node": node, "instance": node, "pool": "lab"} if node else {})
        configs.append({"targets": [f"127.0.0.1:{port}"], "labels": labels})
    return {"job_name": name, "static_configs": configs}


def hasty_routes(receiver_url: str) -> str:
    """The example's routes and inhibitions, without its waiting, to a receiver of the test."""
    text = re.sub(r"http://[^/]+", receiver_url, ALERTMANAGER.read_text("utf-8"))
    return re.sub(r"\b(group_wait|group_interval): \w+", r"\1: 100ms", text)


@pytest.fixture(scope="module")
def asked(chain: Chain) -> Asked:
    """What Prometheus says once the disk is beyond the kubelet's threshold, whatever the agent evicted."""
    chain.server.steady_moment(USED)  # it has seen that nothing is evicted
    chain.lab.fill(OVER_THE_KUBELETS)
    sweep = chain.daemon.wait_for(
        lambda: first_at_the_watermark(chain.daemon), "a sweep begins at or above the high watermark"
    )
    print(f"\n{sweep.ended['used_percent_before']:.2f} % -> {sweep.ended['used_percent_after']:.2f} %", end=" ")
    print(f"by {len(sweep.evictions)} images, all candidates: {sweep.ended['stop_reason']}")
    assert (sweep.started["low_watermark_reachable"], sweep.ended["low_watermark_met"]) == (False, False)
    chain.daemon.wait_for_checks(1)
    return Asked(chain.server, chain.server.steady_moment(USED))


def first_at_the_watermark(daemon: DaemonProcess) -> SweepTrace | None:
    """The first sweep that began at the high watermark; one may begin early, while the disk is being filled."""
    sweeps = (trace_sweep(daemon, number) for number in range(1, len(daemon.events("sweep_ended")) + 1))
    return next((sweep for sweep in sweeps if sweep.ended["used_percent_before"] >= HIGH), None)


def unanswered(asked: Asked) -> list[str]:
    """What the rules count on and is not there, but for what lacks only because a record is empty."""
    questions = [question for rule in ALL for question in questions_of(rule["expr"], labels_shown_by(rule))]
    return [text for text in asked.unanswered(questions) if not any(record in text for record in EMPTY)]


def test_prometheus_evaluates_every_rule(chain: Chain, asked: Asked) -> None:
    """It has loaded just the rules that there are, and has evaluated each without a fault."""
    assert evaluations_of(chain.server) == sorted((name_of(rule), "ok") for rule in ALL)


def test_what_a_rule_counts_on_is_there(asked: Asked) -> None:
    """Each series, label and value that a rule names is there, and each join has two sides, but for those listed."""
    assert unanswered(asked) == []


def test_every_rule_finds_something(asked: Asked) -> None:
    """Each record has something to say, but for those listed; of the alerts only those that are true are active."""
    assert {name_of(rule) for rule in rules_in(RULES) if not asked.query(rule["expr"])} == EMPTY.keys()
    active = {name_of(rule) for rule in rules_in(ALERTS) if asked.query(rule["expr"])}
    assert active - BY_CHANCE.keys() == ACTIVE


def test_a_full_disk_is_reported_until_there_is_space(chain: Chain, asked: Asked) -> None:
    """The agent cannot reach its low watermark: it is a ticket with its page, and over once there is space."""
    chain.lab.fill(OVER_OURS)
    near = "filesystem_resource:image_cleaner_kubelet_near:ratio"
    wait_for(
        lambda: not chain.server.query(near, chain.server.steady_moment(USED)), "the kubelet's threshold is far away"
    )
    began = time.monotonic()
    chain.alerts.write_text(re.sub(r"\bfor: \w+", "for: 1s", chain.alerts.read_text("utf-8")), "utf-8")
    chain.server.reload()
    fired = wait_for(lambda: fired_of(chain.server, RECLAIM, UNREACHABLE), "Prometheus sends both")
    group = chain.told.wait_for_notification("firing", RECLAIM)
    sent_seconds = time.monotonic() - began
    assert (group["receiver"], group["groupLabels"]) == ("tickets", {"alertname": RECLAIM, "cluster": "lab"})
    (sent,) = group["alerts"]
    assert_as_written(sent, fired[RECLAIM], figures_of(chain.server))
    assert chain.daemon.scrape().value("low_watermark_reachable") == 0
    wait_for(lambda: UNREACHABLE in chain.shown("--inhibited"), "what follows from it is inhibited")
    # Any other alert fires by then, as those that were to fire at the same time did.
    chain.server.wait_for_rules()
    chain.server.wait_for_rules()
    wait_for(lambda: chain.shown() - BY_CHANCE.keys() == {RECLAIM}, "no other alert is sent")

    chain.told.wait_until_last_told(**{RECLAIM: "firing"})
    began = time.monotonic()
    chain.lab.drop_ballast()
    chain.told.wait_until_last_told(**{RECLAIM: "resolved"})
    over_seconds = time.monotonic() - began
    wait_for(lambda: RECLAIM not in firing(chain.server).keys() | chain.shown(), "neither has it")
    print(f"\nsent {sent_seconds:.1f} s after the rules were loaded, over {over_seconds:.1f} s after there was space")


def fired_of(server: PrometheusServer, *names: str) -> dict[str, Any] | None:
    """The node's alerts that Prometheus sends, once they have these among them."""
    found = firing(server)
    return found if set(names) <= found.keys() else None


def firing(server: PrometheusServer) -> dict[str, Any]:
    """The node's alerts that Prometheus sends, by name."""
    alerts = [alert for rule in server.rules() for alert in rule.get("alerts", ()) if alert["state"] == "firing"]
    return {alert["labels"]["alertname"]: alert for alert in alerts if alert["labels"].get("node") == NODE}


def figures_of(server: PrometheusServer) -> set[str]:
    """All that the share used of the node was recorded as, in the words of the template."""
    recorded = server.query(f'{USED}{{instance="{NODE}", resource="bytes"}}[1h]', time.time())
    return {f"{100 * float(value):.4g}" for series in recorded for _, value in series["values"]}


def assert_as_written(sent: Any, fired: Any, figures: set[str]) -> None:
    """Labels are the node's and the rule's, the text has the node and the figures, and Alertmanager changed nothing."""
    where = {"cluster": "lab", "pool": "lab", "node": NODE, "instance": NODE, "job": "node-image-cleaner"}
    what = {"alertname": RECLAIM, "severity": "warning", "filesystem": "images", "resource": "bytes"}
    assert sent["labels"] == fired["labels"] == where | what
    written = rf"images on {NODE}: ([\d.]+)% of bytes used\. Usage .+"
    told, known = (re.fullmatch(written, alert["annotations"]["description"]) for alert in (sent, fired))
    assert told is not None
    assert known is not None
    assert float(told[1]) == pytest.approx(OVER_OURS, abs=1)
    assert told[1] in figures
    # The two may be of two evaluations; but for the figure they are the same.
    description = fired["annotations"]["description"].replace(f"{known[1]}%", f"{told[1]}%")
    assert sent["annotations"] == fired["annotations"] | {"description": description}
    assert sent["annotations"]["runbook_url"].endswith(f"/docs/runbooks/{RECLAIM}.md")
