"""When images were pulled, by containerd's own records."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import grpc
import pytest

from cleaner.core.errors import RuntimeRejectedError, RuntimeUnavailableError
from cleaner.runtime.client import CriRuntime
from support.crio_server import CrioServer, Record, ServedImage

Code = grpc.StatusCode
Connect = Callable[..., CriRuntime]

NOON = datetime(2026, 6, 15, 12, tzinfo=UTC)
GO_ZERO = datetime(1, 1, 1, tzinfo=UTC)
TAG = "registry.example/app:1"
DIGEST = "registry.example/app@sha256:m1"
ID = "sha256:c1"


def at(hours: float) -> datetime:
    return NOON + timedelta(hours=hours)


def serve(server: CrioServer, *records: Record, image: ServedImage | None = None) -> None:
    image = image or ServedImage(ID, (TAG,), (DIGEST,))
    server.images = {image.id: image}
    server.records = {record.name: record for record in records}


def pulled(runtime: CriRuntime) -> datetime | None:
    """The pull time that the list has, which reading the image gives too."""
    (image,) = runtime.list_images()
    assert runtime.read_image(image.id) == image
    return image.pulled_at


def test_pulled(containerd: CrioServer, connect: Connect) -> None:
    """An image was pulled at the newest time of its records: tag, digest and id."""
    times = [at(0), at(2), at(1)]
    names = (TAG, DIGEST, ID)
    serve(containerd, *(Record(name, "sha256:m1", time, time) for name, time in zip(names, times, strict=True)))
    assert pulled(connect(containerd)) == at(2)


def test_pulled_again(containerd: CrioServer, connect: Connect) -> None:
    """Pulling the same digest again changes only when a record was updated."""
    serve(containerd, Record(ID, "sha256:m1", at(0), at(3)))
    assert pulled(connect(containerd)) == at(3)


def test_moved_tag(containerd: CrioServer, connect: Connect) -> None:
    """A moved tag has its old creation time and says nothing of the image that it left."""
    other = ServedImage("sha256:c2")
    serve(containerd, Record(TAG, "sha256:m1", at(-9), at(1)), Record(ID, "sha256:m1", at(1), at(1)))
    containerd.images[other.id] = other
    containerd.records["sha256:c2"] = Record("sha256:c2", "sha256:m2", at(-9), at(-9))  # type: ignore[index]
    runtime = connect(containerd)
    assert [image.pulled_at for image in runtime.list_images()] == [at(1), at(-9)]
    assert [runtime.read_image(name).pulled_at for name in (ID, other.id)] == [at(1), at(-9)]  # type: ignore[union-attr]


def test_record_with_an_odd_name(containerd: CrioServer, connect: Connect) -> None:
    """A record that CRI does not tell, since its name is no reference, counts by its target."""
    serve(containerd, Record(ID, "sha256:m1", at(0)), Record("Import Of Today", "sha256:m1", at(5)))
    assert pulled(connect(containerd)) == at(5)


def test_odd_name_that_moved(containerd: CrioServer, connect: Connect) -> None:
    """A record with an odd name that moved to another target no longer counts."""
    serve(containerd, Record(ID, "sha256:m1", at(0)), Record("Import Of Today", "sha256:m1", at(1)))
    runtime = connect(containerd)
    runtime.list_images()
    containerd.records["Import Of Today"] = Record("Import Of Today", "sha256:m2", at(9))  # type: ignore[index]
    assert runtime.read_image(ID).pulled_at == at(0)  # type: ignore[union-attr]


def test_two_targets(containerd: CrioServer, connect: Connect) -> None:
    """An image with records of two manifests was pulled when the newer one was."""
    serve(containerd, Record(ID, "sha256:m1", at(0)), Record(TAG, "sha256:index", at(4)))
    assert pulled(connect(containerd)) == at(4)


def test_read_after_a_pull(containerd: CrioServer, connect: Connect) -> None:
    """Reading an image finds a pull since the list, also where that changed its target."""
    serve(containerd, Record(ID, "sha256:m1", at(0)), Record(TAG, "sha256:m1", at(0)))
    runtime = connect(containerd)
    runtime.list_images()
    containerd.records = {ID: Record(ID, "sha256:m2", at(0), at(6)), TAG: Record(TAG, "sha256:m2", at(0), at(7))}
    assert runtime.read_image(ID).pulled_at == at(7)  # type: ignore[union-attr]


def test_read_is_quick(containerd: CrioServer, connect: Connect) -> None:
    """Reading one image asks for all its records at once, by name and target."""
    serve(containerd, Record(ID, "sha256:m1", at(0)), Record(TAG, "sha256:m1", at(0)))
    runtime = connect(containerd)
    runtime.list_images()
    containerd.calls.clear()
    runtime.read_image(ID)
    assert [(call.method, call.about) for call in containerd.calls] == [
        ("ImageStatus", ID),
        ("Images.List", ""),
    ]


def test_namespace(containerd: CrioServer, connect: Connect) -> None:
    """Records are asked for in CRI's namespace, and CRI is asked without one."""
    serve(containerd, Record(ID, "sha256:m1", at(0)))
    pulled(connect(containerd))
    for call in containerd.calls:
        expected = "k8s.io" if call.method.startswith("Images.") else None
        assert call.metadata.get("containerd-namespace") == expected


