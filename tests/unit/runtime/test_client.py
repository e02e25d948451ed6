"""Images: what is listed, what is read once, what is asked anew, and removals."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import grpc
import pytest

from cleaner.core.disk_usage import Filesystem
from cleaner.core.errors import ImageInUseError, RuntimeRejectedError, RuntimeUnavailableError
from cleaner.core.model import Image
from cleaner.runtime.client import CriRuntime
from support.crio_server import CrioServer, ServedContainer, ServedImage

Code = grpc.StatusCode
Connect = Callable[..., CriRuntime]

HEX = "0123456789abcdef" * 4
BUILT = "2024-05-06T07:08:09.123456789+02:00"
BUILT_AT = datetime(2024, 5, 6, 5, 8, 9, 123456, tzinfo=UTC)


def serve(server: CrioServer, *images: ServedImage) -> None:
    server.images = {image.id: image for image in images}


def test_image(crio: CrioServer, connect: Connect) -> None:
    """A CRI-O image has its bare id, its sorted names, size, pin and build time, and no pull time."""
    tags = ("registry.example/b:1", "registry.example/a:1")
    serve(crio, ServedImage(HEX, tags, ("registry.example/a@sha256:" + HEX,), 42, pinned=True, created=BUILT))
    expected = Image(
        id=HEX,
        tags=("registry.example/a:1", "registry.example/b:1"),
        digests=("registry.example/a@sha256:" + HEX,),
        size_bytes=42,
        pinned=True,
        created_at=BUILT_AT,
    )
    runtime = connect(crio)
    assert runtime.list_images() == (expected,)
    assert runtime.read_image(HEX) == expected


def test_no_images(crio: CrioServer, connect: Connect) -> None:
    """A node without images has none."""
    assert connect(crio).list_images() == ()


def test_order(crio: CrioServer, connect: Connect) -> None:
    """Images come by id, whatever the runtime's order; one without an id cannot be named and is left out."""
    serve(crio, ServedImage("c"), ServedImage("a"), ServedImage(""), ServedImage("b"))
    assert [image.id for image in connect(crio).list_images()] == ["a", "b", "c"]


def test_listed_twice(crio: CrioServer, connect: Connect) -> None:
    """An image that is listed twice is one, with the names of both, pinned if either is."""
    crio.version = ("docker", "27.1.1")
    serve(crio, ServedImage("a", ("x:1",), ("x@sha256:1",), 5))
    crio.listed_twice = [ServedImage("a", ("w:1", "x:1"), ("y@sha256:2",), 6, pinned=True)]
    (image,) = connect(crio).list_images()
    assert image == Image("a", ("w:1", "x:1"), ("x@sha256:1", "y@sha256:2"), 6, pinned=True)


def test_created_is_read_once(crio: CrioServer, connect: Connect) -> None:
    """An id fixes its build time: that is read once, while names and pin are always fresh."""
    serve(crio, ServedImage("a", ("x:1",), created=BUILT))
    runtime = connect(crio)
    before = runtime.list_images()[0]
    crio.images["a"] = replace(crio.images["a"], tags=("x:2",), pinned=True)
    assert runtime.list_images() == (replace(before, tags=("x:2",), pinned=True),)
    assert crio.count("ImageStatus") == 1


def test_created_is_forgotten(crio: CrioServer, connect: Connect) -> None:
    """The build time of a removed image is forgotten with it."""
    serve(crio, ServedImage("a", created=BUILT))
    runtime = connect(crio)
    runtime.list_images()
    serve(crio)
    runtime.list_images()
    serve(crio, ServedImage("a", created=BUILT))
    assert runtime.list_images()[0].created_at == BUILT_AT
    assert crio.count("ImageStatus") == 2


@pytest.mark.parametrize("created", [None, "", "soon", "2024-05-06"])
def test_created_unknown(crio: CrioServer, connect: Connect, created: str | None) -> None:
    """A build time that is missing or makes no sense is unknown, once and for all."""
    serve(crio, ServedImage("a", created=created))
    runtime = connect(crio)
    for _ in range(2):
        assert runtime.list_images() == (Image("a", size_bytes=1000),)
    assert crio.count("ImageStatus") == 1


