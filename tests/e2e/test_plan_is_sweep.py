"""`cleaner plan` lists as evictions exactly those that `cleaner sweep` would make now, on a real disk at any usage."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lab import ImageSpec, Lab, Layer
from support.lab_node import config_text, run_cleaner

Document = dict[str, Any]
COMPANY = "registry.gitlab.com"
MB = 1_000_000
WATERMARKS = {"high": 75, "low": 65}
CONFIG = config_text(
    policy={"grace": "0s", "rules": [{"name": "company", "match": [f"{COMPANY}/golem-ai/**"], "max_age": "50d"}]},
    pressure={"grace": "0s", "bytes": WATERMARKS},
)
USED_PERCENT = (70, 77, 81, 83, 88)
FEW, MANY = "few images", "many images"
IMAGES = {FEW: 4, MANY: 15}
"""Of 6 MB each, blob and snapshot, on a disk of 300 MB: few free 8 % of it, many 30 %."""
EXPIRED = 3
TODAY = datetime.now(UTC)


@pytest.fixture(scope="module", params=["2"])
def lab_version(request: pytest.FixtureRequest) -> str:
    """One containerd: what differs is the disk."""
    return str(request.param)


@pytest.fixture(scope="module")
def lab(lab_version: str, require_lab: None) -> Iterator[Lab]:
    """A small disk, so that some images matter."""
    with Lab(version=lab_version, size_mib=300) as lab:
        yield lab


@pytest.fixture(scope="module", params=IMAGES)
def node(request: pytest.FixtureRequest, lab: Lab) -> Lab:
    """The disk with few images, or with many."""
    lab.drop_ballast()
    pull(lab, range(IMAGES[request.param]))
    return lab


def pull(lab: Lab, numbers: Sequence[int]) -> None:
    """Images of different ages; the first ones are past their rule's max_age."""
    specs = [
        ImageSpec(
            "golem-ai/app",
            f"v{number:02}",
            (Layer(3 * MB, number),),
            f"{TODAY - timedelta(days=(100 if number < EXPIRED else 40) - number):%Y-%m-%dT00:00:00Z}",
        )
        for number in numbers
    ]
    lab.pull_all(image.reference(COMPANY) for image in lab.push(*specs))


def document_of(lab: Lab, *arguments: str) -> Document:
    run = run_cleaner([*arguments, "-o", "json"], lab, CONFIG)
    assert run.returncode == 0, run.stderr
    document: Document = json.loads(run.stdout)
    return document


def planned_by(plan: Document) -> list[tuple[str, str, int | None]]:
    """What a plan would evict, in order."""
    evictions = [image for image in plan["images"] if image["verdict"] == "evict"]
    return [(image["references"][0], image["reason"], image["estimated_bytes"]) for image in evictions]


def listed_by(sweep: Document) -> list[tuple[str, str, int | None]]:
    """What a sweep that removes nothing lists, in order."""
    assert {eviction["outcome"] for eviction in sweep["evictions"]} <= {"planned"}
    return [(each["references"][0], each["reason"], each["estimated_bytes"]) for each in sweep["evictions"]]


def not_reached_by(plan: Document) -> int:
    return sum(image["reason"] == "not_reached" for image in plan["images"])


@pytest.mark.parametrize("used_percent", USED_PERCENT)
def test_pressure_plan_is_the_sweep(node: Lab, used_percent: int) -> None:
    """A pressure plan and a pressure sweep list the same evictions, and as many candidates that are not reached.

    With few images non-image data holds so much that no low watermark is within reach.
    """
    node.fill(used_percent)
    plan = document_of(node, "plan", "--trigger", "pressure")
    sweep = document_of(node, "sweep", "--trigger", "pressure", "--dry-run")
    print(f"\n{used_percent} %: plan {len(planned_by(plan))}, sweep {len(listed_by(sweep))} ({sweep['stop_reason']})")
    assert planned_by(plan) == listed_by(sweep)
    assert not_reached_by(plan) == len(candidates_of(node)) - len(planned_by(plan))
    if used_percent < WATERMARKS["high"]:
        assert planned_by(plan) == []


def candidates_of(lab: Lab) -> list[Document]:
    """All images that a rule matches: none is in use, young or local."""
    images = document_of(lab, "plan", "--trigger", "pressure")["images"]
    return [image for image in images if image["rule"] is not None]


def test_some_plans_evict(node: Lab) -> None:
    """The disks above are not all hopeless: with many images a sweep at 77 % reaches its low watermark."""
    node.fill(77)
    sweep = document_of(node, "sweep", "--trigger", "pressure", "--dry-run")
    reachable = len(candidates_of(node)) == IMAGES[MANY]
    assert (sweep["stop_reason"] == "low_watermark") == reachable
    assert bool(sweep["evictions"]) == reachable


def test_nightly_plan_is_the_sweep(node: Lab) -> None:
    """A nightly plan and a sweep from the command line list the same evictions, whatever the usage is."""
    for used_percent in (70, 83):
        node.fill(used_percent)
        plan = document_of(node, "plan")
        for trigger in ("manual", "nightly"):
            sweep = document_of(node, "sweep", "--trigger", trigger, "--dry-run")
            assert planned_by(plan) == listed_by(sweep)
        assert [reason for _, reason, _ in planned_by(plan)] == ["expired"] * EXPIRED
