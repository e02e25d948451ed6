"""Rules, alerts and the example for Alertmanager, as Prometheus's and Alertmanager's own tools see them."""

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
"""Ends a tool that hangs: the thirty days take promtool a minute of work."""


@pytest.fixture(scope="module")
def promtool() -> Path:
    """Debian 12's promtool, unpacked into the lab's cache."""
    return package("bookworm", "prometheus") / "usr" / "bin" / "promtool"


@pytest.fixture(params=ALERTMANAGERS)
def amtool(request: pytest.FixtureRequest) -> Path:
    """The oldest and the newest of Debian."""
    return fetch_alertmanager(str(request.param))[1]


def ask(*command: object) -> subprocess.CompletedProcess[str]:
    """Run a tool to its end, both of its outputs in one."""
    words = [str(word) for word in command]
    done = subprocess.run(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=SECONDS
    )
    print(done.stdout)
    return done


def test_promtool_has_nothing_to_say_of_the_rules(promtool: Path) -> None:
    """All lints, and each of them fatal."""
    assert ask(promtool, "check", "rules", "--lint=all", "--lint-fatal", RULES, ALERTS).returncode == 0


@pytest.mark.parametrize("path", PROMTOOL_TESTS, ids=lambda path: path.stem)
def test_every_alert_begins_holds_and_ends(promtool: Path, path: Path) -> None:
    """Each alert comes when it should, not at its boundary, and goes."""
    assert ask(promtool, "test", "rules", path).returncode == 0


def test_documented_queries_parse(promtool: Path, tmp_path: Path) -> None:
    """Every query of the documents, runbooks and the rollout is one that Prometheus can read."""
    queries = [query for document in DOCUMENTS for query in queries_in(document)]
    rules = [{"record": f"documented:query_{number}:value", "expr": query} for number, query in enumerate(queries)]
    (tmp_path / "queries.yaml").write_text(json.dumps({"groups": [{"name": "documented", "rules": rules}]}), "utf-8")
    assert ask(promtool, "check", "rules", tmp_path / "queries.yaml").returncode == 0
    assert len(queries) > len(rules_in(ALERTS))


def days(*parts: str) -> str:
    """A series that does the same each day; `{day}` counts them, `{morning}` and `{evening}` are seconds."""
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
"""A node whose disk is a saw-tooth from the low mark to the high one each day, with what may go wrong on it in a day: a
restart, a failed sweep and a failed eviction that are made up for, a pull, an image that came back or vanished."""


def on_a_node(name: str) -> str:
    """A series with the labels of a target; `job` is everybody's, so that series match as they do in a cluster."""
    metric, _, labels = name.rstrip("}").partition("{")
    own = 'node="a",instance="a",pool="p"' + ("" if "job=" in labels else ',job="node-image-cleaner"')
    return f"{metric}{{{own}{',' if labels else ''}{labels}}}"


def live(promtool: Path, folder: Path, node: dict[str, str], hours: int) -> subprocess.CompletedProcess[str]:
    """Let a node live for so long: promtool's word on whether any alert fired."""
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
    (folder / "life.yaml").write_text(json.dumps(document), "utf-8")
    return ask(promtool, "test", "rules", folder / "life.yaml")


def test_a_cleaner_at_work_fires_nothing_in_thirty_days(promtool: Path, tmp_path: Path) -> None:
    """A saw-tooth a day and the small misfortunes of a node: no alert."""
    assert live(promtool, tmp_path, WORKING, DAYS * 24 - 1).returncode == 0


def test_that_silence_would_be_broken(promtool: Path, tmp_path: Path) -> None:
    """The same node with a ledger that is down, and nights that bring no sweep, is not silent."""
    broken = {"image_cleaner_ledger_up": steady(0), "image_cleaner_last_sweep_success_timestamp_seconds": steady(-9)}
    done = live(promtool, tmp_path, WORKING | broken, 72)
    assert done.returncode != 0
    fired = set(re.findall(r'alertname="(\w+)"', done.stdout))
    assert fired == {"ImageCleanerLedgerDown", "ImageCleanerSweepStale"}


