"""Every metric of the daemon is asked for by a board or an alert, and whatever is asked for is there."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from metrics_page.exposed import exposed_metrics, metric_by_series
from support.alert_files import ALERTS, DOCUMENTS, ROOT, RULES, queries_in, rules_in
from support.boards import (
    NAMES,
    TARGET_LABELS,
    interpolate,
    label_queries_of,
    queries_of,
    read_board,
    values_at_first,
)
from support.promql import Asked, Selector, selectors_of

UNUSED = {
    "process_cpu_seconds_total": "of every client: shows what the agent costs",
    "process_max_fds": "as above",
    "process_open_fds": "as above",
    "process_virtual_memory_bytes": "of every client; says nothing of what the agent costs",
}
"""What no board and no alert asks for, and why it is exposed all the same."""

TEXTS = sorted(
    path
    for pattern in (
        "README.md",
        "docs/**/*.md",
        "alerts/*.yaml",
        "tests/alerts/*.yaml",
        "manifests/**/*.yaml",
        "dashboards/*.json",
    )
    for path in ROOT.glob(pattern)
)
RECORDS = {rule["record"] for rule in rules_in(RULES)}
_NAME = re.compile(r"(?<!\w)(?:\w+:)?image_cleaner_\w+(?::\w+|\*)?")


def asked_by_boards() -> Iterator[tuple[str, str]]:
    """Where, and the expression with all variables replaced."""
    for name in NAMES:
        values = values_at_first(read_board(name))
        yield from ((query.where, interpolate(query.expr, values)) for query in queries_of(name))
        for variable, series, _ in label_queries_of(name):
            yield f"{name} / variable {variable}", interpolate(series, values)


def asked_by_rules() -> Iterator[tuple[str, str]]:
    """As above, of alerts and of what they are recorded from."""
    for rule in rules_in(RULES) + rules_in(ALERTS):
        yield rule.get("alert") or rule["record"], rule["expr"]


def asked_by_documents() -> Iterator[tuple[str, str]]:
    """As above, of what pages propose to ask."""
    for document in DOCUMENTS:
        yield from ((document.name, query) for query in queries_in(document))


SHOWN = [*asked_by_boards(), *asked_by_rules()]
USED = {
    metric_by_series()[each.name].name
    for _, expr in SHOWN
    for each in selectors_of(expr)
    if each.name in metric_by_series()
}


def test_every_metric_is_used_or_has_a_reason_not_to_be() -> None:
    """What is exposed is on a board or in an alert; what is not is listed with the reason, and no other metric is."""
    assert set(exposed_metrics()) - USED == set(UNUSED)
    assert all(UNUSED.values())


def test_all_that_is_ours_is_used() -> None:
    """Only what every client of Prometheus exposes may be unused."""
    assert not [name for name in UNUSED if name.startswith("image_cleaner_")]


@pytest.mark.parametrize(("where", "expr"), [*SHOWN, *asked_by_documents()], ids=lambda value: value[:60])
def test_whatever_is_asked_for_can_be_there(where: str, expr: str) -> None:
    """A series of ours exists, with each label that a query names, and each value: otherwise it would show nothing."""
    for selector in selectors_of(expr):
        if selector.name.startswith(("image_cleaner_", "process_")):
            assert missing_in(selector) == [], where


def missing_in(selector: Selector) -> list[str]:
    """The series itself; labels that neither its metric nor its target has; values that it cannot have."""
    if selector.name not in metric_by_series():
        return [selector.name]
    labels = metric_by_series()[selector.name].labels
    missing = [asked.label for asked in selector.matchers if asked.label not in labels.keys() | TARGET_LABELS]
    closed = [asked for asked in selector.matchers if labels.get(asked.label)]
    return missing + [word for asked in closed for word in asked.misses(labels[asked.label])]


def test_a_label_that_is_not_there_is_found() -> None:
    """Labels of the metric and of its target are there, with the values that they may have; others are missing."""
    own = (
        'image_cleaner_images{state="rule_on_hold", pool="x", trigger="y"}'
        ' + image_cleaner_reclaimable_bytes{trigger="manual"}'
    )
    missing = {word for selector in selectors_of(own) for word in missing_in(selector)}
    assert missing == {"trigger", "manual"}
    (histogram,) = selectors_of("rate(image_cleaner_sweep_duration_seconds[1h])")
    assert missing_in(histogram) == ["image_cleaner_sweep_duration_seconds"]


@pytest.mark.parametrize(
    ("pattern", "is_pattern", "missing"),
    [
        ("rule_on_hold", False, []),
        ("", False, []),
        ("hold", False, ["hold"]),
        ("rule_on_hold|local", True, []),
        ("rule_on_hold|lokal", True, ["lokal"]),
        ("r.*", True, []),
        ("x.*", True, ["x.*"]),
    ],
)
def test_a_value_that_cannot_be_is_found(pattern: str, *, is_pattern: bool, missing: list[str]) -> None:
    """A value, each alternative of a pattern, and a pattern that nothing matches."""
    operator = "=~" if is_pattern else "="
    assert Asked("state", pattern, f'{operator}"{pattern}"').misses(("rule_on_hold", "local")) == missing


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_name_in_a_text_is_exposed_or_recorded(path: Path) -> None:
    """Pages, alerts, their tests and manifests name no metric that is not there; a star stands for several."""
    names = set(_NAME.findall(path.read_text("utf-8")))
    assert {name for name in names if not is_known(name)} == set()


def is_known(name: str) -> bool:
    """Whether a metric, one of its series or a recording rule has that name."""
    if name.endswith("*"):
        return any(metric.startswith(name[:-1]) for metric in exposed_metrics())
    return name in {*exposed_metrics(), *metric_by_series(), *RECORDS}


def test_names_are_found_in_texts() -> None:
    """With their level and operation, with a star, without what stands around them; an unknown one is unknown."""
    text = (
        "`image_cleaner_images`, a:image_cleaner_b:c and image_cleaner_kubelet_* in node_image_cleaner_x "
        "{image_cleaner_imgs=1}"
    )
    names = ["image_cleaner_images", "a:image_cleaner_b:c", "image_cleaner_kubelet_*", "image_cleaner_imgs"]
    assert _NAME.findall(text) == names
    assert [is_known(name) for name in names] == [True, False, True, False]
