"""What docs/logs.md says of a line's keys, and what its LogQL finds in lines that were really written.

The queries have been parsed with the grammar that Grafana itself uses (lezer-logql); there is none for Python.
"""

import json
import re
from collections import defaultdict
from dataclasses import replace

import pytest
from ruamel.yaml import YAML

from cleaner.core.events import EvictionEnded, ForeignEviction
from cleaner.core.model import EvictionOutcome, EvictReason, Trigger
from support.alert_files import ROOT
from support.logql import LogQuery, logql_in, parse_logql
from unit.outlets.happenings import (
    BURST,
    EVERYTHING,
    EVICTED,
    FAILED,
    FOREIGN,
    MIDNIGHT,
    PLANNED,
    SPARED,
    candidate,
    past,
)
from unit.outlets.written import lines_of, metrics_after, value, written_by

DOCUMENT = ROOT / "docs" / "logs.md"
REMOVED, FREED = map(parse_logql, logql_in(DOCUMENT))
QUERIES = [pytest.param(REMOVED, id="removed"), pytest.param(FREED, id="freed")]
TYPES = {str: "string", int: "integer", float: "number", bool: "boolean", dict: "object", type(None): "null"}
UNITS = {"_bytes": "bytes", "_seconds": "seconds", "_at": "RFC 3339, UTC", "timestamp": "RFC 3339, UTC"}
"""By the end of a key."""
PERCENT = "percent, 0 to 100"
Keys = dict[str, tuple[set[str], str, str]]
UNDATED = replace(EVICTED, verdict=replace(candidate(1), created_at=None, pulled_at=None, last_used_at=None))
EVICTIONS = [
    EvictionEnded(Trigger.NIGHTLY, eviction, MIDNIGHT) for eviction in (EVICTED, FAILED, SPARED, PLANNED, UNDATED)
]


def sections() -> dict[str, Keys]:
    """By event, the types, unit and meaning of each key."""
    found: dict[str, Keys] = {}
    for section in re.split(r"^## ", DOCUMENT.read_text("utf-8"), flags=re.MULTILINE)[1:]:
        rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \| ([^|]*?) ?\| (.*) ?\|$", section, re.MULTILINE)
        if rows:
            found[section.partition("\n")[0].strip("`")] = {
                key: (set(types.split(" or ")), unit, meaning) for key, types, unit, meaning in rows
            }
    return found


def type_of(written: object) -> str:
    """As the page calls it."""
    if isinstance(written, list):
        return "strings" if all(isinstance(each, str) for each in written) else "list"
    return TYPES[type(written)]


def types_in(lines: list[dict[str, object]]) -> dict[str, set[str]]:
    """The values that each key of some lines really had."""
    types = defaultdict(set)
    for line in lines:
        for key, written in line.items():
            types[key].add(type_of(written))
    return types


SECTIONS = sections()


def test_an_eviction_has_just_the_types_that_are_documented() -> None:
    """Each key is of its types, and of each of them at some time: null where something failed or is not known."""
    documented = {key: types for key, (types, _, _) in SECTIONS["eviction"].items()}
    assert types_in(lines_of(*EVICTIONS)) == documented


@pytest.mark.parametrize("event", SECTIONS)
def test_keys_are_of_documented_types(event: str) -> None:
    """No line has a type that its table does not say."""
    lines = [line for line in lines_of(*EVERYTHING, level="debug") if line["event"] == event]
    assert lines
    for key, types in types_in(lines).items():
        assert types <= SECTIONS[event][key][0], key


@pytest.mark.parametrize("event", SECTIONS)
def test_units_are_those_of_the_names(event: str) -> None:
    """Bytes, seconds, times and shares end as they always do, and figures have a unit."""
    for key, (types, unit, _) in SECTIONS[event].items():
        expected = next((word for end, word in UNITS.items() if key.endswith(end)), PERCENT if "percent" in key else "")
        assert unit == expected or (not expected and unit and types <= {"integer", "object"}), key


def test_every_key_of_an_eviction_has_a_meaning() -> None:
    """The line that people search for is explained in full."""
    assert all(meaning.strip() for _, _, meaning in SECTIONS["eviction"].values())


