"""What records tell of an image beside its pull time: records that would stay, pins, and marks of imports."""

from collections.abc import Callable

import pytest

from cleaner.core.model import Image
from cleaner.runtime.client import CriRuntime
from support.crio_server import CrioServer, Record, ServedImage

Connect = Callable[..., CriRuntime]

HEX = "a1" * 32
ID = "sha256:" + "c1" * 32
OTHER_ID = "sha256:" + "c2" * 32
TAG = "docker.io/acme/app:v1"
DIGEST = f"docker.io/acme/app@sha256:{HEX}"
TARGET = f"sha256:{HEX}"
RAW = f"import-2026-01-31@sha256:{HEX}"


def serve(server: CrioServer, *records: Record, tags: tuple[str, ...] = (TAG,)) -> None:
    """An image that was pulled, with these records beside those of its pull."""
    server.images = {ID: ServedImage(ID, tags, (DIGEST,))}
    ordinary = [Record(name, TARGET) for name in (ID, TAG, DIGEST)]
    server.records = {record.name: record for record in [*ordinary, *records]}


def known(runtime: CriRuntime) -> Image:
    """The image as it is listed, which the final check finds too."""
    (image,) = runtime.list_images()
    assert runtime.read_image(ID) == image
    return image


def test_a_pulled_image_has_no_strays(containerd: CrioServer, connect: Connect) -> None:
    """The records of a pull are all removed."""
    serve(containerd)
    assert known(connect(containerd)).stray_records == ()


@pytest.mark.parametrize("raw", [RAW, "app:v1", "acme/app:v1"])
def test_strays(containerd: CrioServer, connect: Connect, raw: str) -> None:
    """A record that CRI keeps under another name is left behind, whether or not CRI lists that name."""
    serve(containerd, Record(raw, TARGET))
    assert known(connect(containerd)).stray_records == (raw,)


def test_strays_are_sorted(containerd: CrioServer, connect: Connect) -> None:
    """All of them are reported."""
    serve(containerd, Record("b:v1", TARGET), Record("a:v1", TARGET))
    assert known(connect(containerd)).stray_records == ("a:v1", "b:v1")


@pytest.mark.parametrize("name", ["An Odd Name", "registry.example/app", "registry.example/app:too"])
def test_records_that_are_removed_too(containerd: CrioServer, connect: Connect, name: str) -> None:
    """A name that is no reference, one without a tag, and one that CRI has not listed yet are CRI's names too."""
    serve(containerd, Record(name, TARGET))
    assert known(connect(containerd)).stray_records == ()


def test_a_name_that_is_listed_as_it_is(containerd: CrioServer, connect: Connect) -> None:
    """A name that CRI lists is removed too, also where it is not the full one (containerd 1.7.24 and 2.1.9)."""
    serve(containerd, Record("LOCALHOST/x:v1", TARGET), tags=(TAG, "LOCALHOST/x:v1"))
    assert known(connect(containerd)).stray_records == ()


def test_a_stray_of_another_image(containerd: CrioServer, connect: Connect) -> None:
    """A record of another target stays with another image."""
    serve(containerd, Record("app:v1", "sha256:m2"))
    assert known(connect(containerd)).stray_records == ()


def test_a_tag_that_has_just_moved(containerd: CrioServer, connect: Connect) -> None:
    """An image whose tag moved between two lists has no strays: the records of the new image are ordinary ones."""
    serve(containerd, Record(TAG, "sha256:m2"), Record(OTHER_ID, "sha256:m2"))
    assert known(connect(containerd)).stray_records == ()


def test_a_name_of_two_images(containerd: CrioServer, connect: Connect) -> None:
    """A raw record whose name in CRI is another image's own does not keep that image."""
    name = "docker.io/library/app:v1"
    serve(containerd, Record(name, TARGET), Record("app:v1", "sha256:m2"), tags=(TAG, name))
    assert known(connect(containerd)).stray_records == ()


