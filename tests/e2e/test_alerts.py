"""Rules, alerts and the example for Alertmanager, checked by the tools of Prometheus and Alertmanager."""

import json
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cleaner.outlets.alertmanager.conditions import AlertName
from lab.fetch import package
from lab.toolbox import ALERTMANAGERS, fetch_alertmanager
from lab.waiting import DEADLINE_SECONDS
from support.alert_files import ALERTMANAGER, ALERTS, DOCUMENTS, PROMTOOL_TESTS, RULES, queries_in, rules_in
from support.daemon_process import wait_for
from support.real_alertmanager import RealAlertmanager

DAYS = 30
STEP_SECONDS = 300
STEPS_A_DAY = 86400 // STEP_SECONDS
SECONDS = 4 * DEADLINE_SECONDS
"""The limit for a tool that hangs: promtool needs a minute for the thirty days."""


@pytest.fixture(scope="module")
def promtool() -> Path:
    """Debian 12's promtool, unpacked into the lab's cache."""
    return package("bookworm", "prometheus") / "usr" / "bin" / "promtool"


@pytest.fixture(params=ALERTMANAGERS)
def amtool(request: pytest.FixtureRequest) -> Path:
    """The oldest and the newest of Debian."""
    return fetch_alertmanager(str(request.param))[1]


def ask(*command: object) -> subprocess.CompletedProcess[str]:
    """Run a tool to its end, with both outputs in one."""
    words = [str(word) for word in command]
    done = subprocess.run(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=SECONDS
    )
    print(done.stdout)
    return done


def test_promtool_accepts_the_rules(promtool: Path) -> None:
    """No finding of promtool, with all lints on and fatal."""
    assert ask(promtool, "check", "rules", "--lint=all", "--lint-fatal", RULES, ALERTS).returncode == 0


@pytest.mark.parametrize("path", PROMTOOL_TESTS, ids=lambda path: path.stem)
def test_every_alert_starts_fires_and_ends(promtool: Path, path: Path) -> None:
    """Each alert fires when it should, not at its boundary, and ends."""
    assert ask(promtool, "test", "rules", path).returncode == 0


def test_documented_queries_parse(promtool: Path, tmp_path: Path) -> None:
    """Prometheus can parse every query of the documents, runbooks and the rollout."""
    queries = [query for document in DOCUMENTS for query in queries_in(document)]
    rules = [{"record": f"documented:query_{number}:value", "expr": query} for number, query in enumerate(queries)]
    (tmp_path / "queries.yaml").write_text(json.dumps({"groups": [{"name": "documented", "rules": rules}]}), "utf-8")
    assert ask(promtool, "check", "rules", tmp_path / "queries.yaml").returncode == 0
    assert len(queries) > len(rules_in(ALERTS))


def days(*parts: str) -> str:
    """A series with the same values each day; `{day}` counts the days, `{morning}` and `{evening}` are seconds."""
    return " ".join(
        part.format(day=day, morning=day * 86400, evening=(day + 1) * 86400) for day in range(DAYS) for part in parts
    )


def steady(value: object) -> str:
    return f"{value}x{DAYS * STEPS_A_DAY}"


