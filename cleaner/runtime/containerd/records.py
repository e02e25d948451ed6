"""What containerd's image records say, by name and by target: one CRI image is several records.

It must not know what follows from that, see `image_records.py`.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from google.protobuf.timestamp_pb2 import Timestamp

from cleaner.core.model import Image
from cleaner.runtime.containerd.record_list import list_records_of
from cleaner.runtime.containerd.record_names import cri_name
from cleaner.runtime.pb import containerd_images_pb2 as pb
from cleaner.runtime.rpc import GET_RECORD, ContainerdApi, require_answer_about
from cleaner.runtime.translate import is_in_calendar, translate_time

_Moment = tuple[int, int]
"""Seconds since 1970, and nanoseconds."""
_NEVER: _Moment = (-(1 << 62), 0)

_PINNED_LABEL, _PINNED = "io.cri-containerd.pinned", "pinned"
"""CRI of containerd 1.6.22 and later reports it; 1.6.25, 1.7.10 and later also where it was set later."""
_IMPORTERS = ("io.cattle.", "io.k0sproject.")
_IMPORT_MARK = re.compile(r"io\.cattle\..*\.pinned|io\.k0sproject\..*", re.DOTALL)
"""What k3s, RKE2 and k0s write on records of the images that they import."""


class Recorded(NamedTuple):
    """An image as CRI lists it, with the targets of its records and when it was pulled."""

    image: Image
    targets: frozenset[str]
    """Digests of manifests or indexes; empty where no record bears one of its names."""
    pulled_at: datetime | None
    """Newest time of all records of these targets, whatever their names; None where none has a time."""


@dataclass(frozen=True, slots=True)
class Records:
    """What some of containerd's image records say. One CRI image is several: tags, repo digests, its id."""

    target_by_name: Mapping[str, str]
    """Record name to the digest of its manifest or index."""
    names_by_target: Mapping[str, frozenset[str]]
    newest_by_target: Mapping[str, datetime]
    """Digest to the newest time of its records: of a moved tag only `updated_at` changes."""
    renamed: frozenset[str]
    """Names of the records that CRI keeps under another name."""
    targets_by_cri_name: Mapping[str, frozenset[str]]
    """Those other names to the targets of the records that CRI keeps under them."""
    pinned: frozenset[str]
    """Targets of records that are labelled as pinned."""
    imported: frozenset[str]
    """Targets of records with the mark of an import."""

    def targets_named(self, name: str) -> frozenset[str]:
        """Targets of the record of this name, or else of those that CRI keeps under it."""
        if name in self.target_by_name:
            return frozenset({self.target_by_name[name]})
        return self.targets_by_cri_name.get(name, frozenset())

    def targets_of(self, image: Image) -> frozenset[str]:
        """Targets of the records that bear one of the image's names."""
        names, known = own_names(image), self.target_by_name
        targets = {known[name] for name in names if name in known}
        if self.renamed:
            targets.update(*map(self.targets_named, names))
        return frozenset(targets)

    def find(self, image: Image) -> Recorded:
        """The image with what its records tell."""
        targets = self.targets_of(image)
        times = [self.newest_by_target[target] for target in targets if target in self.newest_by_target]
        return Recorded(image, targets, max(times, default=None))

    def strays_of(self, recorded: Recorded) -> tuple[str, ...]:
        """Names of the image's records that RemoveImage leaves behind, sorted: CRI keeps them under another name."""
        if not self.renamed:
            return ()
        names = frozenset().union(*(self.names_by_target[target] for target in recorded.targets))
        return tuple(sorted((names & self.renamed) - set(own_names(recorded.image))))


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
    cri_names: dict[str, str] = {}
    pinned: set[str] = set()
    imported: set[str] = set()
    for message in messages:
        name = message.name
        target = targets[name] = message.target.digest
        names.setdefault(target, set()).add(name)
        if (other := cri_name(name)) != name:
            cri_names[name] = other
        for label in message.labels:
            if label == _PINNED_LABEL and message.labels[label] == _PINNED:
                pinned.add(target)
            elif label.startswith(_IMPORTERS) and _IMPORT_MARK.fullmatch(label):
                imported.add(target)
        for field in ("updated_at", "created_at"):
            # As numbers, and first of all by the seconds: an image has three records, and one of six times counts.
            stamp = getattr(message, field)
            known = newest.get(target, _NEVER)
            if stamp.seconds >= known[0] and message.HasField(field) and is_in_calendar(stamp):
                newest[target] = max(known, (stamp.seconds, stamp.nanos))
    times = {target: translate_time(Timestamp(seconds=at[0], nanos=at[1])) for target, at in newest.items()}
    return Records(
        target_by_name=targets,
        names_by_target={target: frozenset(found) for target, found in names.items()},
        newest_by_target={target: time for target, time in times.items() if time is not None},
        renamed=frozenset(cri_names),
        targets_by_cri_name=_collect((other, targets[name]) for name, other in cri_names.items()),
        pinned=frozenset(pinned),
        imported=frozenset(imported),
    )


def _collect(pairs: Iterable[tuple[str, str]]) -> dict[str, frozenset[str]]:
    """All second values of each first one."""
    found: dict[str, set[str]] = {}
    for name, target in pairs:
        found.setdefault(name, set()).add(target)
    return {name: frozenset(targets) for name, targets in found.items()}


def own_names(image: Image) -> tuple[str, ...]:
    """Every name that CRI tells of an image."""
    return (image.id, *image.references)
