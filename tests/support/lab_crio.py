"""Nodes of a CRI-O: one with every kind of image, and one whose old images each take space on a disk."""

from pathlib import Path

import grpc

from support.crio_server import CrioServer, ServedContainer, ServedImage, crio_image

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


PORT = "registry.corp:5000/golem-ai"
ODD = {
    "artifact": ServedImage(
        "e" * 64, (f"{COMPANY}/model:v1",), (f"{COMPANY}/model@sha256:{'e' * 64}",), created=OLD, artifact=True
    ),
    "moved": crio_image("1" * 64, [f"{COMPANY}/moved:v1"], f"sha256:{'1' * 64}", created=OLD),
    "cut": crio_image("2" * 64, [f"{PORT}/cut:v1"], f"sha256:{'2' * 64}", created=OLD),
    "built": crio_image("3" * 64, ["localhost/built:v1"], f"sha256:{'3' * 64}", created=OLD),
}
"""By what is odd about each; nothing uses them."""


def odd_crio_node(socket: Path) -> CrioServer:
    """A server with the odd images; the tags of two have moved to images that are in use."""
    server = CrioServer(socket, images=ODD.values())
    for number, name in enumerate(("moved", "cut"), 4):
        tag = ODD[name].tags[0]
        new = crio_image(f"{number}" * 64, [tag], f"sha256:{str(number) * 64}", created=OLD)
        server.move_tag(tag, new)
        server.containers[name] = ServedContainer(name, image_id=new.id, image_ref=new.digests[0], image=tag)
    return server


def full_crio_node(socket: Path, directory: Path, images: int, image_bytes: int) -> CrioServer:
    """A server whose old images each take so much of the filesystem of a directory, until they are removed."""
    names = [f"{COMPANY}/app{number:02}:v1" for number in range(images)]
    served = [
        crio_image(f"{number:064x}", [name], f"sha256:{number + 100:064x}", size_bytes=image_bytes, created=OLD)
        for number, name in enumerate(names, 1)
    ]
    server = CrioServer(socket, images=served)
    server.mountpoints = (str(directory),)
    server.store_in(directory)
    return server


def crio_node(socket: Path) -> CrioServer:
    """A server with all of these, which rejects the removal of the one whose container no list shows."""
    server = CrioServer(socket, images=IMAGES.values(), containers=[CONTAINER])
    server.fail("RemoveImage", grpc.StatusCode.UNKNOWN, REFUSAL, about=IMAGES["refused"].id)
    return server
