"""Evidence of a pull: an image is local unless labels in the content store show each of its repositories."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

import grpc
import pytest

from cleaner.runtime.client import CriRuntime
from support.containerd_services import Blob
from support.crio_server import CrioServer, Record, ServedImage

Code = grpc.StatusCode
Connect = Callable[..., CriRuntime]

NOON = datetime(2026, 6, 15, 12, tzinfo=UTC)
SOURCE = "containerd.io/distribution.source."
HEX = "a1" * 32
ID = "sha256:" + "c1" * 32
TARGET = f"sha256:{HEX}"
TAG = "registry.example/team/app:1"
DIGEST = f"registry.example/team/app@{TARGET}"
PULLED = {f"{SOURCE}registry.example": "team/app"}


def serve(
    server: CrioServer,
    target: Mapping[str, str] | None,
    config: Mapping[str, str] | None = None,
    references: tuple[str, ...] = (TAG, DIGEST),
    hours: int = 0,
) -> None:
    """One image with these labels on its blobs; None: the blob is not there."""
    tags, digests = (tuple(r for r in references if ("@" in r) == with_at) for with_at in (False, True))
    server.images = {ID: ServedImage(ID, tags, digests)}
    time = NOON + timedelta(hours=hours)
    server.records = {name: Record(name, TARGET, time, time) for name in (ID, *references)}
    labels = {TARGET: target, ID: config}
    server.namespaces["k8s.io"].blobs = [
        Blob(name, labels=found) for name, found in labels.items() if found is not None
    ]


def is_local(runtime: CriRuntime) -> bool:
    """As it is listed, and as the final check finds it."""
    (image,) = runtime.list_images()
    assert runtime.read_image(ID) == image
    return image.local


def test_pulled(containerd: CrioServer, connect: Connect) -> None:
    """A label of its own repository on the manifest or index is evidence, and the config is not asked about."""
    serve(containerd, PULLED)
    assert not is_local(connect(containerd))
    assert [call.about for call in containerd.calls if call.method == "Content.Info"] == [TARGET]


def test_imported(containerd: CrioServer, connect: Connect) -> None:
    """An import leaves no label: a digest reference alone is no evidence."""
    serve(containerd, {}, {"containerd.io/gc.ref.snapshot.overlayfs": "sha256:top"})
    assert is_local(connect(containerd))


@pytest.mark.parametrize(
    ("target", "config", "local"),
    [
        ({}, PULLED, False),
        ({}, None, True),
        (None, PULLED, True),
        (None, None, True),
        ({f"{SOURCE}registry.example": "team/other"}, PULLED, True),
        ({f"{SOURCE}elsewhere.example": "team/app"}, PULLED, True),
        (PULLED, {f"{SOURCE}elsewhere.example": "team/app"}, False),
    ],
)
def test_config_in_its_place(
    containerd: CrioServer,
    connect: Connect,
    target: Mapping[str, str] | None,
    config: Mapping[str, str] | None,
    local: bool,
) -> None:
    """The config counts where the target is there and has no such label at all, and only there."""
    serve(containerd, target, config)
    assert is_local(connect(containerd)) is local


@pytest.mark.parametrize(
    ("reference", "label", "repositories"),
    [
        ("localhost:5188/team/app:1", "localhost", "team/app"),
        ("localhost:5188/team/app:1", "localhost:5188", "team/app"),
        ("10.0.0.1:5000/app:1", "10.0.0.1", "app"),
        ("[::1]:5000/app:1", "::1", "app"),
        ("[::1]:5000/app:1", "[::1]:5000", "app"),
        ("docker.io/library/nginx:1", "docker.io", "library/nginx"),
        ("docker.io/acme/app:1", "docker.io", "other/app,acme/app"),
        ("Registry.Example/app:1", "Registry.Example", "app"),
        ("registry.example/app:1", "registry.example", "x,app,y"),
    ],
)
def test_names_of_registries(
    containerd: CrioServer, connect: Connect, reference: str, label: str, repositories: str
) -> None:
    """The label names the registry with or without its port, and all repositories that were pulled from."""
    serve(containerd, {SOURCE + label: repositories}, references=(reference,))
    assert not is_local(connect(containerd))


@pytest.mark.parametrize(
    ("reference", "label", "repositories"),
    [
        ("registry.example:5000/app:1", "registry.example:6000", "app"),
        ("registry.example/app:1", "registry.example:5000", "app"),
        ("registry.example/team/app:1", "registry.example", "app"),
        ("registry.example/app:1", "registry.example", "team/app"),
        ("registry.example/app:1", "registry.example", ""),
        ("registry.example/app:1", "", "app"),
        ("docker.io/library/nginx:1", "docker.io", "nginx"),
        ("registry.example/App:1", "registry.example", "App"),
    ],
)
def test_another_repository(
    containerd: CrioServer, connect: Connect, reference: str, label: str, repositories: str
) -> None:
    """A label of another registry, port or repository is no evidence, nor is any for what is no reference."""
    serve(containerd, {SOURCE + label: repositories}, references=(reference,))
    assert is_local(connect(containerd))


@pytest.mark.parametrize("other", ["registry.example/other/app:1", "elsewhere.example/team/app:1", f"odd@{TARGET}"])
def test_every_reference(containerd: CrioServer, connect: Connect, other: str) -> None:
    """One reference without evidence, such as another tag that was given here, makes the image local."""
    serve(containerd, PULLED, references=(TAG, DIGEST, other))
    assert is_local(connect(containerd))


def test_two_registries(containerd: CrioServer, connect: Connect) -> None:
    """What was pulled from two registries has a label of each."""
    other = f"elsewhere.example/app@{TARGET}"
    serve(containerd, PULLED | {f"{SOURCE}elsewhere.example": "app"}, references=(TAG, DIGEST, other))
    assert not is_local(connect(containerd))


def test_each_reference_by_its_own_target(containerd: CrioServer, connect: Connect) -> None:
    """Of an image with two manifests, each reference needs the label on the manifest of its record."""
    other = "elsewhere.example/app:1"
    serve(containerd, PULLED | {f"{SOURCE}elsewhere.example": "app"}, references=(TAG, other))
    containerd.records[other] = Record(other, "sha256:m2")  # type: ignore[index]
    containerd.namespaces["k8s.io"].blobs.append(Blob("sha256:m2", labels=PULLED))
    runtime = connect(containerd)
    assert is_local(runtime)
    containerd.namespaces["k8s.io"].blobs[-1] = Blob("sha256:m2", labels={f"{SOURCE}elsewhere.example": "app"})
    containerd.records[other] = Record(other, "sha256:m2", NOON + timedelta(hours=1))  # type: ignore[index]
    assert not is_local(runtime)


def test_without_references(containerd: CrioServer, connect: Connect) -> None:
    """An image without a reference has no evidence."""
    serve(containerd, PULLED, references=())
    assert is_local(connect(containerd))


def test_without_its_record(containerd: CrioServer, connect: Connect) -> None:
    """A reference that no record has, as CRI lists it for a while after a record was removed past it, has none."""
    serve(containerd, PULLED, PULLED)
    del containerd.records[DIGEST]  # type: ignore[union-attr]
    assert is_local(connect(containerd))


def test_a_renamed_record(containerd: CrioServer, connect: Connect) -> None:
    """The record of a reference is found by the name that CRI has for it."""
    serve(containerd, {f"{SOURCE}docker.io": "library/app"}, references=("docker.io/library/app:1",))
    containerd.records["app:1"] = Record("app:1", TARGET, NOON, NOON)  # type: ignore[index]
    del containerd.records["docker.io/library/app:1"]  # type: ignore[union-attr]
    assert not is_local(connect(containerd))


def test_read_once(containerd: CrioServer, connect: Connect) -> None:
    """An answer is kept, whichever it is, for as long as the records stay as they are."""
    for labels in (PULLED, {}):
        serve(containerd, labels, labels)
        runtime = connect(containerd)
        answer = is_local(runtime)
        containerd.calls.clear()
        assert is_local(runtime) is answer
        assert containerd.count("Content.Info") == 0


def test_pulled_after_an_import(containerd: CrioServer, connect: Connect) -> None:
    """A pull of an imported image writes labels and records, and is seen."""
    serve(containerd, {}, {})
    runtime = connect(containerd)
    assert is_local(runtime)
    serve(containerd, PULLED, PULLED, hours=1)
    assert not is_local(runtime)


def test_imported_after_a_removal(containerd: CrioServer, connect: Connect) -> None:
    """What was known of an image that was removed does not count for one that was imported since."""
    serve(containerd, PULLED, PULLED)
    runtime = connect(containerd)
    assert not is_local(runtime)
    containerd.images, containerd.records = {}, {}
    runtime.list_images()
    serve(containerd, {}, {})
    assert is_local(runtime)


def test_another_tag_later(containerd: CrioServer, connect: Connect) -> None:
    """Another tag is seen by the list and by the final check, though it changes no time."""
    serve(containerd, PULLED)
    runtime = connect(containerd)
    runtime.list_images()
    serve(containerd, PULLED, references=(TAG, DIGEST, "registry.example/other:1"))
    assert runtime.read_image(ID).local  # type: ignore[union-attr]
    assert is_local(runtime)


@pytest.mark.parametrize(
    ("code", "details"),
    [
        (Code.INTERNAL, "broken"),
        (Code.DEADLINE_EXCEEDED, "late"),
        (Code.UNAVAILABLE, "away"),
        (Code.UNIMPLEMENTED, "unknown service containerd.services.content.v1.Content"),
    ],
)
def test_unreadable_store(containerd: CrioServer, connect: Connect, code: grpc.StatusCode, details: str) -> None:
    """A content store that cannot be read is no evidence, ends no list, and is asked again."""
    serve(containerd, PULLED)
    containerd.fail("Content.Info", code, details)
    runtime = connect(containerd)
    assert is_local(runtime)
    containerd.heal()
    runtime._calls.outages += 1  # A missing API is asked for again only once the runtime was away.
    assert not is_local(runtime)


def test_unreadable_blob(containerd: CrioServer, connect: Connect) -> None:
    """A blob that cannot be read leaves the others of 200 images alone."""
    serve(containerd, PULLED)
    many = [f"sha256:{number:064}" for number in range(200)]
    containerd.images = {i: ServedImage(i, (f"registry.example/team/app:{i[-3:]}",)) for i in many}
    containerd.records = {name: Record(name, i) for i in many for name in (i, f"registry.example/team/app:{i[-3:]}")}
    containerd.namespaces["k8s.io"].blobs = [Blob(i, labels=PULLED) for i in many]
    containerd.fail("Content.Info", Code.INTERNAL, about=many[70])
    assert [image.id for image in connect(containerd).list_images() if image.local] == [many[70]]


def test_late_store(containerd: CrioServer, connect: Connect) -> None:
    """A content store that is late three times is not waited for any longer; one late blob leaves most others alone."""
    many = [f"sha256:{number:064}" for number in range(300)]
    containerd.images = {i: ServedImage(i, (f"registry.example/team/app:{i[-3:]}",)) for i in many}
    containerd.records = {name: Record(name, i) for i in many for name in (i, f"registry.example/team/app:{i[-3:]}")}
    containerd.namespaces["k8s.io"].blobs = [Blob(i, labels=PULLED) for i in many]
    containerd.fail("Content.Info", Code.DEADLINE_EXCEEDED, about=many[0])
    runtime = connect(containerd)
    assert [image.id for image in runtime.list_images() if image.local] == many[:64]
    for late in (many[64], many[128]):
        containerd.fail("Content.Info", Code.DEADLINE_EXCEEDED, about=late)
    assert [image.id for image in connect(containerd).list_images() if image.local] == many


def test_answer_about_another_blob(containerd: CrioServer, connect: Connect) -> None:
    """Labels of another blob are no evidence."""
    serve(containerd, PULLED)
    containerd.namespaces["k8s.io"].mistaken[TARGET] = "sha256:other"
    assert is_local(connect(containerd))


def test_no_api(crio: CrioServer, connect: Connect) -> None:
    """A runtime without containerd's API offers no evidence, so that nothing is known to be local."""
    crio.images = {ID: ServedImage(ID, (TAG,), (DIGEST,))}
    assert not is_local(connect(crio))
