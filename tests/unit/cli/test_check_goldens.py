"""`check` on nodes as distributions have them, the whole command: its output equals the golden files."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from contract import MIB
from support.check_nodes import (
    GIB,
    CheckedNode,
    crio_images,
    crio_node,
    eks_node,
    k3s_node,
    plain_node,
    rke2_node,
)
from support.golden import assert_golden
from support.lab_documents import CHECK, deviations

GOLDEN = Path(__file__).parents[1] / "golden"
KUBELET = 'kubelet: {config: "{root}/var/lib/kubelet/config.yaml"}\n'
COMPANY = '- {name: company, match: ["registry.example.com/**"], max_age: 30d}'


def rules(*lines: str, protect: str = "[]") -> str:
    return f"policy:\n  protect: {protect}\n  rules:\n" + "".join(f"    {line}\n" for line in lines)


NOTHING = rules(
    '- {name: typo, match: ["registry.exmaple.com/**"], max_age: 30d}',
    '- {name: ci, match: ["registry.example.com/**:ci-*"], max_age: 3d}',
    '- {name: team, match: ["registry.example.com/warehouse/**"], max_age: 30d}',
    '- {name: company, match: ["registry.example.com/**", "docker.io/example/**"], max_age: 30d}',
    '- {name: shop, match: ["registry.example.com/shop/**"], max_age: 7d}',
    protect='["registry.example.com/base:*"]',
)
K3S = "kubelet: {config: null, config_dir: '{root}/var/lib/rancher/k3s/agent/etc/kubelet.conf.d'}\n"
RKE2 = "kubelet: {config: null, config_dir: '{root}/var/lib/rancher/rke2/agent/etc/kubelet.conf.d'}\n"
EKS = "kubelet: {config: '{root}/etc/kubernetes/kubelet/config.json', "
EKS += "config_dir: '{root}/etc/kubernetes/kubelet/config.json.d'}\n"
ECR = "111122223333.dkr.ecr.eu-west-1.amazonaws.com"


@pytest.fixture
def show(folder: Path, capsys: pytest.CaptureFixture[str]) -> Callable[[CheckedNode, str], str]:
    """Check a node, which is status 0; gives what is printed, paths as on a real node."""

    def show_(node: CheckedNode, config: str) -> str:
        assert node.check(config) == 0
        return capsys.readouterr().out.replace(str(folder), "")

    return show_


Show = Callable[[CheckedNode, str], str]


@pytest.mark.parametrize(
    ("name", "make", "config"),
    [
        ("no-rules", plain_node, "mode: observe\n" + KUBELET),
        ("rule-matches-nothing", plain_node, NOTHING + KUBELET),
        (
            "k3s",
            k3s_node,
            rules(COMPANY, '- {name: rancher, match: ["docker.io/rancher/**"], max_age: 90d}') + K3S,
        ),
        ("rke2", rke2_node, rules(COMPANY.replace("30d", "30d, keep_newest: 2")) + RKE2),
        ("eks", eks_node, rules(f'- {{name: own, match: ["{ECR}/**"], max_age: 30d}}') + EKS),
    ],
    ids=["no-rules", "rule-matches-nothing", "k3s", "rke2", "eks"],
)
def test_check_on_a_node(
    name: str, make: Callable[[Path], AbstractContextManager[CheckedNode]], config: str, folder: Path, show: Show
) -> None:
    """Each distribution, and each mistake in the rules."""
    with make(folder) as node:
        assert_golden(GOLDEN / f"check-{name}.txt", show(node, config))


def test_check_on_crio(folder: Path, show: Show) -> None:
    """CRI-O tells sizes only: what images free is bounded by them, and ages count from what the ledger knows."""
    with crio_node(folder, *crio_images()) as node:
        node.watch(days=40)
        config = rules(COMPANY, '- {name: built-here, match: ["localhost/**"], max_age: 30d}') + KUBELET
        assert_golden(GOLDEN / "check-crio.txt", show(node, config))


def test_check_on_a_disk_full_of_non_image_data(folder: Path, show: Show) -> None:
    """No eviction brings it to its low watermark: a warning that says who holds the space."""
    with plain_node(folder) as node:
        node.watch(days=40)
        node.server.storage.write("logs", 72 * GIB)
        assert_golden(GOLDEN / "check-non-image-data.txt", show(node, rules(COMPANY) + KUBELET))


def test_the_json_has_the_same_as_values(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each rule's line has its counts and bytes beside it; other findings have none. Warnings leave the status 0."""
    with plain_node(folder) as node:
        status = node.check(NOTHING + KUBELET, output="json")
    document = json.loads(capsys.readouterr().out)
    rules = {found["rule"]["name"]: found["rule"] for found in document["findings"] if found["rule"]}
    assert (status, deviations(document, CHECK)) == (0, [])
    assert list(rules) == ["typo", "ci", "team", "company", "shop"]
    assert [rule["matched"] for rule in rules.values()] == [0, 0, 0, 3, 0]
    assert rules["company"] == {
        "name": "company",
        "matched": 3,
        "matched_in_part": 0,
        "in_use": 1,
        "evictable_nightly": 2,
        "evictable_pressure": 2,
        "estimated_bytes_nightly": rules["company"]["estimated_bytes_pressure"],
        "estimated_bytes_pressure": rules["company"]["estimated_bytes_nightly"],
        "kept_nightly": {},
        "kept_pressure": {},
    }
    assert rules["company"]["estimated_bytes_nightly"] >= 2 * 500 * MIB


def test_bytes_that_cannot_be_known_are_null(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """CRI-O does not tell what images share; where nothing may be evicted, 0 bytes are known."""
    with crio_node(folder, *crio_images()) as node:
        node.watch(days=40)
        node.check(rules(COMPANY, '- {name: none, match: ["docker.io/**"], max_age: 30d}') + KUBELET, output="json")
    found = [finding["rule"] for finding in json.loads(capsys.readouterr().out)["findings"] if finding["rule"]]
    assert [(rule["evictable_pressure"], rule["estimated_bytes_pressure"]) for rule in found] == [(2, None), (0, 0)]