@pytest.mark.parametrize("query", QUERIES)
def test_queries_read_documented_keys(query: LogQuery) -> None:
    """Each key that a query names is in the lines of our evictions and of those that others made."""
    assert query.keys
    assert query.keys <= SECTIONS["eviction"].keys() & SECTIONS["eviction_regretted"].keys()


@pytest.mark.parametrize("query", QUERIES)
def test_queries_choose_the_streams_of_the_manifests(query: LogQuery) -> None:
    """The namespace and the container are called so."""
    manifests, reader = ROOT / "manifests", YAML(typ="safe", pure=True)
    namespace = reader.load(manifests / "namespace.yaml")["metadata"]["name"]
    (container,) = reader.load(manifests / "daemonset.yaml")["spec"]["template"]["spec"]["containers"]
    assert query.streams == {"namespace": namespace, "container": container["name"]}


def test_the_trigger_that_evicted_an_image_is_found() -> None:
    """Evictions that removed an image or failed to, of any process; none that was spared, planned or reported later."""
    shown = REMOVED.lines(written_by(*EVERYTHING, level="debug"))
    assert len(shown) == 4
    for line, (verdict, outcome, trigger) in zip(
        shown,
        [
            (candidate(6), "evicted", "manual"),
            (candidate(1), "evicted", "nightly"),
            (candidate(2), "failed", "nightly"),
            (candidate(5, EvictReason.PRESSURE), "evicted", "pressure"),
        ],
        strict=True,
    ):
        assert f" {outcome} {verdict.image.id} {trigger} {verdict.reason} rule=company" in line


def test_another_images_eviction_is_not_found() -> None:
    """The name is searched among the references, wherever else it stands; a collector may have left out spaces."""
    elsewhere = replace(FAILED, error="it shares layers with golem-ai/app1")
    lines = written_by(EvictionEnded(Trigger.NIGHTLY, elsewhere, MIDNIGHT), EVICTIONS[0])
    dense = [json.dumps(json.loads(line), separators=(",", ":")) for line in lines]
    (query,) = (text for text in logql_in(DOCUMENT) if "line_format" in text)
    one = parse_logql(query.replace("golem-ai/app", "golem-ai/app1"))
    for written in (lines, dense):
        (shown,) = one.lines(written)
        assert candidate(1).image.id in shown


def test_what_each_trigger_freed_is_what_the_metric_counts() -> None:
    """The sums by trigger are those of all evictions, also of other processes, and add up to the counters' sum."""
    unmeasured = ForeignEviction(past(9, reclaimed_bytes=None))
    sums = FREED.sums(written_by(*EVERYTHING, unmeasured, level="debug"))
    expected = {
        "nightly": EVICTED.reclaimed_bytes,
        "pressure": BURST.reclaimed_bytes,
        "manual": FOREIGN.reclaimed_bytes,
    }
    assert sums == expected
    metrics = metrics_after([*EVERYTHING, unmeasured])
    counted = [value(metrics, "reclaimed_bytes_total", reason=reason) or 0 for reason in EvictReason]
    assert sum(sums.values()) == sum(counted)


@pytest.mark.parametrize(
    "text", ["sum(rate({a=`b`}[5m]))", '{a="b"} | logfmt', '{a="b"} | c > 5', '{a="b"} != "c"', 'rate({a="b"}[5m])']
)
def test_a_query_that_cannot_be_applied_is_an_error(text: str) -> None:
    """A stage that is not known here is not skipped."""
    with pytest.raises(ValueError, match=r"not known|no stream selector"):
        parse_logql(text)


@pytest.mark.parametrize("query", QUERIES)
def test_what_is_asked_for_is_written(query: LogQuery) -> None:
    """The outcomes are the code's, and the events are those that the page lists."""
    listed = set(re.findall(r"^\| `(\w+)` \| \w+ \|", DOCUMENT.read_text("utf-8").partition("\n## ")[0], re.MULTILINE))
    assert query.words("outcome")
    assert query.words("outcome") <= set(EvictionOutcome)
    assert query.words("event") == {"eviction", "foreign_eviction"} & listed