REST = STEPS_A_DAY - 1
WORKING = {
    'up{job="node-image-cleaner"}': days("0", f"1x{REST - 1}"),
    'image_cleaner_config_info{mode="full"}': steady(1),
    "image_cleaner_build_info": steady(1),
    "image_cleaner_runtime_up": days("0", f"1x{REST - 1}"),
    "image_cleaner_ledger_up": steady(1),
    "image_cleaner_kubelet_collision": steady(0),
    "image_cleaner_low_watermark_reachable": steady(1),
    'image_cleaner_filesystem_size_bytes{filesystem="images"}': steady(100),
    'image_cleaner_filesystem_avail_bytes{filesystem="images"}': days(f"35-{10 / REST}x{REST}"),
    'image_cleaner_filesystem_files{filesystem="images"}': steady(1000),
    'image_cleaner_filesystem_files_free{filesystem="images"}': steady(500),
    'image_cleaner_reclaimable_bytes{trigger="pressure"}': days(f"10+{10 / REST}x{REST}"),
    'image_cleaner_high_watermark_ratio{filesystem="images",resource="bytes"}': steady(0.75),
    'image_cleaner_low_watermark_ratio{filesystem="images",resource="bytes"}': steady(0.65),
    'image_cleaner_kubelet_threshold_ratio{filesystem="images",resource="bytes"}': steady(0.84),
    'image_cleaner_high_watermark_ratio{filesystem="images",resource="inodes"}': steady(0.8),
    'image_cleaner_kubelet_threshold_ratio{filesystem="images",resource="inodes"}': steady(0.95),
    "image_cleaner_pulls_projected_bytes": days("0x99", "5e9", f"0x{REST - 101}"),
    "image_cleaner_time_to_high_watermark_seconds": days(f"86400-300x{REST}"),
    "image_cleaner_time_to_kubelet_threshold_seconds": steady(172800),
    'image_cleaner_evictions_total{reason="expired"}': days(f"{{day}}00x{REST}"),
    "image_cleaner_eviction_failures_total": days(f"{{day}}x{REST}"),
    "image_cleaner_repulls_total": days(f"{{day}}x{REST}"),
    'image_cleaner_reclaimed_bytes_total{reason="expired"}': days(f"{{day}}95e8x{REST}"),
    'image_cleaner_estimated_bytes_total{reason="expired"}': days(f"{{day}}99e8x{REST}"),
    'image_cleaner_sweep_failures_total{trigger="nightly"}': days(f"{{day}}x{REST}"),
    "image_cleaner_last_sweep_timestamp_seconds": days(f"{{morning}}x{REST}"),
    "image_cleaner_last_sweep_success_timestamp_seconds": days(f"{{morning}}x{REST}"),
    "image_cleaner_next_nightly_timestamp_seconds": days(f"{{evening}}x{REST}"),
    "process_start_time_seconds": days(f"{{morning}}x{REST}"),
    "image_cleaner_images_removed_externally_total": days(f"{{day}}x{REST}"),
    "image_cleaner_installed_timestamp_seconds": steady(-9e6),
    "kube_node_created": steady(-9e6),
    "kube_node_info": steady(1),
    'kube_node_status_condition{condition="Ready",status="false"}': steady(0),
    'kubelet_image_garbage_collected_total{reason="space"}': steady(0),
    'kube_pod_info{namespace="n",pod="web"}': steady(1),
    'kube_pod_container_status_waiting_reason{namespace="n",pod="web",container="c",reason="ContainerCreating"}': days(
        "1", f"0x{REST - 1}"
    ),
}
"""A node whose disk usage is a saw-tooth from the low to the high watermark each day, with the faults of a usual day: a
restart, a failed sweep and a failed eviction that later ones make up for, a pull, an image that was re-pulled, and one
that was removed externally."""


def on_a_node(name: str) -> str:
    """A series with the labels of a target; all have a `job`, so that series match as they do in a cluster."""
    metric, _, labels = name.rstrip("}").partition("{")
    own = 'node="a",instance="a",pool="p"' + ("" if "job=" in labels else ',job="node-image-cleaner"')
    return f"{metric}{{{own}{',' if labels else ''}{labels}}}"


def simulate(promtool: Path, folder: Path, node: dict[str, str], hours: int) -> subprocess.CompletedProcess[str]:
    """Run a node for some hours in promtool, which fails if any alert fired."""
    series = [{"series": on_a_node(name), "values": values} for name, values in node.items()]
    fired = f'count by (alertname) (max_over_time(ALERTS{{alertstate="firing"}}[{hours}h]))'
    test: dict[str, Any] = {"interval": f"{STEP_SECONDS}s", "input_series": series}
    test["promql_expr_test"] = [{"expr": fired, "eval_time": f"{hours}h", "exp_samples": []}]
    document = {
        "rule_files": [str(RULES), str(ALERTS)],
        "group_eval_order": ["node-image-cleaner.rules", "node-image-cleaner.alerts"],
        "evaluation_interval": f"{STEP_SECONDS}s",
        "tests": [test],
    }
    (folder / "node.yaml").write_text(json.dumps(document), "utf-8")
    return ask(promtool, "test", "rules", folder / "node.yaml")


def test_a_working_agent_fires_no_alert_in_thirty_days(promtool: Path, tmp_path: Path) -> None:
    """A daily saw-tooth and the usual small faults of a node fire no alert."""
    assert simulate(promtool, tmp_path, WORKING, DAYS * 24 - 1).returncode == 0


def test_faults_fire_alerts_in_the_same_simulation(promtool: Path, tmp_path: Path) -> None:
    """The same node fires alerts if its ledger is down and its nightly runs bring no sweep."""
    broken = {"image_cleaner_ledger_up": steady(0), "image_cleaner_last_sweep_success_timestamp_seconds": steady(-9)}
    done = simulate(promtool, tmp_path, WORKING | broken, 72)
    assert done.returncode != 0
    fired = set(re.findall(r'alertname="(\w+)"', done.stdout))
    assert fired == {"ImageCleanerLedgerDown", "ImageCleanerSweepStale"}


def test_amtool_accepts_the_example(amtool: Path) -> None:
    """`amtool check-config` accepts it."""
    assert ask(amtool, "check-config", ALERTMANAGER).returncode == 0


@pytest.mark.parametrize("alert", rules_in(ALERTS), ids=lambda alert: alert["alert"])
def test_every_alert_reaches_its_receiver(amtool: Path, alert: Any) -> None:
    """A critical alert pages, a warning opens a ticket, an info alert appears on a board."""
    receivers = {"critical": "pager", "warning": "tickets", "info": "board"}
    severity = alert["labels"]["severity"]
    labels = f"alertname={alert['alert']}", f"severity={severity}", "node=a"
    test = ("config", "routes", "test", f"--config.file={ALERTMANAGER}")
    assert ask(amtool, *test, f"--verify.receivers={receivers[severity]}", *labels).returncode == 0


