"""What only CRI-O answers: OCI artifacts among the images, references that it invents, images that were built here.

Read in CRI-O 1.36.3. `ListImages` appends the OCI artifacts to the images (`listImages` in `server/image_list.go`,
`CRIImage` in `internal/ociartifact/artifact.go`), once for each of their names. Their status has no `info`, which every
image's verbose status has (`server/image_status.go`). RemoveImage by their id looks among the images only, finds none
there and succeeds (`removeImage` in `server/image_remove.go`).

An image that has lost its last name, such as one whose tag moved, gets a digest reference in the list, and none in
its status (`ConvertImage`): the name that it had last, up to its first colon (`buildImageResult` in
`internal/storage/image.go`). Of `registry.corp:5000/app:v1` that leaves `registry.corp@sha256:...`, which would be
an image of Docker Hub.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace

from cleaner.core.model import Image
from cleaner.runtime import translate
from cleaner.runtime.pb import cri_pb2 as pb
from cleaner.runtime.rpc import Calls, methods

CRIO = "cri-o"
"""The name that CRI-O gives itself in Version."""

_UNKNOWN_REST = ":?"
"""Stands for what was cut off a name. No reference may have it, so no rule matches the image."""
_LOCAL_REGISTRY = "localhost/"
"""Of images that were built on the node. A registry on the node has a port: `localhost:5000/`."""


class ImageTranslator:
    """Translates the runtime's images, allowing for CRI-O's oddities."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._runtime_name: str | None = None
        self._artifacts: set[str] = set()
        """Ids of OCI artifacts that were listed or asked about; an id never changes its kind."""

    def record_runtime(self, name: str) -> None:
        """Record what the runtime calls itself; without that it is asked."""
        self._runtime_name = name

    def translate_list(self, messages: Iterable[pb.Image]) -> list[Image]:
        """All images of a list, by id; what is known of ids that are not in it is dropped."""
        messages = list(messages)
        images = translate.merge_images(messages)
        if not self._is_crio():
            return images
        self._artifacts &= {image.id for image in images}
        # It lists an image once. The status of an artifact with several names finds none: its id is ambiguous then.
        self._artifacts |= {image_id for image_id, count in Counter(m.id for m in messages).items() if count > 1}
        return [self._image_of_crio(image) for image in images]

    def translate_image(self, message: pb.Image) -> Image:
        """One image, as its status describes it."""
        image = translate.translate_image(message)
        return self._image_of_crio(image) if self._is_crio() else image

    def with_status(self, image: Image, info: Mapping[str, str]) -> Image:
        """The image with what its verbose status tells of its kind; in doubt, under CRI-O, it is an artifact."""
        if not self._is_crio() or translate.has_image_spec(info):
            return image
        self._artifacts.add(image.id)
        return replace(image, artifact=True)

    def _is_crio(self) -> bool:
        if self._runtime_name is None:
            self._runtime_name = self._calls.read(methods.VERSION, pb.VersionRequest()).runtime_name
        return self._runtime_name == CRIO

    def _image_of_crio(self, image: Image) -> Image:
        return replace(
            image,
            digests=tuple(sorted(map(_mark_cut, image.digests))),
            local=any(reference.lower().startswith(_LOCAL_REGISTRY) for reference in image.references),
            artifact=image.id in self._artifacts,
        )


def _mark_cut(digest_reference: str) -> str:
    """A digest reference, marked where its repository was cut: CRI-O's names are all fully qualified."""
    name, at, digest = digest_reference.partition("@")
    return digest_reference if "/" in name else f"{name}{_UNKNOWN_REST}{at}{digest}"
