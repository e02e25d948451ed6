"""The manifests: what a cluster gets that applies them as they are."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from cleaner.config.settings import load_config
from cleaner.core.model import Mode
from cleaner.runtime.rpc.methods import DEADLINES, Span

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


def hosts(pod: Any) -> dict[str, Any]:
    """Directories of the node by the name of their volume."""
    return {volume["name"]: volume["hostPath"] for volume in pod["volumes"] if "hostPath" in volume}


def mounts(container: Any) -> dict[str, Any]:
    return {mount["name"]: mount for mount in container["volumeMounts"]}


def test_directories_are_mounted_at_their_own_paths(pod: Any, container: Any) -> None:
    """The socket's directory, not the socket; containerd's root read-only where it is on the host."""
    read_only = {name: path for name, path in hosts(pod).items() if name != "state"}
    assert {path["path"] for path in read_only.values()} == {"/run/containerd", "/var/lib/containerd"}
    for name, path in read_only.items():
        assert path["type"] == "Directory"
        assert mounts(container)[name]["mountPath"] == path["path"]
        assert mounts(container)[name]["readOnly"] is True
        assert mounts(container)[name]["mountPropagation"] == "HostToContainer"


def test_memory_outlives_the_pod(pod: Any, container: Any) -> None:
    """The ledger's directory is the node's, made where it is missing, at the path where the shipped file has it."""
    assert hosts(pod)["state"] == {"path": "/var/lib/cleaner", "type": "DirectoryOrCreate"}
    assert mounts(container)["state"] == {"name": "state", "mountPath": "/var/lib/cleaner"}
    config = load_config(MANIFESTS / "cleaner.yaml", {}, rules_required=True)
    assert str(Path(config.state.path).parent) == mounts(container)["state"]["mountPath"]


def test_nothing_but_the_state_directory_can_be_written(container: Any) -> None:
    """Every other mount is read-only, and so is the root filesystem."""
    writable = {name for name, mount in mounts(container).items() if not mount.get("readOnly", False)}
    assert writable == {"state"}
    assert container["securityContext"]["readOnlyRootFilesystem"] is True


def test_two_agents_never_share_a_node() -> None:
    """A new pod begins once the old one has released the state directory's lock."""
    strategy = read("daemonset.yaml")["spec"]["updateStrategy"]["rollingUpdate"]
    assert strategy["maxSurge"] == 0
    assert strategy["maxUnavailable"] != 0


def test_the_pod_has_nothing_that_it_does_not_need(pod: Any, container: Any) -> None:
    """Root for the socket and the state directory, and no capability, privilege, host namespace or token."""
    context = container["securityContext"]
    assert (context["runAsUser"], context["runAsGroup"]) == (0, 0)
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


def test_probes_ask_the_served_port(container: Any) -> None:
    """Of the loop, whether it is live, and of the runtime, whether the pod is ready, at the default port."""
    assert container["livenessProbe"]["httpGet"] == {"path": "/livez", "port": "metrics"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "metrics"}
    (port,) = container["ports"]
    listen = load_config(MANIFESTS / "cleaner.yaml", {}, rules_required=True).web
    assert (port["name"], port["containerPort"]) == ("metrics", listen.port)
    assert listen.host == "", "an address of one family is refused to the probes of the other"


def test_a_starting_pod_is_asked_each_second(container: Any) -> None:
    """Until the port is served, and for a minute at most; never whether the runtime answers, which may take longer."""
    startup = container["startupProbe"]
    assert startup["httpGet"] == container["livenessProbe"]["httpGet"]
    assert startup["periodSeconds"] == 1 < container["readinessProbe"]["periodSeconds"]
    assert startup["periodSeconds"] * startup["failureThreshold"] == 60
    # A delay of any probe would be counted from the start, and only make a pod ready later.
    assert not [name for name in container if name.endswith("Probe") and "initialDelaySeconds" in container[name]]


def test_commands_are_found_in_the_pod() -> None:
    """`kubectl exec POD -- cleaner history` needs no path; the image is root's, and has no volume of its own."""
    lines = (MANIFESTS.parent / "Dockerfile").read_text().splitlines()
    (environment,) = (line for line in lines if line.startswith("ENV "))
    (entrypoint,) = (line for line in lines if line.startswith("ENTRYPOINT "))
    assert "PATH=/opt/cleaner/bin:${PATH}" in environment.split()
    assert entrypoint == 'ENTRYPOINT ["/opt/cleaner/bin/cleaner"]'
    assert "USER 0:0" in lines
    assert not [line for line in lines if line.startswith("VOLUME")]


@pytest.mark.parametrize(
    ("name", "config", "folder"),
    [
        ("eks", "/etc/kubernetes/kubelet/config.json", "/etc/kubernetes/kubelet/config.json.d"),
        ("rke2", None, "/var/lib/rancher/rke2/agent/etc/kubelet.conf.d"),
        ("k3s", None, "/var/lib/rancher/k3s/agent/etc/kubelet.conf.d"),
    ],
)
def test_other_distributions_have_a_component(container: Any, name: str, config: str | None, folder: str) -> None:
    """It mounts what the keys in its comment, and in the documentation, name: a file, a folder, both read-only."""
    text = (MANIFESTS / "kubelet-config" / name / "kustomization.yaml").read_text()
    (patch,) = read(f"kubelet-config/{name}/kustomization.yaml")["patches"]
    spec = read(f"kubelet-config/{name}/{patch['path']}")["spec"]["template"]["spec"]
    expected = {"kubelet-drop-ins": {"path": folder, "type": "Directory"}}
    expected |= {"kubelet-config": {"path": config, "type": "File"}} if config else {}
    assert hosts(spec) == expected
    (patched,) = spec["containers"]
    assert patched["name"] == container["name"]
    assert {mount: (at["mountPath"], at["readOnly"]) for mount, at in mounts(patched).items()} == {
        mount: (host["path"], True) for mount, host in expected.items()
    }
    assert f"#     config: {config or 'null'}\n#     config_dir: {folder}\n" in text
    row = f"| `{config or 'null'}` | `{folder}` | `kubelet-config/{name}` |"
    assert row in (MANIFESTS.parent / "docs" / "configuration.md").read_text()


def test_the_kubelets_file_is_mounted_only_on_request(container: Any) -> None:
    """As a component: the file alone, read-only, at the path of the shipped configuration, and never made."""
    component = read("kubelet-config/kustomization.yaml")
    (patch,) = component["patches"]
    assert component["kind"] == "Component"
    added = read(f"kubelet-config/{patch['path']}")
    assert added["metadata"]["name"] == read("daemonset.yaml")["metadata"]["name"]
    spec = added["spec"]["template"]["spec"]
    assert [extra["name"] for extra in spec["containers"]] == [container["name"]]
    config = load_config(MANIFESTS / "cleaner.yaml", {}, rules_required=True).kubelet.config
    assert hosts(spec) == {"kubelet-config": {"path": config, "type": "File"}}
    mount = {"name": "kubelet-config", "mountPath": config, "readOnly": True}
    assert mounts(spec["containers"][0]) == {"kubelet-config": mount}
    assert "kubelet-config" not in mounts(container)