@pytest.mark.parametrize("time", [None, GO_ZERO])
def test_no_times(containerd: CrioServer, connect: Connect, time: datetime | None) -> None:
    """A record without times, or with Go's zero time, tells no pull time."""
    serve(containerd, Record(ID, "sha256:m1", time, time))
    assert pulled(connect(containerd)) is None


def test_one_time(containerd: CrioServer, connect: Connect) -> None:
    """A record with one real time tells that."""
    serve(containerd, Record(ID, "sha256:m1", at(0), GO_ZERO))
    assert pulled(connect(containerd)) == at(0)


def test_no_record(containerd: CrioServer, connect: Connect) -> None:
    """An image without a record has no pull time."""
    serve(containerd, Record("other", "sha256:m9", at(0)))
    assert pulled(connect(containerd)) is None


def test_gone_image(containerd: CrioServer, connect: Connect) -> None:
    """Records of a removed image are not asked for."""
    assert connect(containerd).read_image(ID) is None
    assert containerd.count("Images.List") == 0


def test_no_such_api(crio: CrioServer, connect: Connect) -> None:
    """CRI-O has no records: pull times are unknown, and it is asked once."""
    crio.images[ID] = ServedImage(ID, (TAG,))
    runtime = connect(crio)
    assert pulled(runtime) is pulled(runtime) is None


def test_missing_api_is_not_asked_again(containerd: CrioServer, connect: Connect) -> None:
    """A missing API is not asked again until a call found no server: another runtime may have come."""
    serve(containerd, Record(ID, "sha256:m1", at(0)))
    containerd.fail("Images.List", Code.UNIMPLEMENTED, "unknown service", times=1)
    runtime = connect(containerd)
    assert [pulled(runtime), pulled(runtime)] == [None, None]
    assert containerd.count("Images.List") == 1
    containerd.fail("Version", Code.UNAVAILABLE, times=1)
    with pytest.raises(RuntimeUnavailableError):
        runtime.read_version()
    assert pulled(runtime) == at(0)


@pytest.mark.parametrize("code", [Code.UNIMPLEMENTED, Code.UNKNOWN])
def test_unknown_service(containerd: CrioServer, connect: Connect, code: grpc.StatusCode) -> None:
    """A missing API is known by its code or by its words."""
    serve(containerd, Record(ID, "sha256:m1", at(0)))
    containerd.fail("Images.List", code, "unknown service containerd.services.images.v1.Images")
    assert pulled(connect(containerd)) is None


