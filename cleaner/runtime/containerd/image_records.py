"""What containerd's own API tells of images beyond CRI: pull time, evidence of a pull, marks, records that would stay.

It must not guess: without that API nothing of this is known, and with it a failed read of the records is an error.
"""

from collections.abc import Collection, Iterable, Sequence

from cleaner.core.model import Image
from cleaner.runtime.containerd.evidence import PullEvidence
from cleaner.runtime.containerd.record_list import list_records, list_records_matching
from cleaner.runtime.containerd.records import Recorded, Records, index_records, own_names, read_records
from cleaner.runtime.pb import containerd_images_pb2 as pb
from cleaner.runtime.rpc import CallRejectedError, ContainerdApi, MissingApiError

_NO_RECORDS = index_records(())


class ImageRecords:
    """Completes images from their records, all of them or freshly one."""

    def __init__(self, api: ContainerdApi) -> None:
        """Read nothing yet."""
        self._api = api
        self._evidence = PullEvidence(api)
        self._targets: dict[str, tuple[str, ...]] = {}
        self._last_read = ("", _NO_RECORDS)

    @property
    def image_ids(self) -> Collection[str]:
        """Ids of the images that were listed last; none without that API."""
        return self._targets.keys()

    def complete_all(self, images: Sequence[Image]) -> Sequence[Image]:
        """All images as CRI lists them, each with what its records tell; as they are without that API."""
        try:
            records = index_records(self._list_records(images))
        except MissingApiError:
            self._targets = {}
            return images
        found = [records.find(image) for image in images]
        self._targets = {recorded.image.id: tuple(recorded.targets) for recorded in found}
        self._evidence.keep_only(self._targets.keys())
        pulled = self._evidence.find(found, records)
        return [_complete(recorded, records, local=recorded.image.id not in pulled) for recorded in found]

    def complete(self, image: Image) -> Image:
        """One image with what its records tell now; as it is without that API.

        One list where the targets are the known ones. Any filter makes containerd read every record, which takes 15 ms
        for 1,000 images.
        """
        try:
            records = index_records(self._list_records_of(image))
        except MissingApiError:
            return image
        self._last_read = (image.id, records)
        recorded = records.find(image)
        return _complete(recorded, records, local=image.id not in self._evidence.find([recorded], records))

    def list_leftovers(self, image: Image) -> tuple[str, ...]:
        """Names under which an image's records are there though it is gone, by its records when it was last read.

        Its names may have come to point to other images since; a record named by its id is always its own.
        """
        last_id, last = self._last_read
        targets = last.targets_of(image) if last_id == image.id else frozenset()
        names = {image.id, *last.target_by_name}
        try:
            left = self._list_leftovers(image, targets, names)
        except MissingApiError:
            return ()
        return tuple(sorted(record.name for record in left if record.name in names))

    def _list_leftovers(self, image: Image, targets: Iterable[str], names: Iterable[str]) -> Iterable[pb.Image]:
        """The records with these targets, or with the image's id; by their names where that list is too large."""
        try:
            return list_records_matching(self._api, [image.id], targets)
        except CallRejectedError as error:
            if not error.too_large:
                raise
            found = read_records(self._api, sorted(names))
            return [record for record in found if record.name == image.id or record.target.digest in set(targets)]

    def _list_records(self, images: Iterable[Image]) -> Iterable[pb.Image]:
        """All records; only those with the images' names if the list cannot be read even in small parts."""
        try:
            return list_records(self._api)
        except CallRejectedError as error:
            if not error.too_large:
                raise
            # Only odd names are missed then. A pull time that is None here would differ from that of the final check.
            return read_records(self._api, [name for image in images for name in own_names(image)])

    def _list_records_of(self, image: Image) -> Iterable[pb.Image]:
        """All records of one image; only those with its names if that list is too large."""
        known = self._targets.get(image.id, ())
        try:
            messages = list_records_matching(self._api, own_names(image), known)
            new = index_records(messages).targets_of(image).difference(known)
            return messages + list_records_matching(self._api, (), new) if new else messages
        except CallRejectedError as error:
            if not error.too_large:
                raise
            return read_records(self._api, own_names(image))


def _complete(recorded: Recorded, records: Records, *, local: bool) -> Image:
    """By position: `replace` would take five times as long, for each image of each list."""
    image, targets, pulled_at = recorded
    return Image(
        image.id,
        image.tags,
        image.digests,
        image.size_bytes,
        image.pinned or not targets.isdisjoint(records.pinned),
        image.created_at,
        pulled_at,
        image.readable,
        local,
        not targets.isdisjoint(records.imported),
        records.strays_of(recorded),
        image.artifact,
    )
