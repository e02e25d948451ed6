"""Rules, alerts, and their names, runbooks, tests and the generated object are consistent."""

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from cleaner.outlets.alertmanager.conditions import AlertName
from metrics_page.exposed import metric_by_series
from rules.__main__ import PRODUCT, render
from support.alert_files import (
    ALERTMANAGER,
    ALERTS,
    DOCUMENTS,
    PROMTOOL_TESTS,
    ROOT,
    RULES,
    RUNBOOKS,
    queries_in,
    read,
    rules_in,
)
from support.promql import metrics_in

FOREIGN = {
    "up": "Prometheus",
    "process_start_time_seconds": "every client of Prometheus",
    "kube_node_created": "kube-state-metrics",
    "kube_node_info": "kube-state-metrics",
    "kube_node_status_condition": "kube-state-metrics",
    "kube_pod_container_status_waiting_reason": "kube-state-metrics",
    "kube_pod_info": "kube-state-metrics",
    "kube_pod_init_container_status_waiting_reason": "kube-state-metrics",
    "kubelet_image_garbage_collected_total": "the kubelet",
    "ALERTS": "Prometheus",
}
PAGING = {"ImageCleanerPodsHurt", "ImageCleanerPoolAtRisk"}
SEVERITIES = {"critical", "warning", "info"}
HEADINGS = ["Meaning", "Impact", "Diagnosis", "Mitigation"]
COMMANDS = {"check", "demo", "history", "plan", "run", "sweep"}
SHORTEST_WINDOW_MINUTES = 4
"""Four scrapes, at the longest interval that the PodMonitor mentions."""

ALL_ALERTS = rules_in(ALERTS)
ALL_RECORDS = rules_in(RULES)
NAMES = [alert["alert"] for alert in ALL_ALERTS]
KNOWN = {*metric_by_series(), *FOREIGN, *(rule["record"] for rule in ALL_RECORDS)}


@pytest.mark.parametrize("rule", ALL_RECORDS + ALL_ALERTS, ids=lambda rule: rule.get("alert") or rule["record"])
def test_every_series_is_known(rule: Any) -> None:
    """A rule reads metrics of the agent, records of another rule, or a few series of other exporters."""
    assert metrics_in(rule["expr"]) <= KNOWN
    for window, unit in re.findall(r"\[(\d+)([mhd])", rule["expr"]):
        assert int(window) * {"m": 1, "h": 60, "d": 1440}[unit] >= SHORTEST_WINDOW_MINUTES


def test_every_foreign_series_is_needed() -> None:
    """Each series in the list of other exporters is read by a rule or a document."""
    expressions = [rule["expr"] for rule in ALL_RECORDS + ALL_ALERTS] + [
        query for document in DOCUMENTS for query in queries_in(document)
    ]
    assert set(FOREIGN) <= set().union(*map(metrics_in, expressions))


def test_metrics_are_found_in_an_expression() -> None:
    """Labels, windows, functions, numbers, strings and comments are not mistaken for series."""
    text = '# c d\nsum by (x) (rate(a_total{b="c"}[5m] offset 1h)) > bool 1e9 and on (y) f:g:h - Inf or clamp_max(k, 5)'
    assert metrics_in(text) == {"a_total", "f:g:h", "k"}


@pytest.mark.parametrize("rule", ALL_RECORDS, ids=lambda rule: rule["record"])
def test_records_say_level_metric_and_operations(rule: Any) -> None:
    """Records follow the convention `level:metric:operations`."""
    assert re.fullmatch(r"[a-z_]+:[a-z_]+:[a-z0-9_]+", rule["record"])


@pytest.mark.parametrize("alert", ALL_ALERTS, ids=NAMES)
def test_an_alert_is_complete(alert: Any) -> None:
    """Each alert has a severity, a fixed summary, a description and a runbook; only two alerts page."""
    severity, annotations = alert["labels"]["severity"], alert["annotations"]
    assert set(alert["labels"]) == {"severity"}
    assert severity in SEVERITIES
    assert (severity == "critical") is (alert["alert"] in PAGING)
    assert set(annotations) == {"summary", "description", "runbook_url"}
    assert "{{" not in annotations["summary"]
    assert annotations["runbook_url"].endswith(f"/docs/runbooks/{alert['alert']}.md")


def test_names_are_not_the_agents_own() -> None:
    """Each name is unique; `ImageCleanerNode...` are the alerts that the agent sends itself."""
    assert len(set(NAMES)) == len(NAMES)
    assert all(name.startswith("ImageCleaner") and not name.startswith("ImageCleanerNode") for name in NAMES)
    assert all(name.startswith("ImageCleanerNode") for name in AlertName)


