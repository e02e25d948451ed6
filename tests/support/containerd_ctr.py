"""What only containerd's own tools do: leases, other namespaces, containers past CRI."""

import grpc

from cleaner.runtime.pb import containerd_images_pb2 as images_pb
from cleaner.runtime.pb import containerd_images_pb2_grpc as images_grpc
from cleaner.runtime.pb import containerd_leases_pb2 as leases_pb
from lab import Lab

_METADATA = (("containerd-namespace", "k8s.io"),)


def lease(lab: Lab, lease_id: str, resources: dict[str, str], *, flat: bool = False) -> None:
    """Hold resources, by id their type, until the lease is deleted."""
    lab.ctr("leases", "create", "--id", lease_id, "--expires", "1h", *(["containerd.io/gc.flat=true"] if flat else []))
    with grpc.insecure_channel(lab.endpoint) as channel:
        add = channel.unary_unary(
            "/containerd.services.leases.v1.Leases/AddResource",
            request_serializer=bytes,
            response_deserializer=bytes,
        )
        for resource_id, kind in resources.items():
            resource = leases_pb.Resource(id=resource_id, type=kind).SerializeToString()
            # AddResourceRequest: 1 id string, 2 resource Resource.
            add(_field(1, lease_id.encode()) + _field(2, resource), metadata=_METADATA)


def _field(number: int, content: bytes) -> bytes:
    assert len(content) < 128, "one byte of length"
    return bytes([number << 3 | 2, len(content)]) + content


def name_again(lab: Lab, reference: str, name: str) -> None:
    """Another record of an image under any name, also one that is no reference."""
    with grpc.insecure_channel(lab.endpoint) as channel:
        images = images_grpc.ImagesStub(channel)  # type: ignore[no-untyped-call]
        answer = images.Get(images_pb.GetImageRequest(name=reference), metadata=_METADATA)
        answer.image.name = name
        # CreateImageRequest: 1 image Image, as in the answer.
        create = channel.unary_unary(
            "/containerd.services.images.v1.Images/Create",
            request_serializer=images_pb.GetImageResponse.SerializeToString,
            response_deserializer=bytes,
        )
        create(answer, metadata=_METADATA)


def share(lab: Lab, reference: str, namespace: str) -> None:
    """Have an image in another namespace too."""
    archive = lab.folder / "shared.tar"
    lab.export_archive(reference, archive)
    # The last of two flags counts.
    lab.import_archive(archive, "-n", namespace)
    archive.unlink()


def create_container(lab: Lab, reference: str, container_id: str) -> None:
    """A container that CRI does not know."""
    lab.ctr("containers", "create", reference, container_id)
