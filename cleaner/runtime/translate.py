"""From the runtime's messages to `core`'s values.

It must not do I/O or guess: what cannot be read is None where that keeps an image, and an error where it would not.
"""

import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from cleaner.core.errors import RuntimeRejectedError
from cleaner.core.model import Image
from cleaner.runtime.pb import cri_pb2

_NO_NAMES = frozenset({"", "<none>", "<none>:<none>", "<none>@<none>"})
"""How runtimes write that there is no name. `name:<none>` stays: it still says what the image is."""

_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_SECOND, _LAST_SECOND = -62_135_596_800, 253_402_300_799
"""The first of the years 1 and the last of 9999."""
_GO_ZERO_TIME = datetime(1, 1, 1, tzinfo=UTC)


def merge_images(messages: Iterable[cri_pb2.Image]) -> list[Image]:
    """By id. One that is listed twice has the names of both, so that nothing is lost that may keep it."""
    images: dict[str, Image] = {}
    for message in messages:
        image = translate_image(message)
        images[image.id] = _merge(images[image.id], image) if image.id in images else image
    # Nothing can be asked about an image without an id, nor can it be removed.
    images.pop("", None)
    return [images[image_id] for image_id in sorted(images)]


def _merge(one: Image, other: Image) -> Image:
    return Image(
        id=one.id,
        tags=_names(one.tags + other.tags),
        digests=_names(one.digests + other.digests),
        size_bytes=max(one.size_bytes, other.size_bytes),
        pinned=one.pinned or other.pinned,
    )


def translate_image(message: cri_pb2.Image) -> Image:
    """What the message says; its times are not in it."""
    return Image(
        id=message.id,
        tags=_names(message.repo_tags),
        digests=_names(message.repo_digests),
        size_bytes=message.size,
        pinned=message.pinned,
    )


def _names(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(names) - _NO_NAMES))


def names_by_container(messages: Iterable[cri_pb2.Container]) -> dict[str, frozenset[str]]:
    """Every name that each container has for its own image; all of them where it is listed twice."""
    names: dict[str, frozenset[str]] = {}
    for message in messages:
        own = {message.image_id, message.image_ref, *_spec_names(message.image)} - {""}
        names[message.id] = names.get(message.id, frozenset()) | own
    return names


def mounted_image_names(message: cri_pb2.ContainerStatus) -> frozenset[str]:
    """Every name of the images that are mounted into a container; only its status tells them."""
    return frozenset(name for mount in message.mounts for name in _spec_names(mount.image) if name)


def _spec_names(spec: cri_pb2.ImageSpec) -> tuple[str, ...]:
    return spec.image, spec.user_specified_image, spec.image_ref


def read_created_at(info: Mapping[str, str]) -> datetime | None:
    """`created` of a verbose ImageStatus; None where the image or the runtime does not tell.

    RuntimeRejectedError where there is something that cannot be read.
    """
    spec = _read_json(info, "info", "ImageStatus").get("imageSpec")
    created = spec.get("created") if isinstance(spec, dict) else None
    return parse_time(created) if isinstance(created, str) else None


def has_image_spec(info: Mapping[str, str]) -> bool:
    """Whether a verbose ImageStatus has an image's config. Errors as above."""
    return isinstance(_read_json(info, "info", "ImageStatus").get("imageSpec"), dict)


def read_sandbox_image(info: Mapping[str, str]) -> str | None:
    """The image that a pod sandbox runs, by its verbose status; None where it is not told (CRI-O pins its own).

    RuntimeRejectedError where there is something that cannot be read: it may be the name of the image
    without which no pod starts, so nothing may be evicted.
    """
    return _text(_read_json(info, "info", "PodSandboxStatus").get("image"))


def read_next_sandbox_image(info: Mapping[str, str]) -> str | None:
    """The image of the next sandbox, by a verbose Status: containerd 1.6 and 1.7 tell it. Errors as above."""
    return _text(_read_json(info, "config", "Status").get("sandboxImage"))


def _read_json(info: Mapping[str, str], key: str, method_name: str) -> dict[str, Any]:
    """A JSON object of a verbose answer; empty where the runtime sends none."""
    if not info.get(key):
        return {}
    try:
        value = json.loads(info[key])
    except (ValueError, RecursionError) as error:
        raise RuntimeRejectedError(f"{method_name}: its info[{key!r}] is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise RuntimeRejectedError(f"{method_name}: its info[{key!r}] is no JSON object")
    return value


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def parse_time(text: str) -> datetime | None:
    """RFC 3339 as Go writes it, in UTC, to the microsecond; None for anything else and what Python cannot hold."""
    if not _RFC_3339.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def with_created_at(image: Image, created_at: datetime | None) -> Image:
    """The image with this time; `replace` would take five times as long, for each image of each list."""
    return Image(
        image.id,
        image.tags,
        image.digests,
        image.size_bytes,
        image.pinned,
        created_at,
        image.pulled_at,
        image.readable,
        image.local,
        image.imported,
        image.stray_records,
        image.artifact,
    )


def is_in_calendar(timestamp: Timestamp) -> bool:
    """Whether it is a time at all: not Go's zero time, and not past what Python can hold."""
    return _FIRST_SECOND < timestamp.seconds < _LAST_SECOND


def translate_time(timestamp: Timestamp) -> datetime | None:
    """In UTC, to the microsecond; None for Go's zero time and what Python cannot hold."""
    try:
        time = _EPOCH + timedelta(seconds=timestamp.seconds, microseconds=timestamp.nanos // 1000)
    except OverflowError:
        return None
    return time if time > _GO_ZERO_TIME else None
