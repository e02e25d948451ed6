"""Containers as containerd itself has them, so also those that CRI does not list (`nerdctl -n k8s.io`, `ctr`).

It must not leave one out: without that API there is no list, and with it a failed read is an error.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cleaner.core.model import Container
from cleaner.runtime.containerd.records import read_namesakes
from cleaner.runtime.pb import containerd_containers_pb2 as pb
from cleaner.runtime.rpc import LIST_OWN_CONTAINERS, STREAM_OWN_CONTAINERS, ContainerdApi, MissingApiError


def read_containers(api: ContainerdApi) -> Iterator[pb.Container]:
    """Every container of CRI's namespace, whoever made it; sandboxes are among them."""
    for answer in api.read_list(LIST_OWN_CONTAINERS, STREAM_OWN_CONTAINERS):
        if isinstance(answer, pb.ListContainersResponse):
            yield from answer.containers
        else:
            yield answer.container


@dataclass(frozen=True, slots=True)
class OwnContainer:
    """What containerd keeps of a container's image."""

    image: str
    """The name that the image had; empty where the container was made from none."""
    snapshotter: str
    snapshot_key: str
    """The snapshot that it was made with; empty where it has none."""


def read_own_containers(api: ContainerdApi) -> dict[str, OwnContainer] | None:
    """All containers, by id; None without that API."""
    try:
        return {c.id: OwnContainer(c.image, c.snapshotter, c.snapshot_key) for c in read_containers(api)}
    except MissingApiError:
        return None


def with_names(api: ContainerdApi, image_by_container: Mapping[str, str]) -> list[Container]:
    """These containers with every name of their images, as far as there still are records of these."""
    same = read_namesakes(api, set(image_by_container.values()) - {""})
    return [Container(known, same.get(image, frozenset())) for known, image in image_by_container.items()]


def as_far_as_named(api: ContainerdApi, image_by_container: Mapping[str, str]) -> list[Container]:
    """These containers with every name of their images, or the one name that is given where nothing tells others."""
    try:
        return with_names(api, image_by_container)
    except MissingApiError:
        return [Container(known, frozenset({image})) for known, image in image_by_container.items()]