def test_amtool_takes_the_example(amtool: Path) -> None:
    """`amtool check-config` accepts it."""
    assert ask(amtool, "check-config", ALERTMANAGER).returncode == 0


@pytest.mark.parametrize("alert", rules_in(ALERTS), ids=lambda alert: alert["alert"])
def test_every_alert_reaches_its_receiver(amtool: Path, alert: Any) -> None:
    """What is critical wakes somebody, a warning is a ticket, information is to be seen."""
    receivers = {"critical": "pager", "warning": "tickets", "info": "board"}
    severity = alert["labels"]["severity"]
    labels = f"alertname={alert['alert']}", f"severity={severity}", "node=a"
    test = ("config", "routes", "test", f"--config.file={ALERTMANAGER}")
    assert ask(amtool, *test, f"--verify.receivers={receivers[severity]}", *labels).returncode == 0


def test_the_agents_own_alerts_are_tickets(amtool: Path) -> None:
    """What an agent tells by itself goes where the same from Prometheus goes."""
    for name in AlertName:
        test = ("config", "routes", "test", f"--config.file={ALERTMANAGER}", "--verify.receivers=tickets")
        assert ask(amtool, *test, f"alertname={name}", "severity=warning", "node=a").returncode == 0


def test_amlint_has_nothing_to_say(tmp_path: Path) -> None:
    """No dead route, no inhibition for an alert that nobody makes; those of the agent itself count as made."""
    own = [{"alert": name, "expr": "vector(1)", "labels": {"severity": "warning"}} for name in AlertName]
    (tmp_path / "own.yaml").write_text(json.dumps({"groups": [{"name": "own", "rules": own}]}), "utf-8")
    amlint = Path(sys.executable).with_name("amlint")
    rules = ("--rules", ALERTS, "--rules", tmp_path / "own.yaml")
    assert ask(amlint, "check", "--strict", *rules, ALERTMANAGER).returncode == 0


HELD_BACK: dict[str, tuple[set[str], set[str]]] = {
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
"""In a cluster of each name: alerts on nodes that are told, and those that these hold back."""
LAST = ("ImageCleanerCannotReclaim", "ImageCleanerNodeCannotReclaim")
"""Told after all others, in a cluster of their own: the second holds back the first."""


@pytest.mark.parametrize("version", ALERTMANAGERS)
def test_nobody_is_told_twice(version: str, tmp_path: Path) -> None:
    """A real Alertmanager with the example holds back the twin and what follows from a cause, and nothing else."""
    told = RealAlertmanager(tmp_path, version, [])
    example = re.sub(r"http://[^/]+", "http://127.0.0.1:9", ALERTMANAGER.read_text("utf-8"))
    (tmp_path / "alertmanager.yml").write_text(example, "utf-8")
    severities = {alert["alert"]: alert["labels"]["severity"] for alert in rules_in(ALERTS)}
    ends_at = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    add = (fetch_alertmanager(version)[1], f"--alertmanager.url={told.url}", "alert", "add", f"--end={ends_at}")
    alerts = [(cluster, alert) for cluster, (shown, held) in HELD_BACK.items() for alert in shown | held]
    with told:
        for cluster, alert in alerts + [("last", f"{name}/a") for name in LAST]:
            name, _, node = alert.partition("/")
            labels = [f"alertname={name}", f"severity={severities.get(name, 'warning')}", f"cluster={cluster}"]
            labels += [f"node={node}"] if node else []
            assert ask(*add, *labels, "pool=p").returncode == 0
        # Alertmanager takes alerts at once, and learns one after another what they hold back.
        told.wait_until_inhibited(LAST[0], cluster="last")
        seen: dict[str, set[str]] = {cluster: set() for cluster in (*HELD_BACK, "last")}
        for alert in wait_for(told.query, "amtool has an answer"):
            labels_seen = alert["labels"]
            seen[labels_seen["cluster"]].add(f"{labels_seen['alertname']}/{labels_seen.get('node', '')}")
    assert seen == {cluster: shown for cluster, (shown, _) in HELD_BACK.items()} | {"last": {f"{LAST[1]}/a"}}
