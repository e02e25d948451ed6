"""Recording rules and alerts on real Prometheuses: they load and evaluate them on 30 days of a fleet that end now.

What they are asked is asked of the end of the history, so that nothing depends on how long the test took since.

In the last hours a few nodes of it are ill (tests/support/ill_fleet.py), so that each alert has something to say. Some
rules read what is recorded: for the last hours promtool makes it of the rules.
"""

import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lab.toolbox import PROMETHEUSES
from support.alert_files import ALERTS, DOCUMENTS, RULES, labels_shown_by, queries_in, rules_in
from support.fleet_history import lookback, write_history
from support.fleet_nodes import END
from support.ill_fleet import ILL_SINCE, OFTEN_SECONDS, ill_samples
from support.prometheus_server import PrometheusServer, create_blocks
from support.rule_questions import misspellings_of, questions_of
from support.rule_servers import Asked, config_of, evaluations_of, name_of

MINUTE = 60
ALL = rules_in(RULES) + rules_in(ALERTS)
EMPTY = {"ImageCleanerAbsent": "agents are up"}
"""What has nothing to say of a fleet on which all other things fail."""


@dataclass(frozen=True)
class History:
    """Blocks with what was scraped, and what the rules would have recorded in the last hours."""

    data: Path
    end: int


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> History:
    """The history of a fleet that ends in this minute."""
    folder = tmp_path_factory.mktemp("rules")
    began = time.monotonic()
    end = int(time.time()) // MINUTE * MINUTE
    lines = write_history(folder / "history.txt", end=end, more=ill_samples())
    create_blocks(folder / "history.txt", folder / "data")
    for rules in generations_of(rules_in(RULES)):
        (folder / "records.yaml").write_text(json.dumps({"groups": [{"name": "records", "rules": rules}]}), "utf-8")
        with PrometheusServer(folder, PROMETHEUSES[0], lookback()) as server:
            server.create_records(folder / "records.yaml", ILL_SINCE + end - END, end, OFTEN_SECONDS)
    print(f"\nhistory: {lines} samples, {time.monotonic() - began:.1f} s")
    return History(folder / "data", end)


def generations_of(records: list[Any]) -> Iterator[list[Any]]:
    """Records that read no other, then those that read only these, and so on: promtool makes them in that order."""
    left = records
    while left:
        names = {record["record"] for record in left}
        generation = [record for record in left if not any(name in record["expr"] for name in names)]
        assert generation, f"{names} read each other"
        yield generation
        left = [record for record in left if record not in generation]


@pytest.fixture(scope="module", params=PROMETHEUSES)
def asked(
    history: History, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Asked]:
    """A Prometheus that has evaluated the rules on its own copy of the history, and is asked of its end."""
    folder = tmp_path_factory.mktemp("prometheus")
    shutil.copytree(history.data, folder / "data")
    with PrometheusServer(folder, request.param, lookback(), config=config_of(RULES, ALERTS)) as server:
        server.wait_for_rules()
        server.wait_for_rules()  # what an alert reads is recorded now
        yield Asked(server, history.end)


def test_prometheus_evaluates_every_rule(asked: Asked) -> None:
    """It has loaded just the rules that there are, and has evaluated each without a fault."""
    assert evaluations_of(asked.server) == sorted((name_of(rule), "ok") for rule in ALL)


def test_every_rule_finds_something(asked: Asked) -> None:
    """No query is an error, and each has something to say, thresholds included, but for those listed."""
    assert {name_of(rule) for rule in ALL if not asked.query(rule["expr"])} == EMPTY.keys()


@pytest.mark.parametrize("rule", ALL, ids=name_of)
def test_what_a_rule_counts_on_is_there(asked: Asked, rule: Any) -> None:
    """Each series, label and label's value that it names is there, and each join finds its other side."""
    assert asked.unanswered(questions_of(rule["expr"], labels_shown_by(rule))) == []


def test_queries_of_documents_are_answered(asked: Asked) -> None:
    """What a page proposes to ask is no error; whether anything is found is the fleet's affair."""
    queries = [query for document in DOCUMENTS for query in queries_in(document)]
    assert [error for query in queries if (error := asked.refusal(query))] == []
    assert asked.refusal("image_cleaner_runtime_up + on (cluster) image_cleaner_runtime_up") is not None
    print(f"\n{len(queries)} queries, {sum(not asked.query(query) for query in queries)} of them find nothing")


def test_a_misspelt_name_is_found_out(asked: Asked) -> None:
    """Were any one name of a series, label or value in any rule another one, one question at least has no answer."""
    began = time.monotonic()
    misspelt = [(name_of(rule), text) for rule in ALL for text in misspellings_of(rule["expr"])]
    unseen = [(name, text) for name, text in misspelt if not asked.unanswered(questions_of(text))]
    print(f"\n{len(misspelt)} misspellings, {asked.number} queries, {time.monotonic() - began:.1f} s")
    assert unseen == []
    assert len(misspelt) > 5 * len(ALL)
