"""Who needs an image: containers, sandboxes; and the last look before a removal.

Refuses exact matching: CRI runtimes name one image in many ways (CRI ListContainers, ContainerStatus), so ids,
digests and full tags are compared, and one match is enough.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from cleaner.core.model import Container, Image, KeepReason
from cleaner.core.references import identity_keys


@dataclass(frozen=True, slots=True)
class Needs:
    """Identity keys of all that is needed on the node."""

    in_use: frozenset[str]
    sandbox: frozenset[str]

    def reason_to_keep(self, image: Image) -> KeepReason | None:
        """in_use, sandbox or pinned; None where nothing of the runtime needs it."""
        keys = [identity_keys(name) for name in (image.id, *image.references)]
        if any(not key.isdisjoint(self.in_use) for key in keys):
            return KeepReason.IN_USE
        if any(not key.isdisjoint(self.sandbox) for key in keys):
            return KeepReason.SANDBOX
        return KeepReason.PINNED if image.pinned else None


def needs_of(containers: Iterable[Container], sandbox_images: Iterable[str]) -> Needs:
    """What containers in any state and pod sandboxes need."""
    return Needs(
        in_use=_keys_of(name for container in containers for name in container.image_names),
        sandbox=_keys_of(sandbox_images),
    )


def ids_in_use(images: Iterable[Image], needs: Needs) -> frozenset[str]:
    """Ids of the images that a container uses."""
    return frozenset(image.id for image in images if needs.reason_to_keep(image) is KeepReason.IN_USE)


def reason_to_spare(planned: Image, present: Image | None, needs: Needs) -> str | None:
    """What the last look found against removing an image; None: nothing, it may go."""
    if present is None:
        return "already gone"
    if not present.readable:
        return "its status could not be read"
    if reason := needs.reason_to_keep(present):
        return f"now {reason.value}"
    if present.references != planned.references:
        return "its references changed"
    if present.pulled_at != planned.pulled_at:
        return "it was pulled again"
    return None


def _keys_of(names: Iterable[str]) -> frozenset[str]:
    return frozenset(key for name in names for key in identity_keys(name))
