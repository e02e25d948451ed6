"""`check`: what it finds on a node, printed as in the golden file."""

import io
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from cleaner.cli.node_checks import check_node, check_rules, check_schedule
from cleaner.config.settings import default_config, effective
from cleaner.core.disk_usage import Filesystem, Usage
from cleaner.core.findings import Finding, Grade
from cleaner.core.kubelet import KubeletConfig, KubeletSettings
from cleaner.core.model import Mode, RuntimeVersion
from cleaner.core.nightly import Nightly, calendar_of
from cleaner.core.ports import Disk
from cleaner.core.pressure.watermarks import AvailableWatermarks
from cleaner.core.reclaim import Layers
from cleaner.core.triggers import Triggers
from cleaner.outlets.terminal.tables import print_check
from support.golden import assert_golden
from support.graphs import NO_LAYERS
from support.nodes import MB, POLICY, WATERMARKS, make_world

GOLDEN = Path(__file__).parents[1] / "golden"
HOUR = timedelta(hours=1)
NIGHTLY = Nightly("0 0 * * *", ZoneInfo("Europe/Paris"), 4 * HOUR, HOUR, 48 * HOUR, 200)
TRIGGERS = Triggers(Mode.FULL, WATERMARKS, calendar_of(NIGHTLY, "node-1"), timedelta(hours=24))


def test_check_prints_what_it_found(tmp_path: Path) -> None:
    """Findings and settings equal the golden file."""
    world = make_world(tmp_path)
    world.pull_old("expired")
    world.pull_old("young", days=2)
    findings = [*check_node(world.node, POLICY, TRIGGERS), check_schedule(TRIGGERS, world.timer.now())]
    stream = io.StringIO()
    print_check(findings, effective(default_config({})), stream)
    assert_golden(GOLDEN / "check.txt", stream.getvalue().replace(str(tmp_path), "/var/lib/containerd"))


HUGE = AvailableWatermarks(high_bytes=400 * MB, low_bytes=600 * MB)
CONTENT = Usage("/content", 2000 * MB, 100 * MB, 0, 0, 100 * MB, Filesystem.CONTENT)
CONTAINERS = replace(CONTENT, path="/containers", filesystem=Filesystem.CONTAINERS)


def test_check_says_what_each_filesystem_is_like(tmp_path: Path) -> None:
    """Others have findings of their own: usage of all, watermarks of those that can be driven, and what is not seen."""
    world = make_world(tmp_path)
    world.disk.stuck = replace(world.simulated.read_usage(), others=(CONTENT, CONTAINERS))
    world.disk.inner = UnseeingDisk(world.disk.inner, "/elsewhere")
    found = [(f.subject, f.grade, f.detail) for f in check_node(world.node, POLICY, TRIGGERS)]
    about = {subject: (grade, detail) for subject, grade, detail in found}
    assert about["filesystem (content)"] == (Grade.OK, "/content: 95.0 % used, no inode limit")
    assert about["filesystem (containers)"] == (Grade.OK, "/containers: 95.0 % used, no inode limit")
    assert about["watermarks (content)"] == (
        Grade.NOTE,
        "bytes 75 down to 65 %, reached now; inodes 80 down to 75 %",
    )
    assert about["watermarks"][0] is Grade.OK
    assert "watermarks (containers)" not in about
    (unseen,) = [detail for subject, _, detail in found if subject == "filesystem" and "not seen" in detail]
    assert unseen.startswith("/elsewhere is not seen here")


def test_check_says_where_watermarks_in_bytes_do_not_count(tmp_path: Path) -> None:
    """600 MB are more than half of one filesystem and not of the other: the percents of each are shown."""
    world = make_world(tmp_path)
    world.disk.stuck = replace(world.simulated.read_usage(), others=(CONTENT,))
    triggers = replace(TRIGGERS, watermarks=replace(WATERMARKS, available=HUGE))
    found = [f for f in check_node(world.node, POLICY, triggers) if f.subject.startswith("watermarks")]
    assert [(f.subject, f.detail[:26]) for f in found] == [
        ("watermarks", "bytes 75 down to 65 %; ino"),
        ("watermarks", "pressure.bytes.low_availab"),
        ("watermarks (content)", "bytes 80 down to 70 %, rea"),
    ]


@pytest.mark.parametrize(
    ("used_mb", "reserved_mb", "grade"),
    [(700, 0, None), (700, 49, None), (700, 50, Grade.NOTE), (800, 400, Grade.WARNING), (660, 660, Grade.WARNING)],
)
def test_check_says_where_a_reserve_is_in_the_way(
    tmp_path: Path, used_mb: int, reserved_mb: int, grade: Grade | None
) -> None:
    """A warning where a sweep is due or no sweep could help; the filesystem's own line has its share."""
    world = make_world(tmp_path)
    whole = world.simulated.read_usage()
    available = whole.capacity_bytes - used_mb * MB
    world.disk.stuck = replace(whole, available_bytes=available, free_bytes=available + reserved_mb * MB)
    found = list(check_node(world.node, POLICY, TRIGGERS))
    about = [finding for finding in found if finding.subject == "reserved blocks"]
    assert [finding.grade for finding in about] == ([grade] if grade else [])
    share = f"{reserved_mb / 10:.1f} %"
    assert all(finding.detail.startswith(f"{share} of {whole.path} (") for finding in about)
    (filesystem,) = (finding for finding in found if finding.subject == "filesystem")
    assert (f" % used ({share} reserved for root), " in filesystem.detail) == (reserved_mb > 0)


