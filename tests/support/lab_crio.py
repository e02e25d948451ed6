"""The node of a CRI-O: old images of the company, one of them in use only as a volume, and one with a hidden user."""

from pathlib import Path

import grpc

from support.crio_server import CrioServer, ServedContainer, ServedImage

COMPANY = "registry.gitlab.com/golem-ai"
REFUSAL = "image used by 0123: image is in use by a container"
OLD = "2025-01-01T00:00:00Z"


def _image(
    number: int, reference: str = "", *, created: str | None = OLD, pinned: bool = False, tag: str = "v1"
) -> ServedImage:
    """As CRI-O lists it: its id is bare."""
    repository = reference or f"{COMPANY}/app{number}"
    digests = (f"{repository}@sha256:{number:064x}",)
    return ServedImage(f"{number:x}".rjust(64, "a"), (f"{repository}:{tag}",), digests, pinned=pinned, created=created)


IMAGES = {
    "mounted": _image(1),
    "running": _image(2),
    "old": _image(3),
    "refused": _image(4),
    "undated": _image(5, created=None),
    "pause": _image(6, "registry.k8s.io/pause", pinned=True),
}
CONTAINER = ServedContainer(
    "c" * 64,
    image_id=IMAGES["running"].id,
    image_ref=IMAGES["running"].digests[0],
    image=IMAGES["running"].tags[0],
    volumes=IMAGES["mounted"].tags,
)


def crio_node(socket: Path) -> CrioServer:
    """A server with all of these, which rejects the removal of the one whose container no list shows."""
    server = CrioServer(socket, images=IMAGES.values(), containers=[CONTAINER])
    server.fail("RemoveImage", grpc.StatusCode.UNKNOWN, REFUSAL, about=IMAGES["refused"].id)
    return server
