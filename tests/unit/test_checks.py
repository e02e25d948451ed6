"""`check`: what it finds on a node, printed as it was when somebody last looked."""

import io
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from cleaner.checks import check_node, check_schedule
from cleaner.config import default_config, effective
from cleaner.core.findings import Finding, Grade
from cleaner.core.model import Mode
from cleaner.core.reclaim import Layers
from cleaner.core.triggers import Triggers
from cleaner.core.window import Nightly, calendar_of
from cleaner.outlets.tables import print_check
from support.golden import assert_golden
from support.graphs import NO_LAYERS
from support.nodes import MARKS, MB, POLICY, make_world

GOLDEN = Path(__file__).parent / "golden"
NIGHTLY = Nightly("0 0 * * *", ZoneInfo("Europe/Paris"), timedelta(hours=4), timedelta(hours=1), 200)
TRIGGERS = Triggers(Mode.FULL, MARKS, calendar_of(NIGHTLY, "node-1"))


def test_check_prints_what_it_found(tmp_path: Path) -> None:
    """Findings and settings equal the golden file."""
    world = make_world(tmp_path)
    world.pull_old("expired")
    world.pull_old("young", days=2)
    findings = [*check_node(world.node, POLICY, TRIGGERS), check_schedule(TRIGGERS, world.timer.now())]
    stream = io.StringIO()
    print_check(findings, effective(default_config({})), stream)
    assert_golden(GOLDEN / "check.txt", stream.getvalue().replace(str(tmp_path), "/var/lib/containerd"))


def subjects(findings: list[Finding]) -> dict[str, Grade]:
    return {finding.subject: finding.grade for finding in findings}


def test_check_notes_what_deserves_a_thought(tmp_path: Path) -> None:
    """A reached mark, late freeing and images that nothing matches are notes."""
    world = make_world(tmp_path)
    world.simulated.write_file("logs", 800 * MB)
    world.simulated.measures_removals = False
    world.pull_old("app", megabytes=1)
    found = subjects(list(check_node(world.node, replace(POLICY, rules=()), TRIGGERS)))
    assert found["marks"] is found["filesystem"] is found["images"] is Grade.NOTE


@pytest.mark.parametrize(
    ("layers", "grade"),
    [(None, Grade.NOTE), (replace(NO_LAYERS, complete=False), Grade.NOTE), (NO_LAYERS, Grade.OK)],
)
def test_check_says_whether_bytes_are_foretold(tmp_path: Path, layers: Layers | None, grade: Grade) -> None:
    """A runtime that cannot tell what images share, or not well enough, is worth a note."""
    world = make_world(tmp_path)
    world.runtime.layers = [layers]
    assert subjects(list(check_node(world.node, POLICY, TRIGGERS)))["reclaimable bytes"] is grade


def test_check_says_that_a_mode_has_no_nights() -> None:
    """In mode pressure there is no next nightly sweep."""
    finding = check_schedule(replace(TRIGGERS, mode=Mode.PRESSURE), make_world(Path()).timer.now())
    assert finding.grade is Grade.NOTE


def test_check_notes_a_sandbox_image_that_nobody_names(tmp_path: Path) -> None:
    """Where the runtime neither names nor pins its sandbox image, the check says what to do."""
    world = make_world(tmp_path)
    world.simulated.sandbox_image = ""
    world.runtime.list_sandbox_images = frozenset  # type: ignore[method-assign]
    found = subjects(list(check_node(world.node, POLICY, TRIGGERS)))
    assert found["sandbox image"] is Grade.NOTE
