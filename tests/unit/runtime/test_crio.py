"""What CRI-O answers otherwise: OCI artifacts, invented references, images that were built on the node."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from cleaner.core.image_users import image_users, reason_to_spare
from cleaner.core.model import KeepReason, Policy, Rule, Trigger
from cleaner.core.policy import plan
from cleaner.core.references import names_of, parse_pattern
from cleaner.runtime.client import CriRuntime
from support.crio_server import CrioServer, ServedImage, crio_image
from support.values import NOW, make_inspection

Connect = Callable[..., CriRuntime]

MANIFEST = f"sha256:{'d' * 64}"
ARTIFACT = ServedImage("a" * 64, ("quay.io/models/a:1",), (f"quay.io/models/a@{MANIFEST}",), artifact=True)
IMAGE = crio_image("b" * 64, ["quay.io/apps/b:1"], f"sha256:{'b' * 64}")
ANYTHING = Policy((Rule("all", (parse_pattern("**"),), timedelta(0), local=True),), grace=timedelta(0))


def serve(server: CrioServer, *images: ServedImage) -> None:
    server.images = {image.id: image for image in images}


def artifacts_of(runtime: CriRuntime) -> dict[str, bool]:
    return {image.id[0]: image.artifact for image in runtime.list_images()}


# ---- OCI artifacts


def test_artifact(crio: CrioServer, connect: Connect) -> None:
    """An OCI artifact is marked, in the list and by itself; that is read once, as the build time is."""
    serve(crio, ARTIFACT, IMAGE)
    runtime = connect(crio)
    for _ in range(2):
        assert artifacts_of(runtime) == {"a": True, "b": False}
    assert crio.count("ImageStatus") == 2
    artifact, image = runtime.read_image(ARTIFACT.id), runtime.read_image(IMAGE.id)
    assert artifact is not None
    assert image is not None
    assert (artifact.artifact, image.artifact) == (True, False)


def test_artifact_that_was_never_listed(crio: CrioServer, connect: Connect) -> None:
    """Reading one artifact without a list marks it too."""
    serve(crio, ARTIFACT)
    runtime = connect(crio)
    for _ in range(2):
        artifact = runtime.read_image(ARTIFACT.id)
        assert artifact is not None
        assert artifact.artifact


@pytest.mark.parametrize("info", ["", "{}", '{"imageSpec": null}', '{"imageSpec": []}'])
def test_artifact_in_doubt(crio: CrioServer, connect: Connect, info: str) -> None:
    """CRI-O has a config for each image: one without it is not removed as an image."""
    serve(crio, replace(IMAGE, info=info))
    assert artifacts_of(connect(crio)) == {"b": True}


@pytest.mark.parametrize("info", ["", "{}", '{"imageSpec": null}'])
def test_no_artifact_elsewhere(crio: CrioServer, connect: Connect, info: str) -> None:
    """Under another runtime a missing config says nothing."""
    crio.version = ("containerd", "2.1.9")
    serve(crio, ARTIFACT, replace(IMAGE, info=info))
    assert artifacts_of(connect(crio)) == {"a": False, "b": False}


def test_artifact_with_two_names(crio: CrioServer, connect: Connect) -> None:
    """An artifact is listed once for each name, and its status finds none of it then; it is not left out."""
    serve(crio, ARTIFACT)
    crio.listed_twice = [replace(ARTIFACT, tags=("quay.io/models/other:1",))]
    runtime = connect(crio)
    for _ in range(2):
        (artifact,) = runtime.list_images()
        assert (artifact.artifact, artifact.readable) == (True, True)
        assert artifact.tags == ("quay.io/models/a:1", "quay.io/models/other:1")


def test_artifact_is_forgotten(crio: CrioServer, connect: Connect) -> None:
    """What was known of an id is dropped with it."""
    runtime = connect(crio)
    for served, artifact in ((ARTIFACT, True), (None, None), (replace(IMAGE, id=ARTIFACT.id), False)):
        serve(crio, *filter(None, [served]))
        assert artifacts_of(runtime).get("a") is artifact


def test_removal_of_an_artifact(crio: CrioServer, connect: Connect) -> None:
    """By its id the removal succeeds and does nothing; by its tag it removes the artifact."""
    serve(crio, ARTIFACT)
    runtime = connect(crio)
    runtime.remove_image(ARTIFACT.id)
    assert runtime.read_image(ARTIFACT.id) is not None
    runtime.remove_image(ARTIFACT.tags[0])
    assert runtime.read_image(ARTIFACT.id) is None


def test_artifact_is_not_removed_by_the_final_check(crio: CrioServer, connect: Connect) -> None:
    """An image that turns out to be an artifact is spared."""
    serve(crio, ARTIFACT)
    present = connect(crio).read_image(ARTIFACT.id)
    assert present is not None
    planned = replace(present, artifact=False)
    assert reason_to_spare(planned, present, image_users([], [])) == "now unremovable"


# ---- References that the list invents


def with_moved_tag(server: CrioServer, tag: str) -> ServedImage:
    """An image whose only tag has moved to a newer one."""
    old = crio_image("a" * 64, [tag], MANIFEST)
    serve(server, old)
    server.move_tag(tag, crio_image("b" * 64, [tag], f"sha256:{'b' * 64}"))
    return old


def test_moved_tag(crio: CrioServer, connect: Connect) -> None:
    """The list has a digest reference of the previous name, the status has none, and the image may be evicted."""
    old = with_moved_tag(crio, "quay.io/apps/a:1")
    runtime = connect(crio)
    planned, newer = runtime.list_images()
    assert (planned.tags, planned.digests) == ((), (f"quay.io/apps/a@{MANIFEST}",))
    assert newer.tags == ("quay.io/apps/a:1",)
    present = runtime.read_image(old.id)
    assert present is not None
    assert present.references == ()
    assert reason_to_spare(planned, present, image_users([], [])) is None


@pytest.mark.parametrize(
    ("tag", "listed"),
    [
        ("registry.corp:5000/apps/a:1", f"registry.corp:?@{MANIFEST}"),
        ("localhost:5000/a:1", f"localhost:?@{MANIFEST}"),
        ("[::1]:5000/a:1", f"[:?@{MANIFEST}"),
    ],
)
def test_cut_name(crio: CrioServer, connect: Connect, tag: str, listed: str) -> None:
    """A name that CRI-O cut at the registry's port is no reference: no rule matches it, not even `**`."""
    with_moved_tag(crio, tag)
    cut, _ = connect(crio).list_images()
    assert cut.references == (listed,)
    assert names_of(cut.references) is None
    assert not cut.local
    (verdict,) = plan(make_inspection(cut), ANYTHING, Trigger.MANUAL, NOW).kept
    assert verdict.reason is KeepReason.UNMATCHED