def test_short_outage_of_records(containerd: CrioServer, connect: Connect) -> None:
    """Records without a server for a moment are asked for again."""
    serve(containerd, Record(ID, "sha256:m1", at(0)))
    containerd.fail("Images.List", Code.UNAVAILABLE, times=2)
    assert pulled(connect(containerd)) == at(0)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (Code.UNAVAILABLE, RuntimeUnavailableError),
        (Code.DEADLINE_EXCEEDED, RuntimeUnavailableError),
        (Code.INTERNAL, RuntimeRejectedError),
        (Code.UNKNOWN, RuntimeRejectedError),
    ],
)
def test_records_fail(containerd: CrioServer, connect: Connect, code: grpc.StatusCode, error: type[Exception]) -> None:
    """A pull time that is unknown for a moment must not decide: the failure is an error."""
    serve(containerd, Record(ID, "sha256:m1", at(0)))
    runtime = connect(containerd)
    runtime.list_images()
    containerd.fail("Images.List", code)
    with pytest.raises(error):
        runtime.read_image(ID)
    with pytest.raises(error):
        runtime.list_images()


@pytest.mark.parametrize("other", ["registry.example/other:1", ""])
def test_answer_about_another_record(containerd: CrioServer, connect: Connect, other: str) -> None:
    """A record that was not asked for tells nothing of the image."""
    serve(containerd, Record(TAG, "sha256:m1", at(0)))
    containerd.mistaken[TAG] = other
    assert connect(containerd).read_image(ID).pulled_at is None  # type: ignore[union-attr]


def test_read_finds_a_second_target(containerd: CrioServer, connect: Connect) -> None:
    """Reading an image that was never listed finds all records of its targets, with one more list."""
    serve(containerd, Record(ID, "sha256:m1", at(0)), Record("Import Of Today", "sha256:m1", at(5)))
    assert connect(containerd).read_image(ID).pulled_at == at(5)  # type: ignore[union-attr]
    assert containerd.count("Images.List") == 2


def test_no_leftovers(containerd: CrioServer, connect: Connect) -> None:
    """An image that was removed with all of its records leaves nothing."""
    serve(containerd, Record(ID, "sha256:m1"), Record(TAG, "sha256:m1"))
    runtime = connect(containerd)
    (image,) = runtime.list_images()
    serve(containerd, image=ServedImage("sha256:c2"))
    assert runtime.list_leftovers(image) == ()


def test_leftovers(containerd: CrioServer, connect: Connect) -> None:
    """Records with the target that the final check saw are left over; a tag that points elsewhere by now is not."""
    serve(containerd, Record(ID, "sha256:m1"), Record(TAG, "sha256:m1"), Record("Import Of Today", "sha256:m1"))
    runtime = connect(containerd)
    (image,) = runtime.list_images()
    runtime.read_image(ID)
    assert containerd.records is not None
    containerd.records[TAG] = Record(TAG, "sha256:m2")
    assert runtime.list_leftovers(image) == ("Import Of Today", ID)


def test_no_leftover_of_a_new_name(containerd: CrioServer, connect: Connect) -> None:
    """A record of a name that the image did not have comes from what was pulled since."""
    serve(containerd, Record(ID, "sha256:m1"), Record(TAG, "sha256:m1"))
    runtime = connect(containerd)
    (image,) = runtime.list_images()
    runtime.read_image(ID)
    containerd.records = {"elsewhere.example/app:1": Record("elsewhere.example/app:1", "sha256:m1")}
    assert runtime.list_leftovers(image) == ()


def test_leftover_named_by_its_id(containerd: CrioServer, connect: Connect) -> None:
    """If the image was not read, only the record that is named by its id is surely its own."""
    serve(containerd, Record(ID, "sha256:m1"), Record(TAG, "sha256:m1"))
    runtime = connect(containerd)
    (image,) = runtime.list_images()
    assert runtime.list_leftovers(image) == (ID,)


def test_leftovers_without_the_api(crio: CrioServer, connect: Connect) -> None:
    """A runtime without records leaves none."""
    crio.images = {"c1": ServedImage("c1", (TAG,), (DIGEST,))}
    runtime = connect(crio)
    (image,) = runtime.list_images()
    assert runtime.list_leftovers(image) == ()
