"""docs/metrics.md: that it is what the generator gives, and that it says what a scrape shows."""

import re
from collections.abc import Mapping
from typing import Any

import pytest

from cleaner.core.model import KeepReason, Mode, StopReason, Trigger
from cleaner.core.reclaim import Holder
from cleaner.outlets.metrics.gauges import EVICTABLE
from cleaner.outlets.metrics.outlet import RUNTIME_METHODS
from metrics_page.__main__ import PAGE
from metrics_page.exposed import OPEN_LABELS, exposed_metrics, metric_by_series
from metrics_page.groups import GROUPS, unit_of
from metrics_page.page import render
from unit.outlets.happenings import EVERYTHING, SEVERAL
from unit.outlets.written import metrics_after

TEXT = PAGE.read_text("utf-8")
ROWS = re.findall(r"^\| `((?:image_cleaner|process)_\w+)` \| (\w+) \| (.*?) \| ([^|]*) \| (.*) \|$", TEXT, re.MULTILINE)


def scraped() -> Mapping[str, Any]:
    """The families of another registry, after a nightly run, a burst and all other events."""
    metrics = metrics_after(EVERYTHING, SEVERAL)
    families = {family.name: family for family in metrics.registry.collect()}
    return {name + "_total" * (family.type == "counter"): family for name, family in families.items()}


def test_regenerating_changes_nothing() -> None:
    """The committed page is what `make metrics` writes."""
    assert render() == TEXT


def test_the_page_has_every_metric_that_a_scrape_shows() -> None:
    """Name, type and meaning of each, and no other."""
    expected = {name: (family.type, family.documentation) for name, family in scraped().items()}
    assert {name: (kind, meaning.partition(" Series: ")[0]) for name, kind, _, _, meaning in ROWS} == expected
    assert len(ROWS) == len(expected)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_row_has_the_labels_that_a_scrape_shows(row: tuple[str, ...]) -> None:
    """Each label and each value of it; of a histogram all three series."""
    name, kind, labels, _, meaning = row
    written = {label: values.split(", ") for label, values in re.findall(r"`(\w+)`(?:: ([^;]+))?", labels)}
    family = scraped()[name]
    assert written.keys() == {label for sample in family.samples for label in sample.labels}
    for sample in family.samples:
        assert all(value in written[label] for label, value in sample.labels.items() if label not in OPEN_LABELS)
    if kind == "histogram":
        assert re.findall(r"`(\w+)`", meaning) == list(dict.fromkeys(sample.name for sample in family.samples))


def test_labels_have_all_words_of_the_code() -> None:
    """What the code can say is listed, whether or not it was ever said."""
    labels = {name: metric.labels for name, metric in exposed_metrics().items()}
    assert labels["image_cleaner_config_info"]["mode"] == tuple(Mode)
    assert labels["image_cleaner_images"]["state"] == (EVICTABLE, *KeepReason)
    assert labels["image_cleaner_sweeps_total"]["trigger"] == tuple(Trigger)
    assert labels["image_cleaner_sweep_ends_total"]["reason"] == tuple(StopReason)
    assert labels["image_cleaner_filesystem_held_bytes"]["holder"] == tuple(Holder)
    assert labels["image_cleaner_runtime_requests_total"]["method"] == RUNTIME_METHODS


@pytest.mark.parametrize(("head", "words"), [("state", (EVICTABLE, *KeepReason)), ("holder", Holder)])
def test_a_word_of_a_label_is_explained(head: str, words: tuple[str, ...]) -> None:
    """Reasons to keep and holders: a row for each word, in the order of the code, holders in any."""
    table = TEXT.split(f"\n| {head} | |\n", 1)[1].split("\n\n", 1)[0]
    explained = re.findall(r"^\| `(\w+)` \| [^|]+ \|$", table, re.MULTILINE)
    assert sorted(explained) == sorted(words)


@pytest.mark.parametrize("name", [name for name in exposed_metrics() if name.startswith("image_cleaner_")])
def test_a_help_text_says_more_than_the_name(name: str) -> None:
    """A sentence, with three words or more that the name does not have."""
    meaning = exposed_metrics()[name].meaning
    assert meaning.endswith(".")
    assert len(set(re.findall(r"\w+", meaning.lower())) - set(name.split("_"))) >= 3


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("image_cleaner_last_sweep_timestamp_seconds", "seconds since 1970"),
        ("image_cleaner_sweep_duration_seconds", "seconds"),
        ("image_cleaner_reclaimed_bytes_total", "bytes"),
        ("image_cleaner_evictions_total", "images"),
        ("image_cleaner_filesystem_files", "inodes"),
    ],
)
def test_a_unit_is_that_of_the_name_or_what_is_counted(name: str, unit: str) -> None:
    """The ending of the name says it; what has none that does is in a list."""
    assert unit_of(name) == unit


def test_a_missing_unit_is_an_error() -> None:
    """A new metric without a unit in its name has to get one."""
    with pytest.raises(KeyError):
        unit_of("image_cleaner_something_new_total")


@pytest.mark.parametrize(
    ("groups", "named"),
    [
        ({**GROUPS, "why": ()}, "image_cleaner_images"),
        ({**GROUPS, "full": (*GROUPS["full"], "image_cleaner_images")}, "image_cleaner_images"),
        ({**GROUPS, "full": (*GROUPS["full"], "image_cleaner_nothing")}, "image_cleaner_nothing"),
        ({**GROUPS, "more": ()}, "more"),
    ],
)
def test_a_page_with_holes_is_not_written(groups: Mapping[str, tuple[str, ...]], named: str) -> None:
    """A metric in no table, in two, one that is not there, or a table without a place in the text."""
    with pytest.raises(ValueError, match=named):
        render(groups)


def test_series_belong_to_their_metric() -> None:
    """A histogram has three kinds, each other metric one of its own name."""
    assert (
        metric_by_series()["image_cleaner_sweep_duration_seconds_bucket"].name == "image_cleaner_sweep_duration_seconds"
    )
    assert metric_by_series()["image_cleaner_sweeps_total"].name == "image_cleaner_sweeps_total"
    assert "image_cleaner_sweep_duration_seconds" not in metric_by_series()