def test_cut_name_in_use(crio: CrioServer, connect: Connect) -> None:
    """A container that knows an image by its digest uses it under the cut name too."""
    with_moved_tag(crio, "registry.corp:5000/apps/a:1")
    cut, _ = connect(crio).list_images()
    container = [*make_inspection(used=[f"registry.corp:5000/apps/a@{MANIFEST}"]).containers]
    assert image_users(container, []).reason_to_keep(cut) is KeepReason.IN_USE


def test_short_names_elsewhere(crio: CrioServer, connect: Connect) -> None:
    """Other runtimes list short names, which are whole."""
    crio.version = ("docker", "27.1.1")
    serve(crio, ServedImage("a", ("nginx:1",), (f"nginx@{MANIFEST}",)))
    (image,) = connect(crio).list_images()
    assert image.references == ("nginx:1", f"nginx@{MANIFEST}")


# ---- Images that were built on the node


@pytest.mark.parametrize(
    ("names", "local"),
    [
        (["localhost/built:v1"], True),
        (["quay.io/apps/a:1", "localhost/built:v1"], True),
        (["LOCALHOST/built:v1"], True),
        (["quay.io/apps/a:1"], False),
        (["localhost:5000/apps/a:1"], False),
        (["quay.io/localhost/a:1"], False),
    ],
)
def test_local(crio: CrioServer, connect: Connect, names: list[str], local: bool) -> None:
    """Any reference in `localhost/` makes an image local, though it has digest references there."""
    serve(crio, crio_image("a", names, MANIFEST))
    runtime = connect(crio)
    (listed,) = runtime.list_images()
    assert listed.digests
    assert (listed, runtime.read_image("a")) == (listed, listed)
    assert listed.local is local
    assert runtime.list_images() == (listed,)


def test_local_by_its_previous_name(crio: CrioServer, connect: Connect) -> None:
    """What was built anew under the same tag leaves a local image."""
    with_moved_tag(crio, "localhost/built:v1")
    assert [image.local for image in connect(crio).list_images()] == [True, True]


def test_localhost_elsewhere(crio: CrioServer, connect: Connect) -> None:
    """Under another runtime the name alone says nothing."""
    crio.version = ("docker", "27.1.1")
    serve(crio, crio_image("a", ["localhost/built:v1"], MANIFEST))
    assert not connect(crio).list_images()[0].local


# ---- Which runtime it is


def test_runtime_is_asked_once(crio: CrioServer, connect: Connect) -> None:
    """The runtime's name is read once, and not again where it was read before."""
    serve(crio, IMAGE)
    runtime = connect(crio)
    for _ in range(2):
        runtime.list_images()
        runtime.read_image(IMAGE.id)
    assert crio.count("Version") == 1
    known = connect(crio)
    known.read_version()
    known.list_images()
    assert crio.count("Version") == 2
