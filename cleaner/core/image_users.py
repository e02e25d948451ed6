"""Which images containers and sandboxes use, and what the final check before a removal finds.

CRI runtimes name one image in many ways (CRI ListContainers, ContainerStatus). The agent therefore compares ids,
digests and full tags, and one match is enough.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from cleaner.core.model import Container, Image, KeepReason
from cleaner.core.references import identity_keys


@dataclass(frozen=True, slots=True)
class ImageUsers:
    """Identity keys of all images in use on the node."""

    in_use: frozenset[str]
    sandbox: frozenset[str]
    used: frozenset[str] = frozenset()
    """In use at some time since the plan, though perhaps no longer."""

    def used_since_plan(self, image: Image) -> bool:
        """Whether a container had it since the plan."""
        return any(not identity_keys(name).isdisjoint(self.used) for name in (image.id, *image.references))

    def reason_to_keep(self, image: Image) -> KeepReason | None:
        """in_use, sandbox or pinned; None where none of these applies."""
        keys = [identity_keys(name) for name in (image.id, *image.references)]
        if any(not key.isdisjoint(self.in_use) for key in keys):
            return KeepReason.IN_USE
        if any(not key.isdisjoint(self.sandbox) for key in keys):
            return KeepReason.SANDBOX
        return KeepReason.PINNED if image.pinned else None


def image_users(containers: Iterable[Container], sandbox_images: Iterable[str]) -> ImageUsers:
    """The images that containers in any state and pod sandboxes use."""
    return ImageUsers(
        in_use=_keys_of(name for container in containers for name in container.image_names),
        sandbox=_keys_of(sandbox_images),
    )


def ids_in_use(images: Iterable[Image], users: ImageUsers) -> frozenset[str]:
    """Ids of the images that a container uses."""
    return frozenset(image.id for image in images if users.reason_to_keep(image) is KeepReason.IN_USE)


def keys_used_after(planned_at: datetime, last_used_at: Mapping[str, datetime]) -> frozenset[str]:
    """Identity keys of the images, by id, that were used after the plan: what was known then is in it."""
    return _keys_of(image_id for image_id, used_at in last_used_at.items() if used_at > planned_at)


def reason_to_spare(planned: Image, present: Image | None, users: ImageUsers) -> str | None:
    """What the final check found against removing an image; None where it may be evicted."""
    if present is None:
        return "already gone"
    if not present.readable:
        return "its status could not be read"
    # A user may know the image by a digest reference that only the list has.
    known = replace(present, digests=tuple(sorted({*planned.digests, *present.digests})))
    if reason := users.reason_to_keep(known):
        return f"now {reason.value}"
    return "used since the plan" if users.used_since_plan(known) else _change_of(planned, present)


def _change_of(planned: Image, present: Image) -> str | None:
    """What is new about an image since the plan.

    Digest references that are missing now are no change: a rule matched them, and nothing was added. CRI-O invents
    one in its list, and none in the status, for an image whose tag has moved.
    """
    if present.tags != planned.tags or not set(present.digests) <= set(planned.digests):
        return "its references changed"
    if present.pulled_at != planned.pulled_at:
        return "it was pulled again"
    if present.artifact or present.stray_records:
        return f"now {KeepReason.UNREMOVABLE.value}"
    local, was_local = (image.local or image.imported for image in (present, planned))
    return f"now {KeepReason.LOCAL.value}" if local and not was_local else None


def _keys_of(names: Iterable[str]) -> frozenset[str]:
    return frozenset(key for name in names for key in identity_keys(name))