def test_what_a_removal_left(containerd: CrioServer, connect: Connect) -> None:
    """An image of which only a raw record is left is found by the name that CRI has for it."""
    containerd.images = {ID: ServedImage(ID, ("docker.io/library/app:v1",))}
    containerd.records = {"app:v1": Record("app:v1", TARGET)}
    assert known(connect(containerd)).stray_records == ("app:v1",)


def test_a_stray_since_the_list(containerd: CrioServer, connect: Connect) -> None:
    """The final check finds a record that was not there when the images were listed."""
    serve(containerd)
    runtime = connect(containerd)
    runtime.list_images()
    serve(containerd, Record("app:v1", TARGET))
    assert runtime.read_image(ID).stray_records == ("app:v1",)  # type: ignore[union-attr]


def test_a_runtime_that_does_not_filter(containerd: CrioServer, connect: Connect) -> None:
    """Records of other images do not count, also where the runtime takes no notice of the filter."""
    serve(containerd, Record("app:v1", "sha256:m2", labels={"io.cri-containerd.pinned": "pinned"}))
    runtime = connect(containerd)
    image = known(runtime)
    containerd.filters = False
    assert runtime.read_image(ID) == image
    containerd.records = {"app:v1": Record("app:v1", "sha256:m2")}
    assert runtime.list_leftovers(image) == ()


@pytest.mark.parametrize("name", [ID, TAG, RAW])
def test_pinned(containerd: CrioServer, connect: Connect, name: str) -> None:
    """One record that is labelled as pinned pins the image, though CRI does not report it (1.6.20)."""
    serve(containerd, Record(name, TARGET, labels={"io.cri-containerd.pinned": "pinned"}))
    assert known(connect(containerd)).pinned


@pytest.mark.parametrize("labels", [{"io.cri-containerd.pinned": ""}, {"io.cri-containerd.image": "managed"}])
def test_not_pinned(containerd: CrioServer, connect: Connect, labels: dict[str, str]) -> None:
    """An empty label and other labels pin nothing."""
    serve(containerd, Record(TAG, TARGET, labels=labels))
    assert not known(connect(containerd)).pinned


def test_pinned_by_cri(containerd: CrioServer, connect: Connect) -> None:
    """What CRI reports as pinned stays pinned."""
    serve(containerd)
    containerd.images = {ID: ServedImage(ID, (TAG,), (DIGEST,), pinned=True)}
    assert known(connect(containerd)).pinned


@pytest.mark.parametrize("label", ["io.cattle.k3s.pinned", "io.cattle.rke2.any.pinned", "io.k0sproject.bundle"])
@pytest.mark.parametrize("name", [ID, TAG, "An Odd Name"])
def test_imported(containerd: CrioServer, connect: Connect, name: str, label: str) -> None:
    """One record with the mark of an import makes the image an imported one."""
    serve(containerd, Record(name, TARGET, labels={label: "pinned"}))
    assert known(connect(containerd)).imported


@pytest.mark.parametrize("label", ["io.cattle.k3s", "io.cattle.pinned", "xio.k0sproject.a", "io.cri-containerd.pinned"])
def test_not_imported(containerd: CrioServer, connect: Connect, label: str) -> None:
    """Other labels are no marks, nor is the mark of another target."""
    serve(containerd, Record(TAG, TARGET, labels={label: "pinned"}))
    containerd.records |= {"x": Record("x", "sha256:m2", labels={"io.cattle.k3s.pinned": "pinned"})}  # type: ignore[operator]
    assert not known(connect(containerd)).imported


def test_without_the_api(crio: CrioServer, connect: Connect) -> None:
    """A runtime without records tells nothing of this."""
    crio.images = {ID: ServedImage(ID, (TAG,), (DIGEST,))}
    image = known(connect(crio))
    assert (image.stray_records, image.pinned, image.imported, image.local) == ((), False, False, False)