@dataclass
class UnseeingDisk:
    """A disk beside another one that this process does not see."""

    inner: Disk
    elsewhere: str

    @property
    def path(self) -> str:
        return self.inner.path

    @property
    def unseen(self) -> tuple[str, ...]:
        return (self.elsewhere,)

    @property
    def measures_removals(self) -> bool:
        return self.inner.measures_removals

    def read_usage(self) -> Usage:
        return self.inner.read_usage()

    def read_settled_usage(self, *, hurried: bool = False) -> Usage:
        return self.inner.read_settled_usage(hurried=hurried)


def subjects(findings: list[Finding]) -> dict[str, Grade]:
    return {finding.subject: finding.grade for finding in findings}


def test_check_notes_what_deserves_a_thought(tmp_path: Path) -> None:
    """A reached watermark, late freeing and images that no rule matches are notes."""
    world = make_world(tmp_path)
    world.simulated.write_file("logs", 800 * MB)
    world.simulated.measures_removals = False
    world.pull_old("app", megabytes=1)
    found = subjects(list(check_node(world.node, replace(POLICY, rules=()), TRIGGERS)))
    assert found["watermarks"] is found["filesystem"] is found["images"] is Grade.NOTE


@pytest.mark.parametrize(
    ("layers", "grade"),
    [(None, Grade.NOTE), (replace(NO_LAYERS, complete=False), Grade.NOTE), (NO_LAYERS, Grade.OK)],
)
def test_check_says_whether_bytes_are_estimated(tmp_path: Path, layers: Layers | None, grade: Grade) -> None:
    """A runtime that cannot tell what images share, or not well enough, is worth a note."""
    world = make_world(tmp_path)
    world.runtime.layers = [layers]
    assert subjects(list(check_node(world.node, POLICY, TRIGGERS)))["reclaimable bytes"] is grade


@pytest.mark.parametrize(("name", "notes"), [("cri-o", 1), ("containerd", 0)])
def test_check_says_what_counts_as_local_under_cri_o(tmp_path: Path, name: str, notes: int) -> None:
    """CRI-O does not tell where an image comes from, which is worth a note; other runtimes have none."""
    world = make_world(tmp_path)
    world.runtime.read_version = lambda: RuntimeVersion(name, "1.36.3")  # type: ignore[method-assign]
    found = [f for f in check_node(world.node, POLICY, TRIGGERS) if f.subject == "local images"]
    detail = "CRI-O gives no evidence of where an image comes from: only images in localhost/ count as local"
    assert found == [Finding("local images", Grade.NOTE, detail)] * notes


def test_check_names_snapshotters_that_are_not_measured(tmp_path: Path) -> None:
    """Where snapshots of images count nowhere, the note says of which snapshotters, and why that may be."""
    world = make_world(tmp_path)
    world.runtime.layers = [replace(NO_LAYERS, unmeasured_snapshotters=frozenset({"zfs", "native"}))]
    (found,) = [each for each in check_node(world.node, POLICY, TRIGGERS) if each.subject == "reclaimable bytes"]
    assert found.grade is Grade.NOTE
    assert "without the snapshots of native, zfs: containerd does not name the root" in found.detail


def test_check_says_that_a_mode_has_no_nightly_runs() -> None:
    """In mode pressure there is no next nightly sweep."""
    finding = check_schedule(replace(TRIGGERS, mode=Mode.PRESSURE), make_world(Path()).timer.now())
    assert finding.grade is Grade.NOTE


def test_check_notes_a_sandbox_image_without_a_name(tmp_path: Path) -> None:
    """Where the runtime neither names nor pins its sandbox image, the check says what to do."""
    world = make_world(tmp_path)
    world.simulated.sandbox_image = ""
    world.runtime.list_sandbox_images = frozenset  # type: ignore[method-assign]
    found = subjects(list(check_node(world.node, POLICY, TRIGGERS)))
    assert found["sandbox image"] is Grade.NOTE


