"""During a sweep: what the next removal is estimated to free, and whether removals still free anything."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleaner.core.model import EvictionOutcome, EvictReason, Plan, Trigger, Verdict
from cleaner.core.reclaim import Layers, marginal, reclaimable
from cleaner.core.report import Eviction
from cleaner.core.sweep_progress import QUIET_BYTES, WORTH_BYTES, RemovalEstimates, RemovalProgress
from support.graphs import make_layers
from support.values import make_image

MIB = 1 << 20
VERDICTS = tuple(Verdict(make_image(number), EvictReason.PRESSURE) for number in range(4))
IDS = [verdict.image.id for verdict in VERDICTS]
PLAN = Plan(Trigger.PRESSURE, VERDICTS[:2], (), not_reached=VERDICTS[2:])
KEYS = {f"key{number}": 10**number for number in range(6)}
STAYED = [EvictionOutcome.SPARED, EvictionOutcome.FAILED]

graphs = st.lists(st.sets(st.sampled_from(list(KEYS))), min_size=4, max_size=4).map(
    lambda keys: make_layers({image_id: " ".join(own) for image_id, own in zip(IDS, keys, strict=True)}, KEYS)
)
endings = st.lists(st.sampled_from([EvictionOutcome.EVICTED, *STAYED]), min_size=4, max_size=4)


def go_through(layers: Layers | None, outcomes: Iterable[EvictionOutcome]) -> list[int | None]:
    """The estimates of each image of the plan, at its turn."""
    forecast, estimates = RemovalEstimates(layers, PLAN), []
    for verdict, outcome in zip(VERDICTS, outcomes, strict=True):
        estimates.append(forecast.bytes_of(verdict))
        forecast.record_outcome(Eviction(verdict, outcome))
    return estimates


@given(graphs)
def test_while_all_are_evicted_the_estimates_are_the_marginal_figures(layers: Layers) -> None:
    """Each image is estimated to free what it frees after those before it, also beyond the low watermark."""
    estimates = go_through(layers, [EvictionOutcome.EVICTED] * 4)
    assert estimates == [size.bytes for size in marginal(layers, IDS).values()]


@given(graphs, endings)
def test_after_an_image_that_stayed_the_rest_is_estimated_anew(layers: Layers, outcomes: list[EvictionOutcome]) -> None:
    """Whatever stays, the estimates of the evicted images add up to what they freed together."""
    estimates = go_through(layers, outcomes)
    gone = [number for number, outcome in enumerate(outcomes) if outcome is EvictionOutcome.EVICTED]
    assert sum(estimates[number] or 0 for number in gone) == reclaimable(layers, [IDS[number] for number in gone]).bytes


@pytest.mark.parametrize("outcome", STAYED)
def test_a_layer_of_an_image_that_stayed_is_not_estimated(outcome: EvictionOutcome) -> None:
    """Twins: once the first stays, the second frees nothing."""
    layers = make_layers({IDS[0]: "key3", IDS[1]: "key3", IDS[2]: "key1"}, KEYS)
    assert go_through(layers, [EvictionOutcome.EVICTED] * 4) == [0, 1000, 10, 0]
    assert go_through(layers, [outcome, *[EvictionOutcome.EVICTED] * 3]) == [0, 0, 10, 0]


def test_without_layers_nothing_is_estimated() -> None:
    """Where the runtime cannot tell what images share, no estimate is 0: it is not known."""
    assert go_through(None, [EvictionOutcome.EVICTED, *STAYED, EvictionOutcome.EVICTED]) == [None] * 4


def test_without_a_plan_nothing_is_estimated() -> None:
    """Before the plan is made there is no estimate."""
    assert RemovalEstimates(make_layers({IDS[0]: "key0"}, KEYS), None).bytes_of(VERDICTS[0]) is None


def after(*removals: tuple[int | None, int | None], start: int = 0) -> RemovalProgress:
    """Progress after removals, each (freed, estimated), on a disk without other writes."""
    progress, free = RemovalProgress(), start
    for freed, estimated in removals:
        progress.record_removal(free, freed, estimated)
        free += freed or 0
    return progress


ESTIMATE = 10 * MIB
FRUITLESS = (MIB - 1, ESTIMATE)
FRUITFUL = (MIB, ESTIMATE)


QUIET = 64 << 10


@pytest.mark.parametrize(
    ("before", "freed", "pulls_move", "is_stuck"),
    [
        (0, 0, True, False),
        (QUIET, 0, True, False),
        (QUIET + 1, 0, True, True),
        (QUIET + 1, QUIET, True, True),
        (QUIET + 1, QUIET + 1, True, False),
        (QUIET + 1, QUIET + 1, False, True),
        (0, 0, False, True),
        (ESTIMATE, -QUIET, False, True),
        (ESTIMATE, -QUIET - 1, False, False),
    ],
)
def test_what_others_write_hides_what_a_removal_freed(
    before: int, freed: int, *, pulls_move: bool, is_stuck: bool
) -> None:
    """Where free bytes fell; with a pull that gets on also where they moved, or where there were none."""
    progress = RemovalProgress()
    for _ in range(3):
        progress.free_bytes = None
        progress.record_removal(before, freed, ESTIMATE, pulls_move=pulls_move)
    assert progress.is_stuck is is_stuck


def test_without_removals_the_sweep_is_not_stuck() -> None:
    """At the start of a sweep it is not stuck."""
    assert not RemovalProgress().is_stuck


@pytest.mark.parametrize(("freed", "is_stuck"), [(MIB - 1, True), (MIB, False), (MIB + 1, False)])
def test_a_tenth_of_the_estimate_is_enough(freed: int, *, is_stuck: bool) -> None:
    """Three removals of less than a tenth each are a backoff; of exactly a tenth they are not."""
    assert after(*[(freed, ESTIMATE)] * 3).is_stuck is is_stuck


@pytest.mark.parametrize(("estimated", "is_stuck"), [(MIB - 1, False), (MIB, True), (MIB + 1, True)])
def test_a_small_estimate_is_not_judged(estimated: int, *, is_stuck: bool) -> None:
    """A removal with an estimate below 1 MiB says nothing."""
    assert WORTH_BYTES == MIB
    assert after(*[(0, estimated)] * 3).is_stuck is is_stuck


@pytest.mark.parametrize(("count", "is_stuck"), [(1, False), (2, False), (3, True), (4, True)])
def test_after_three_in_a_row_the_sweep_is_stuck(count: int, *, is_stuck: bool) -> None:
    """After two fruitless removals the sweep continues; the third ends it."""
    assert after(*[FRUITLESS] * count).is_stuck is is_stuck


@pytest.mark.parametrize("between", [FRUITFUL, (0, MIB - 1), (None, ESTIMATE), (0, None)])
def test_what_is_not_fruitless_begins_anew(between: tuple[int | None, int | None]) -> None:
    """A removal that freed, or that cannot be judged, begins the count anew."""
    assert not after(FRUITLESS, FRUITLESS, between, FRUITLESS, FRUITLESS).is_stuck
    assert after(FRUITLESS, FRUITLESS, between, *[FRUITLESS] * 3).is_stuck


@pytest.mark.parametrize(
    ("moved", "is_stuck"),
    [(-QUIET_BYTES - 1, False), (-QUIET_BYTES, True), (0, True), (QUIET_BYTES, True), (QUIET_BYTES + 1, False)],
)
def test_a_write_of_another_program_begins_anew(moved: int, *, is_stuck: bool) -> None:
    """Free space that moved between two removals by more than 64 KiB was moved by another program, up or down."""
    progress = after(FRUITLESS, FRUITLESS, start=ESTIMATE)
    progress.record_removal((progress.free_bytes or 0) + moved, 0, ESTIMATE)
    assert progress.is_stuck is is_stuck


def test_after_a_removal_that_was_not_measured_no_write_is_assumed() -> None:
    """Where the last free space is not known, the next removal is judged by itself."""
    progress = after((None, ESTIMATE))
    for _ in range(3):
        progress.record_removal(123, 0, ESTIMATE)
    assert progress.is_stuck