@pytest.mark.parametrize("created", ["0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "1980-01-01T00:00:00Z"])
def test_created_implausible(crio: CrioServer, connect: Connect, created: str) -> None:
    """An implausible build time is reported as it is written."""
    serve(crio, ServedImage("a", created=created))
    assert connect(crio).list_images()[0].created_at == datetime.fromisoformat(created)


def test_gone_after_the_list(crio: CrioServer, connect: Connect) -> None:
    """An image that is removed between list and status is left out."""
    serve(crio, ServedImage("a"), ServedImage("b"))
    crio.gone.add("a")
    assert [image.id for image in connect(crio).list_images()] == ["b"]


def test_not_found_after_the_list(crio: CrioServer, connect: Connect) -> None:
    """An image whose status is NOT_FOUND is left out too."""
    serve(crio, ServedImage("a"), ServedImage("b"))
    crio.fail("ImageStatus", Code.NOT_FOUND, about="a")
    assert [image.id for image in connect(crio).list_images()] == ["b"]


def test_unreadable_status(crio: CrioServer, connect: Connect) -> None:
    """An image whose status is rejected is listed, not readable, and asked about again next time."""
    serve(crio, ServedImage("a", ("x:1",), created=BUILT), ServedImage("b", created=BUILT))
    crio.fail("ImageStatus", Code.INTERNAL, about="a", times=1)
    runtime = connect(crio)
    first, other = runtime.list_images()
    assert first == Image("a", ("x:1",), size_bytes=1000, readable=False)
    assert other.readable
    assert runtime.list_images()[0] == replace(first, readable=True, created_at=BUILT_AT)


def test_unreadable_json(crio: CrioServer, connect: Connect) -> None:
    """An image whose verbose status is no JSON is not readable, and asked about again next time."""
    serve(crio, ServedImage("a", info="{"))
    runtime = connect(crio)
    assert not runtime.list_images()[0].readable
    assert not runtime.read_image("a").readable  # type: ignore[union-attr]
    serve(crio, ServedImage("a", created=BUILT))
    assert runtime.list_images() == (Image("a", size_bytes=1000, created_at=BUILT_AT),)


def test_lost_in_the_middle(crio: CrioServer, connect: Connect) -> None:
    """A runtime that becomes unavailable in the middle of the images fails the whole list."""
    serve(crio, ServedImage("a"), ServedImage("b"))
    crio.fail("ImageStatus", Code.UNAVAILABLE, about="b")
    with pytest.raises(RuntimeUnavailableError):
        connect(crio).list_images()


@pytest.mark.parametrize("hanging", ["b", "bcd"])
def test_hanging_statuses(crio: CrioServer, connect: Connect, hanging: str) -> None:
    """Up to three images whose status does not come in time are not readable; the others are."""
    serve(crio, *(ServedImage(name) for name in "abcde"))
    for name in hanging:
        crio.fail("ImageStatus", Code.DEADLINE_EXCEEDED, about=name)
    runtime = connect(crio)
    for _ in range(2):
        assert [image.id for image in runtime.list_images() if not image.readable] == list(hanging)


def test_too_many_hanging_statuses(crio: CrioServer, connect: Connect) -> None:
    """A runtime that hangs on the fourth image too is one that hangs."""
    serve(crio, *(ServedImage(name) for name in "abcde"))
    for name in "abcd":
        crio.fail("ImageStatus", Code.DEADLINE_EXCEEDED, about=name)
    with pytest.raises(RuntimeUnavailableError):
        connect(crio).list_images()


def test_read_image_is_fresh(crio: CrioServer, connect: Connect) -> None:
    """Reading one image gives its names as they are now."""
    serve(crio, ServedImage("a", ("x:1",), created=BUILT))
    runtime = connect(crio)
    runtime.list_images()
    crio.images["a"] = replace(crio.images["a"], tags=("x:2",), info="{")
    assert runtime.read_image("a") == Image("a", ("x:2",), size_bytes=1000, created_at=BUILT_AT)


def test_read_image_without_a_list(crio: CrioServer, connect: Connect) -> None:
    """Reading an image that was never listed reads its build time too, and caches it."""
    serve(crio, ServedImage("a", created=BUILT))
    runtime = connect(crio)
    assert runtime.read_image("a") == runtime.read_image("a") == Image("a", size_bytes=1000, created_at=BUILT_AT)


def test_read_gone_image(crio: CrioServer, connect: Connect) -> None:
    """An image is removed if the answer has none, or if it is NOT_FOUND."""
    runtime = connect(crio)
    assert runtime.read_image("a") is None
    crio.fail("ImageStatus", Code.NOT_FOUND)
    assert runtime.read_image("a") is None


def test_read_image_rejected(crio: CrioServer, connect: Connect) -> None:
    """A rejected read of one image is an error: nothing says that the image is removed."""
    crio.fail("ImageStatus", Code.INTERNAL)
    with pytest.raises(RuntimeRejectedError, match="ImageStatus: INTERNAL"):
        connect(crio).read_image("a")


@pytest.mark.parametrize("known", [True, False])
def test_read_of_another_image(crio: CrioServer, connect: Connect, known: bool) -> None:
    """An answer about another image is an error, whether or not the image was listed before."""
    serve(crio, ServedImage("a", created=BUILT))
    runtime = connect(crio)
    if known:
        runtime.list_images()
    crio.mistaken["a"] = "b"
    with pytest.raises(RuntimeRejectedError, match="ImageStatus: asked about a, it answers about b"):
        runtime.read_image("a")
    crio.mistaken.clear()
    assert runtime.read_image("a") == Image("a", size_bytes=1000, created_at=BUILT_AT)


def test_list_with_an_answer_about_another_image(crio: CrioServer, connect: Connect) -> None:
    """An image whose status is about another one is not readable, and asked about again; the others are."""
    serve(crio, ServedImage("a", created=BUILT), ServedImage("b", created=BUILT))
    crio.mistaken["a"] = "b"
    runtime = connect(crio)
    assert [(image.id, image.readable) for image in runtime.list_images()] == [("a", False), ("b", True)]
    crio.mistaken.clear()
    assert runtime.list_images()[0] == Image("a", size_bytes=1000, created_at=BUILT_AT)


def test_removal(crio: CrioServer, connect: Connect) -> None:
    """An image is removed with all its names; another stays; removing it again is fine."""
    serve(crio, ServedImage("a", ("x:1", "y:1")), ServedImage("b"))
    runtime = connect(crio)
    runtime.remove_image("a")
    runtime.remove_image("a")
    assert (runtime.read_image("a"), list(crio.images)) == (None, ["b"])


def test_removal_of_what_is_not_found(crio: CrioServer, connect: Connect) -> None:
    """A removal that finds nothing is done."""
    crio.fail("RemoveImage", Code.NOT_FOUND)
    connect(crio).remove_image("a")


def test_removal_in_use(crio: CrioServer, connect: Connect) -> None:
    """CRI-O rejects the removal of an image in use, which is an error of its own."""
    serve(crio, ServedImage("a"))
    crio.containers["c"] = ServedContainer("c", image_id="a")
    with pytest.raises(ImageInUseError, match="RemoveImage: UNKNOWN: image used by c"):
        connect(crio).remove_image("a")
    assert "a" in crio.images


@pytest.mark.parametrize(
    ("code", "error"),
    [(Code.UNAVAILABLE, RuntimeUnavailableError), (Code.INTERNAL, RuntimeRejectedError)],
)
def test_removal_is_not_retried(
    crio: CrioServer, connect: Connect, code: grpc.StatusCode, error: type[Exception]
) -> None:
    """A removal is asked for once, whatever comes of it."""
    crio.fail("RemoveImage", code, times=1)
    with pytest.raises(error):
        connect(crio).remove_image("a")
    assert crio.count("RemoveImage") == 1


def test_removal_that_hangs(crio: CrioServer, connect: Connect) -> None:
    """A removal that passes its deadline leaves open whether the image is removed."""
    crio.hang("RemoveImage")
    with pytest.raises(RuntimeUnavailableError, match="RemoveImage: DEADLINE_EXCEEDED"):
        connect(crio, hasty=True).remove_image("a")
    assert crio.count("RemoveImage") == 1


def test_image_filesystem(crio: CrioServer, connect: Connect) -> None:
    """The first image filesystem's path is reported as it is."""
    crio.mountpoints = ("/var/lib/containers/storage/overlay-images", "/other")
    assert connect(crio).read_filesystems() == {Filesystem.IMAGES: "/var/lib/containers/storage/overlay-images"}


@pytest.mark.parametrize("mountpoints", [(), ("",)])
def test_no_image_filesystem(crio: CrioServer, connect: Connect, mountpoints: tuple[str, ...]) -> None:
    """A runtime that names no image filesystem is an error."""
    crio.mountpoints = mountpoints
    with pytest.raises(RuntimeRejectedError, match="names no image filesystem"):
        connect(crio).read_filesystems()