@pytest.mark.parametrize(
    ("hours", "refusal", "grade", "says"),
    [
        (24, None, Grade.OK, "1 images were seen in use"),
        (23.99, None, Grade.NOTE, "waits until that is as long as policy.grace"),
        (None, None, Grade.NOTE, "has not run on this node yet"),
        (24, "no room", Grade.NOTE, "no room; no nightly sweep until"),
    ],
)
def test_check_says_what_is_in_memory(
    tmp_path: Path, hours: float | None, refusal: str | None, grade: Grade, says: str
) -> None:
    """Memory as old as grace is fine; younger, none, or an unreadable ledger is a note that says what is suspended."""
    world = make_world(tmp_path)
    world.pull_old("app")
    world.simulated.start_container("registry.example.com/app:v1")
    world.ledger.since = None if hours is None else world.timer.now() - timedelta(hours=hours)
    world.ledger.error = refusal
    (finding,) = [f for f in check_node(world.node, POLICY, TRIGGERS) if f.subject == "memory"]
    assert finding.grade is grade
    assert says in finding.detail


@pytest.mark.parametrize(
    ("mode", "hours", "refusal", "says"),
    [
        (Mode.FULL, 24, None, None),
        (Mode.FULL, 23.99, None, "nightly sweeps are suspended: see memory"),
        (Mode.FULL, None, None, "nightly sweeps are suspended: see memory"),
        (Mode.FULL, 24, "no room", "nightly sweeps are suspended: see memory"),
        (Mode.PRESSURE, None, None, "mode pressure has no nightly sweep"),
        (Mode.OBSERVE, 24, None, "mode observe evicts none of them"),
    ],
)
def test_check_says_what_keeps_sweeps_from_evicting(
    tmp_path: Path, mode: Mode, hours: float | None, refusal: str | None, says: str | None
) -> None:
    """The line of all images does not claim more than the daemon would do now."""
    world = make_world(tmp_path)
    world.pull_old("app")
    world.ledger.since = None if hours is None else world.timer.now() - timedelta(hours=hours)
    world.ledger.error = refusal
    found = check_node(world.node, POLICY, replace(TRIGGERS, mode=mode))
    (detail,) = [finding.detail for finding in found if finding.subject == "images"]
    assert detail.partition("; ")[2] == (says or "")


def test_check_says_that_the_daemon_would_not_start_without_rules() -> None:
    """What is missing is a warning with its consequence; mode observe says that it evicts nothing."""
    missing = check_rules(Mode.FULL, replace(POLICY, rules=()), ("policy.rules: (absent): write some",))
    says = "policy.rules: (absent): write some; without it `cleaner run` and `cleaner sweep` end with exit status 2"
    assert missing == Finding("configuration", Grade.WARNING, says)
    observing = check_rules(Mode.OBSERVE, POLICY, ())
    says = "mode observe (plans and reports, evicts nothing), rules: company"
    assert observing == Finding("configuration", Grade.OK, says)


@dataclass(frozen=True)
class FoundKubelet:
    """A kubelet that says what a test wants of it."""

    config: KubeletConfig

    def read(self) -> KubeletConfig:
        return self.config


@pytest.mark.parametrize(
    ("config", "grades", "says"),
    [
        (KubeletConfig("/k.yaml"), [Grade.OK], "/k.yaml: it removes images by itself above 84 % of bytes"),
        (
            KubeletConfig("/k.yaml", reason="/k.yaml is not there"),
            [Grade.NOTE],
            "not there; the kubelet's defaults are assumed",
        ),
        (
            KubeletConfig("/k.yaml", reason="/k.yaml is no YAML", broken=True),
            [Grade.WARNING],
            "no YAML; the kubelet's defaults",
        ),
        (KubeletConfig("/k.yaml", files=("/k.yaml", "/d/a.conf")), [Grade.OK], "/k.yaml, /d/a.conf: it removes"),
        (
            KubeletConfig("/k.yaml", files=("/d/a.conf",), caveat="/k.yaml is not there"),
            [Grade.NOTE],
            "/d/a.conf (/k.yaml is not there): it removes images by itself above 84 %",
        ),
        (
            KubeletConfig("/k.yaml", KubeletSettings(100, thresholds=())),
            [Grade.OK],
            "never for bytes, never for inodes;",
        ),
        (
            KubeletConfig("/k.yaml", KubeletSettings(80)),
            [Grade.OK, Grade.NOTE],
            "flags of its command line are not seen",
        ),
        (
            KubeletConfig("/k.yaml", KubeletSettings(76, maximum_age=timedelta(days=7))),
            [Grade.OK, Grade.WARNING],
            "inodesFree<5%), also images that were unused for 168 h;",
        ),
    ],
)
def test_check_says_what_the_kubelet_does_by_itself(
    tmp_path: Path, config: KubeletConfig, grades: list[Grade], says: str
) -> None:
    """From when on and by what; a collision is a finding of its own, and a warning where the kubelet acts first."""
    node = replace(make_world(tmp_path).node, kubelet=FoundKubelet(config))
    found = [finding for finding in check_node(node, POLICY, TRIGGERS) if finding.subject == "kubelet"]
    assert [finding.grade for finding in found] == grades
    assert says in found[0].detail
    assert all("pressure.bytes.high is 75" in finding.detail for finding in found[1:])