def test_the_agents_own_alerts_are_tickets(amtool: Path) -> None:
    """An alert that the agent sends itself has the same receiver as its twin from Prometheus."""
    for name in AlertName:
        test = ("config", "routes", "test", f"--config.file={ALERTMANAGER}", "--verify.receivers=tickets")
        assert ask(amtool, *test, f"alertname={name}", "severity=warning", "node=a").returncode == 0


def test_amlint_accepts_the_example(tmp_path: Path) -> None:
    """No dead route, and no inhibition of an alert that neither the rules nor the agent send."""
    own = [{"alert": name, "expr": "vector(1)", "labels": {"severity": "warning"}} for name in AlertName]
    (tmp_path / "own.yaml").write_text(json.dumps({"groups": [{"name": "own", "rules": own}]}), "utf-8")
    amlint = Path(sys.executable).with_name("amlint")
    rules = ("--rules", ALERTS, "--rules", tmp_path / "own.yaml")
    assert ask(amlint, "check", "--strict", *rules, ALERTMANAGER).returncode == 0


INHIBITED: dict[str, tuple[set[str], set[str]]] = {
    "twin": (
        {"ImageCleanerNodeCannotReclaim/a", "ImageCleanerNodeRuntimeUnreachable/b", "ImageCleanerNodeSweepsFailing/c"},
        {"ImageCleanerCannotReclaim/a", "ImageCleanerRuntimeUnreachable/b", "ImageCleanerSweepsFailing/c"},
    ),
    "another-node": ({"ImageCleanerNodeCannotReclaim/a", "ImageCleanerCannotReclaim/b"}, set()),
    "target": (
        {
            "ImageCleanerTargetDown/a",
            "ImageCleanerPodsHurt/a",
            "ImageCleanerNodeCannotReclaim/a",
            "ImageCleanerObserveLeftOn/",
        },
        {"ImageCleanerMissing/a", "ImageCleanerKubeletEvictionImminent/a", "ImageCleanerEstimateOff/a"},
    ),
    "absent": (
        {"ImageCleanerAbsent/", "ImageCleanerPodsHurt/a"},
        {"ImageCleanerTargetDown/a", "ImageCleanerMissing/b"},
    ),
    "runtime": (
        {"ImageCleanerNodeRuntimeUnreachable/a"},
        {"ImageCleanerNodeSweepsFailing/a", "ImageCleanerSweepStale/a"},
    ),
    "pool": ({"ImageCleanerPoolAtRisk/", "ImageCleanerLedgerDown/a"}, {"ImageCleanerKubeletEvictionImminent/a"}),
    "full": (
        {"ImageCleanerKubeletEvictionImminent/a"},
        {"ImageCleanerDiskPressureForecast/a", "ImageCleanerDiskFillsTooFast/a"},
    ),
}
"""By the name of a cluster: alerts on nodes that are sent, and those that these inhibit."""
LAST = ("ImageCleanerCannotReclaim", "ImageCleanerNodeCannotReclaim")
"""Sent after all others, in a cluster of their own: the second inhibits the first."""


@pytest.mark.parametrize("version", ALERTMANAGERS)
def test_one_problem_is_one_notification(version: str, tmp_path: Path) -> None:
    """A real Alertmanager with the example inhibits twins and consequences of a cause, and nothing else."""
    alertmanager = RealAlertmanager(tmp_path, version, [])
    example = re.sub(r"http://[^/]+", "http://127.0.0.1:9", ALERTMANAGER.read_text("utf-8"))
    (tmp_path / "alertmanager.yml").write_text(example, "utf-8")
    severities = {alert["alert"]: alert["labels"]["severity"] for alert in rules_in(ALERTS)}
    ends_at = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    add = (fetch_alertmanager(version)[1], f"--alertmanager.url={alertmanager.url}", "alert", "add", f"--end={ends_at}")
    alerts = [(cluster, alert) for cluster, (shown, inhibited) in INHIBITED.items() for alert in shown | inhibited]
    with alertmanager:
        for cluster, alert in alerts + [("last", f"{name}/a") for name in LAST]:
            name, _, node = alert.partition("/")
            labels = [f"alertname={name}", f"severity={severities.get(name, 'warning')}", f"cluster={cluster}"]
            labels += [f"node={node}"] if node else []
            assert ask(*add, *labels, "pool=p").returncode == 0
        # Alertmanager accepts alerts at once, and computes their inhibitions one after another.
        alertmanager.wait_until_inhibited(LAST[0], cluster="last")
        seen: dict[str, set[str]] = {cluster: set() for cluster in (*INHIBITED, "last")}
        for alert in wait_for(alertmanager.query, "amtool has an answer"):
            labels_seen = alert["labels"]
            seen[labels_seen["cluster"]].add(f"{labels_seen['alertname']}/{labels_seen.get('node', '')}")
    assert seen == {cluster: shown for cluster, (shown, _) in INHIBITED.items()} | {"last": {f"{LAST[1]}/a"}}
