"""The manifests: what a cluster gets that applies them as they are."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from cleaner.config import load_config
from cleaner.core.model import Mode
from cleaner.runtime.methods import DEADLINES, Span

MANIFESTS = Path(__file__).parents[2] / "manifests"


def read(name: str) -> Any:
    return YAML(typ="safe", pure=True).load(MANIFESTS / name)


@pytest.fixture(scope="module")
def pod() -> Any:
    return read("daemonset.yaml")["spec"]["template"]["spec"]


@pytest.fixture(scope="module")
def container(pod: Any) -> Any:
    (container,) = pod["containers"]
    return container


def test_the_shipped_configuration_is_the_articles_in_mode_observe() -> None:
    """Both registries, 30 days, midnight; and nothing is evicted before somebody says so."""
    config = load_config(MANIFESTS / "cleaner.yaml", {}, rules_required=True)
    assert config.mode is Mode.OBSERVE
    assert {pattern.text for rule in config.policy.rules for pattern in rule.match} == {
        "registry.gitlab.com/golem-ai/**",
        "rg.fr-par.scw.cloud/**",
    }
    assert {rule.max_age for rule in config.policy.rules} == {timedelta(days=30)}
    assert config.nightly.schedule == "0 0 * * *"


def test_every_listed_file_is_there() -> None:
    """The kustomization names files of this folder only."""
    kustomization = read("kustomization.yaml")
    files = kustomization["resources"] + kustomization["configMapGenerator"][0]["files"]
    assert all((MANIFESTS / file).is_file() for file in files)


def test_directories_are_mounted_at_their_own_paths(pod: Any, container: Any) -> None:
    """The socket's directory, not the socket; containerd's root read-only where it is on the host."""
    host = {v["name"]: v["hostPath"] for v in pod["volumes"] if "hostPath" in v}
    mounts = {m["name"]: m for m in container["volumeMounts"]}
    assert {path["path"] for path in host.values()} == {"/run/containerd", "/var/lib/containerd"}
    for name, path in host.items():
        assert path["type"] == "Directory"
        assert mounts[name]["mountPath"] == path["path"]
        assert mounts[name]["readOnly"] is True
        assert mounts[name]["mountPropagation"] == "HostToContainer"


def test_the_pod_has_nothing_that_it_does_not_need(pod: Any, container: Any) -> None:
    """Root for the socket, and no capability, privilege, host namespace or token."""
    context = container["securityContext"]
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert (context["privileged"], context["allowPrivilegeEscalation"]) == (False, False)
    assert context["readOnlyRootFilesystem"] is True
    assert pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
    assert pod["automountServiceAccountToken"] is False
    assert not {"hostPID", "hostNetwork", "hostIPC"} & set(pod)


def test_the_pod_outlives_disk_pressure_and_a_removal(pod: Any, container: Any) -> None:
    """Node-critical, tolerated everywhere, with more time to end than one removal may take."""
    assert pod["priorityClassName"] == "system-node-critical"
    assert pod["tolerations"] == [{"operator": "Exists"}]
    assert pod["terminationGracePeriodSeconds"] == 150 > DEADLINES[Span.REMOVAL].total_seconds()
    assert [variable["name"] for variable in container["env"]] == ["NODE_NAME"]
    assert container["livenessProbe"]["httpGet"]["path"] == "/livez"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