def test_every_alert_has_a_page_and_every_page_an_alert() -> None:
    """docs/runbooks/ has a page for each alert, and no other page."""
    assert {page.stem for page in RUNBOOKS.glob("*.md")} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_page_says_what_to_do(name: str) -> None:
    """A runbook has its four headings, at least one query, and only commands that exist."""
    page = RUNBOOKS / f"{name}.md"
    text = page.read_text("utf-8")
    assert text.startswith(f"# {name}\n")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == HEADINGS
    assert queries_in(page)
    assert set(re.findall(r"(?<![-\w])cleaner ([a-z]+)", " ".join(re.findall(r"`+[^`]+`+", text)))) <= COMMANDS


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.stem)
def test_queries_of_documents_read_known_series(document: Path) -> None:
    """The queries of a page read only series that exist."""
    for query in queries_in(document):
        assert metrics_in(query) <= KNOWN, query


def test_the_overview_lists_every_alert_with_its_severity() -> None:
    """docs/alerts.md has a row for each alert, in the order of the file."""
    text = (ROOT / "docs" / "alerts.md").read_text("utf-8")
    rows = re.findall(r"^\| \[(\w+)\]\(runbooks/(\w+)\.md\) \| (\w+) \|", text, re.MULTILINE)
    assert rows == [(alert["alert"], alert["alert"], alert["labels"]["severity"]) for alert in ALL_ALERTS]


def test_the_object_is_what_the_groups_make() -> None:
    """`make alerts` changes nothing."""
    assert PRODUCT.read_text("utf-8") == render()


def groups_about(name: str) -> list[Any]:
    """Groups of promtool's tests about one alert."""
    groups = [group for path in PROMTOOL_TESTS for group in read(path)["tests"]]
    return [group for group in groups if group["name"].startswith(f"{name}:")]


@pytest.mark.parametrize("name", NAMES)
def test_promtool_sees_it_start_fire_and_end(name: str) -> None:
    """Expect no alert, some, then none; a series named `edge` stays at the boundary and never fires."""
    (group,) = groups_about(name)
    checks = group["alert_rule_test"]
    assert {check["alertname"] for check in checks} == {name}
    assert [bool(check["exp_alerts"]) for check in checks] == [False, True, False]
    if name != "ImageCleanerAbsent":  # there is only one fleet: its boundary is a minute earlier
        assert any('"edge"' in series["series"] for series in group["input_series"])
    assert not [alert for check in checks for alert in check["exp_alerts"] if "edge" in alert["exp_labels"].values()]


def test_alertmanager_names_only_existing_alerts() -> None:
    """Each name in the example is an alert of the rules, or one that the agent sends itself."""
    named = set(re.findall(r"ImageCleaner[A-Z]\w+", ALERTMANAGER.read_text("utf-8")))
    assert named <= {*NAMES, *AlertName, "ImageCleanerNode"}
    assert set(AlertName) <= named


def test_inhibitions_go_one_way() -> None:
    """No two alerts inhibit each other, and each inhibition names the labels that must be equal."""
    rules = read(ALERTMANAGER)["inhibit_rules"]
    assert all("cluster" in rule["equal"] for rule in rules)
    by_name = [(str(rule["source_matchers"]), str(rule["target_matchers"])) for rule in rules]
    for name in NAMES:
        assert not [pair for pair in by_name if f'"{name}"' in pair[0] and f'= "{name}"' in pair[1]]


def test_the_pods_are_scraped_under_the_job_that_rules_name() -> None:
    """The PodMonitor sets job, node, instance and pool from the DaemonSet's labels and ports."""
    monitor, pods = read(PRODUCT.parent / "podmonitor.yaml")["spec"], read(ROOT / "manifests" / "daemonset.yaml")
    (labels,) = read(ROOT / "manifests" / "kustomization.yaml")["labels"]
    (endpoint,) = monitor["podMetricsEndpoints"]
    (container,) = pods["spec"]["template"]["spec"]["containers"]
    assert monitor["selector"]["matchLabels"] == labels["pairs"]
    assert endpoint["port"] in {port["name"] for port in container["ports"]}
    jobs = set(re.findall(r'job="([^"]+)"', RULES.read_text("utf-8") + ALERTS.read_text("utf-8")))
    assert jobs == {labels["pairs"][monitor["jobLabel"]]}
    targets = {relabeling.get("targetLabel") for relabeling in endpoint["relabelings"]} - {None}
    assert targets == {"node", "instance", "pool"}


def test_the_operators_kinds_are_not_applied_by_default() -> None:
    """A cluster without the operator can apply manifests/ unchanged."""
    kustomization = read(PRODUCT.parent / "kustomization.yaml")
    assert {PRODUCT.name, "podmonitor.yaml"} == set(kustomization["resources"])
    assert "monitoring" not in str(read(ROOT / "manifests" / "kustomization.yaml"))


def test_the_steps_of_the_rollout_have_a_question_each() -> None:
    """docs/rollout.md has, before each step, a query that tells whether to continue."""
    text = (ROOT / "docs" / "rollout.md").read_text("utf-8")
    steps = [match.start() for match in re.finditer(r"^## \d", text, re.MULTILINE)]
    assert len(steps) >= len(["observe", "canary", "pressure", "full"])
    assert all("```promql" in text[begin:end] for begin, end in pairwise([*steps, len(text)]))
