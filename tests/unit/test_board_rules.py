"""The boards under the rules of Grafana's own linter, each of which finds a broken board."""

import re
from typing import Any

import pytest

from support.board_rules import EXCLUSIONS, RULES, Exclusion, lint
from support.boards import NAMES, changed, read_board

EXPR = "panels/Coverage/targets/A/expr"
LOKI = {"refId": "A", "datasource": {"type": "loki", "uid": "${datasource}"}, "expr": 'rate({app="cleaner"}[5m])'}
CHOSEN = '{job=~"$job", instance=~"$instance"}'
BROKEN = [
    ("template-datasource-rule", "templating/list/datasource/label", "Source"),
    ("template-datasource-rule", "templating/list/datasource/query", "loki"),
    ("template-job-rule", "templating/list/job/name", "jobs"),
    ("template-job-rule", "templating/list/job/multi", False),
    ("template-instance-rule", "templating/list/instance/allValue", ".*"),
    ("template-instance-rule", "templating/list/instance/datasource/uid", "prometheus"),
    ("template-label-promql-rule", "templating/list/pool/query/query", "label_values(up{, pool)"),
    ("template-label-promql-rule", "templating/list/pool/query/query", "pools()"),
    ("template-on-time-change-reload", "templating/list/pool/refresh", 1),
    ("panel-datasource-rule", "panels/Coverage/datasource/uid", "prometheus"),
    ("panel-datasource-rule", "panels/Coverage/targets/A/datasource/uid", "prometheus"),
    ("panel-title-description-rule", "panels/Coverage/title", " "),
    ("panel-title-description-rule", "panels/Coverage/description", ""),
    ("panel-units-rule", "panels/Coverage/fieldConfig/defaults", {}),
    ("panel-units-rule", "panels/Coverage/fieldConfig/defaults/unit", "shares"),
    ("panel-units-rule", "panels/Coverage/fieldConfig/overrides", [{"properties": [{"id": "unit", "value": "B"}]}]),
    ("panel-no-targets-rule", "panels/Coverage/targets", []),
    ("target-logql-rule", "panels/Coverage/targets/A", LOKI),
    ("target-logql-auto-rule", "panels/Coverage/targets/A", LOKI),
    ("target-promql-rule", EXPR, "sum("),
    ("target-promql-rule", EXPR, 'up{job=~"$jop"}'),
    ("target-rate-interval-rule", EXPR, f"rate(image_cleaner_sweeps_total{CHOSEN}[5m])"),
    ("target-rate-interval-rule", EXPR, f"rate(image_cleaner_sweeps_total{CHOSEN}[1d])"),
    ("target-rate-interval-rule", EXPR, f"increase(image_cleaner_sweeps_total{CHOSEN}[5m])"),
    ("target-rate-interval-rule", EXPR, f"rate(sum(image_cleaner_images{CHOSEN})[1h:5m])"),
    ("target-job-rule", EXPR, 'image_cleaner_images{instance=~"$instance"}'),
    ("target-job-rule", EXPR, 'image_cleaner_images{job="$job", instance=~"$instance"}'),
    ("target-job-rule", "annotations/list/DiskPressure/expr", "image_cleaner_images"),
    ("target-instance-rule", EXPR, 'image_cleaner_images{job=~"$job", instance=~".+"}'),
    ("target-instance-rule", EXPR, 'node_filesystem_avail_bytes{job=~"$job"}'),
    ("target-counter-agg-rule", EXPR, f"image_cleaner_sweeps_total{CHOSEN}"),
    ("target-counter-agg-rule", EXPR, f"increase(image_cleaner_images{CHOSEN}[1d])"),
    ("uneditable-dashboard", "editable", True),
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("rule", RULES)
def test_every_board_passes(rule: str, name: str) -> None:
    """The rule finds nothing apart from the exclusions."""
    assert lint(rule, read_board(name)) == []


@pytest.mark.parametrize(("rule", "path", "value"), BROKEN)
def test_a_broken_board_is_found(rule: str, path: str, value: Any) -> None:
    """The rule finds the fault, despite the exclusions."""
    assert lint(rule, changed(read_board("fleet"), path, value))


def test_every_rule_can_be_broken() -> None:
    """Each of the linter's 17 rules has a board that violates it."""
    assert len(RULES) == 17
    assert {rule for rule, _, _ in BROKEN} == set(RULES)


@pytest.mark.parametrize("exclusion", EXCLUSIONS, ids=lambda exclusion: exclusion.rule)
def test_every_exclusion_is_needed(exclusion: Exclusion) -> None:
    """Without the exclusion, the rule would find something."""
    found = [finding for name in NAMES for finding in RULES[exclusion.rule](read_board(name))]
    assert any(re.fullmatch(exclusion.finding, finding) for finding in found)
