"""The node behind a faulty runtime: what the contract does not ask of it."""

from pathlib import Path

import pytest

from contract import KIB, MIB, Build
from lab.cri import Cri
from lab.errors import LabError
from lab.pb import lab_cri_pb2 as lab_pb
from support.faulty_runtime import (
    CONTAINERD_1_6,
    CONTAINERD_1_7,
    CONTAINERD_2,
    FaultyBench,
    MissingError,
    NoSpaceError,
    Version,
    faulty_bench,
)
from support.faulty_runtime.store import source_labels

APP = Build("shop/app")


def test_pods_over_cri(bench: FaultyBench) -> None:
    """The lab's own client pulls an image and runs a pod here."""
    bench.publish(APP)
    cri = Cri(bench.server.socket)
    try:
        image_id = cri.pull(APP.reference())
        config = lab_pb.PodSandboxConfig(metadata=lab_pb.PodSandboxMetadata(name="pod"))
        sandbox_id = cri.run_sandbox(config)
        assert cri.list_sandboxes() == [sandbox_id]
        volume = lab_pb.Mount(container_path="/data", image=lab_pb.ImageSpec(image=bench.pause_reference))
        container = lab_pb.ContainerConfig(image=lab_pb.ImageSpec(image=APP.reference()), mounts=[volume])
        request = lab_pb.CreateContainerRequest(pod_sandbox_id=sandbox_id, config=container)
        container_id = cri.create_container(request)
        cri.start_container(container_id)
        (listed,) = bench.runtime.list_containers()
        names = {APP.reference(), image_id, bench.pause_reference}
        assert (listed.id, listed.image_names) == (container_id, frozenset(names))
        cri.stop_container(container_id)
        assert [one.id for one in bench.runtime.list_containers()] == [container_id]
        cri.remove_container(container_id)
        assert bench.runtime.list_containers() == ()
        cri.remove_sandbox(sandbox_id)
        assert cri.list_sandboxes() == []
        with pytest.raises(LabError, match="NOT_FOUND"):
            cri.create_container(request)
        with pytest.raises(LabError, match="NOT_FOUND"):
            cri.pull("registry.example.com/shop/unknown:v1")
    finally:
        cri.close()


def test_an_image_that_is_gone_starts_no_pod(bench: FaultyBench) -> None:
    """A pod cannot start by a name that no record has."""
    with pytest.raises(MissingError):
        bench.start(APP.reference())
    assert bench.server.node.sandboxes == {}


def test_a_full_disk_leaves_no_image(bench: FaultyBench) -> None:
    """A pull that does not fit fails, and what it wrote is collected."""
    before = bench.disk.read_usage()
    build = Build("shop/huge", layers=(("small", MIB), ("huge", 2000 * MIB)))
    bench.publish(build)
    with pytest.raises(NoSpaceError):
        bench.pull(build.reference())
    assert bench.disk.read_usage() == before
    assert not [image for image in bench.runtime.list_images() if build.reference() in image.references]
    assert bench.server.node.store.own.leases == []
    assert bench.server.node.store.own.ingests == []


def test_a_record_under_another_name_stays(bench: FaultyBench) -> None:
    """RemoveImage leaves a record whose name CRI shows otherwise: the image stays, without its tag."""
    bench.publish(APP)
    image_id = bench.pull(APP.reference())
    bench.tag(APP.reference(), "app:v1")
    bench.runtime.remove_image(image_id)
    (image,) = [image for image in bench.runtime.list_images() if image.id == image_id]
    assert image.references == ("docker.io/library/app:v1",)
    assert bench.server.node.store.names_of(image_id) == ["app:v1"]
    with pytest.raises(MissingError):
        bench.start(APP.reference())


def test_an_import_with_digest_references(bench: FaultyBench) -> None:
    """`ctr images import --digests` without a name: CRI shows a reference that no record has."""
    digest = f"sha256:{'a' * 64}"
    image_id = bench.server.node.load(APP, f"import-2026-01-31@{digest}")
    (image,) = [image for image in bench.runtime.list_images() if image.id == image_id]
    assert image.digests == (f"docker.io/library/import-2026-01-31@{digest}",)


def test_a_container_outside_cri(bench: FaultyBench) -> None:
    """CRI does not list it; it names its image by the tag, and keeps the layers that it runs from."""
    old = Build("shop/app", layers=(("old", 4 * MIB),))
    bench.publish(old)
    bench.pull(old.reference())
    container_id = bench.server.node.create_outside_cri(old.reference())
    assert bench.server.node.containers == {}
    assert container_id in {one.id for one in bench.runtime.list_containers()}
    (own,) = bench.server.node.store.own.containers
    assert (own.image, own.snapshot) == (old.reference(), container_id)
    bench.publish(Build("shop/app", layers=(("new", KIB),)))
    bench.pull(old.reference())
    old_id = next(image.id for image in bench.runtime.list_images() if not image.tags)
    bench.runtime.remove_image(old_id)
    free = bench.disk.read_usage().available_bytes
    bench.server.node.remove_outside_cri(container_id)
    assert bench.disk.read_usage().available_bytes - free >= 4 * MIB


@pytest.mark.parametrize(
    ("reference", "known", "labels"),
    [
        ("registry.example.com/shop/app:v1", {}, {"registry.example.com": "shop/app"}),
        ("localhost:5000/app:v1", {}, {"localhost": "app"}),
        ("nginx", {}, {"docker.io": "library/nginx"}),
        ("docker.io/b:v1", {"docker.io": "library/a"}, {"docker.io": "library/a,library/b"}),
    ],
)
def test_source_labels(reference: str, known: dict[str, str], labels: dict[str, str]) -> None:
    """A pull labels content with the registry, without its port, and adds to a list of repositories."""
    prefix = "containerd.io/distribution.source."
    found = source_labels(reference, {prefix + name: value for name, value in known.items()})
    assert found == {prefix + name: value for name, value in labels.items()}


def test_a_pull_labels_all_content_and_an_import_none(bench: FaultyBench) -> None:
    """Manifest, config and layers of a pulled image have a source."""
    bench.publish(APP)
    bench.pull(APP.reference())
    loaded = bench.load(Build("shop/local"), "localhost/shop/local:v1")
    by_digest = {blob.digest: blob.labels for blob in bench.server.node.store.own.blobs}
    artifact = bench.server.node.find(APP.reference())
    for digest in (artifact.digest, artifact.image_id, *(layer.digest for layer in artifact.layers)):
        assert by_digest[digest]["containerd.io/distribution.source.registry.example.com"] == "shop/app"
    assert not [label for label in by_digest[loaded] if "distribution.source" in label]


@pytest.mark.parametrize(("version", "pinned"), [(CONTAINERD_1_6, False), (CONTAINERD_1_7, True), (CONTAINERD_2, True)])
def test_the_sandbox_image_is_pinned(folder: Path, version: Version, pinned: bool) -> None:
    """1.6.20 pins nothing."""
    with faulty_bench(folder, version) as bench:
        found = {image.pinned for image in bench.runtime.list_images() if bench.pause_reference in image.tags}
        assert found == {pinned}
        assert bench.runtime.read_version().version == version.number
