"""What the image records of containerd's own API tell: when an image was pulled, and which names are the same image.

It must not guess: without that API there is no pull time, and with it a failed read is an error.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from cleaner.core.model import Image
from cleaner.runtime.containerd.record_list import list_records, list_records_of
from cleaner.runtime.pb import containerd_images_pb2 as pb
from cleaner.runtime.rpc import GET_RECORD, CallRejectedError, ContainerdApi, MissingApiError, require_answer_about
from cleaner.runtime.translate import is_in_calendar, translate_time

_Moment = tuple[int, int]
"""Seconds since 1970, and nanoseconds."""
_NEVER: _Moment = (-(1 << 62), 0)


@dataclass(frozen=True, slots=True)
class Records:
    """What some of containerd's image records say. One CRI image is several: tags, repo digests, its id."""

    target_by_name: Mapping[str, str]
    """Record name to the digest of its manifest or index."""
    names_by_target: Mapping[str, frozenset[str]]
    newest_by_target: Mapping[str, datetime]
    """Digest to the newest time of its records: of a moved tag only `updated_at` changes."""

    def targets_of(self, image: Image) -> frozenset[str]:
        """Targets of the records that bear one of the image's names."""
        return frozenset(self.target_by_name[name] for name in _own_names(image) if name in self.target_by_name)

    def newest(self, targets: Iterable[str]) -> datetime | None:
        """Newest time of all records of these targets, whatever their names; None where none has a time."""
        times = (self.newest_by_target[target] for target in targets if target in self.newest_by_target)
        return max(times, default=None)

    def other_names(self, image: Image) -> frozenset[str]:
        """Names of records of the image's targets that CRI does not tell, since they are no references."""
        names = (self.names_by_target[target] for target in self.targets_of(image))
        return frozenset().union(*names) - set(_own_names(image))


class PullTimes:
    """Reads pull times, of all images or freshly of one."""

    def __init__(self, api: ContainerdApi) -> None:
        """Read nothing yet."""
        self._api = api
        self._other_names: dict[str, frozenset[str]] = {}
        self._last_read: tuple[str, frozenset[str]] = ("", frozenset())

    def read_all(self, images: Iterable[Image]) -> Mapping[str, datetime | None]:
        """By image id; all None where the runtime has no such API."""
        images = tuple(images)
        records = index_records(self._list_records(images))
        pulled = {image.id: records.newest(records.targets_of(image)) for image in images}
        self._other_names = {image.id: others for image in images if (others := records.other_names(image))}
        return pulled

    def read(self, image: Image) -> datetime | None:
        """Of one image, by its names as they are now, and by the odd ones that the last list had.

        By name, since any filter makes containerd read every record: 15 ms for 1,000 images, and 0.4 ms a name.
        """
        own = self._read_records(_own_names(image))
        targets = frozenset(record.target.digest for record in own)
        self._last_read = (image.id, targets)
        others = self._read_records(self._other_names.get(image.id, ()))
        records = index_records([*own, *(record for record in others if record.target.digest in targets)])
        return records.newest(targets)

    def list_leftovers(self, image: Image) -> tuple[str, ...]:
        """Names under which an image's records are there though it is gone, by its targets when it was last read.

        Its names may have come to point to other images since; a record named by its id is always its own.
        """
        last_id, targets = self._last_read
        names = {*_own_names(image), *self._other_names.get(image.id, ())}
        left = [record for record in self._read_records(names) if image.id in (record.name, last_id)]
        return tuple(sorted(r.name for r in left if r.name == image.id or r.target.digest in targets))

    def _list_records(self, images: Iterable[Image]) -> Iterable[pb.Image]:
        """All records; the ones that bear the images' names where they cannot be listed even in small parts."""
        try:
            return list_records(self._api)
        except MissingApiError:
            return ()
        except CallRejectedError as error:
            if not error.too_large:
                raise
            # Only odd names are missed then. A pull time that is None here would differ from that of the final check.
            return read_records(self._api, [name for image in images for name in _own_names(image)])

    def _read_records(self, names: Iterable[str]) -> list[pb.Image]:
        """Those that are there."""
        try:
            return read_records(self._api, names)
        except MissingApiError:
            return []


def read_records(api: ContainerdApi, names: Iterable[str]) -> list[pb.Image]:
    """The records of these names; those that are there. RuntimeRejectedError for an answer about another record."""
    return [record for name in names if (record := _read_record(api, name)) is not None]


def _read_record(api: ContainerdApi, name: str) -> pb.Image | None:
    answer = api.read(GET_RECORD, pb.GetImageRequest(name=name))
    if answer is None:
        return None
    require_answer_about(name, answer.image.name, GET_RECORD.name)
    return answer.image


def read_namesakes(api: ContainerdApi, names: Collection[str]) -> dict[str, frozenset[str]]:
    """For each name its target, and the names of all records with that target: one of them is the image's id.

    A name that has no record is its own only namesake. One list for all of them.
    """
    targets = {record.name: record.target.digest for record in read_records(api, names)}
    known = index_records(list_records_of(api, sorted(set(targets.values())))).names_by_target
    same = {name: known.get(target, frozenset()) | {target} for name, target in targets.items()}
    return {name: same.get(name, frozenset()) | {name} for name in names}


def index_records(messages: Iterable[pb.Image]) -> Records:
    """Records by name and by target."""
    targets: dict[str, str] = {}
    names: dict[str, set[str]] = {}
    newest: dict[str, _Moment] = {}
    for message in messages:
        target = targets[message.name] = message.target.digest
        names.setdefault(target, set()).add(message.name)
        for field in ("updated_at", "created_at"):
            # As numbers, and first of all by the seconds: an image has three records, and one of six times counts.
            stamp = getattr(message, field)
            known = newest.get(target, _NEVER)
            if stamp.seconds >= known[0] and message.HasField(field) and is_in_calendar(stamp):
                newest[target] = max(known, (stamp.seconds, stamp.nanos))
    times = {target: translate_time(Timestamp(seconds=at[0], nanos=at[1])) for target, at in newest.items()}
    named = {target: frozenset(found) for target, found in names.items()}
    return Records(targets, named, {target: time for target, time in times.items() if time is not None})


def _own_names(image: Image) -> tuple[str, ...]:
    return (image.id, *image.references)
