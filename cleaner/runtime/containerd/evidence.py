"""Whether anything shows that a registry has an image: the labels that a pull leaves in containerd's content store.

A pull labels what it fetches with the registry (mostly without its port) and the repository. An import and another tag
do not: an image tagged `other/app` by `ctr` need not be in that repository. So every reference of an image needs
the label of its own repository, on the manifest or index that its record points to. Where that has no such label at
all, the config's counts.

In doubt there is no evidence: for a reference without a record, for a blob that is missing or cannot be read.
Source: containerd, `core/remotes/docker/handler.go`; measured on 1.6.20, 1.7.24 and 2.1.9.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from cleaner.core.errors import RuntimeUnavailableError
from cleaner.core.model import Image
from cleaner.core.references import Reference, parse_reference
from cleaner.runtime.containerd.lookups import find_readable_blobs
from cleaner.runtime.containerd.records import Recorded, Records
from cleaner.runtime.rpc import ContainerdApi, MissingApiError, NotServingError

_SOURCE_LABEL = "containerd.io/distribution.source."
_TOGETHER = 64
"""Blobs that are asked for at once."""
_MOST_LATE = 3
"""How often the content store may be late in one reading: each time costs a deadline, and leaves blobs unread."""

_Sources = Mapping[str, frozenset[str]]
"""By registry, the repositories that a blob was fetched from."""


@dataclass(frozen=True, slots=True)
class _Answer:
    state: int
    """What the image was like then, see `_state_of`."""
    found: bool


@dataclass(frozen=True, slots=True)
class _Claim:
    """A reference, which says that its registry has the image, and the targets of its record."""

    reference: Reference
    targets: frozenset[str]


class PullEvidence:
    """Keeps its answer about an image for as long as its references, its records' targets and its pull time stay."""

    def __init__(self, api: ContainerdApi) -> None:
        """Know nothing yet."""
        self._api = api
        self._answers: dict[str, _Answer] = {}

    def find(self, images: Sequence[Recorded], records: Records) -> frozenset[str]:
        """Ids of those of these images of which a registry is known to have each reference."""
        states = {recorded.image.id: _state_of(recorded) for recorded in images}
        new = [recorded.image for recorded in images if not self._knows(recorded.image.id, states[recorded.image.id])]
        for image_id, found in self._read(new, records).items():
            self._answers[image_id] = _Answer(states[image_id], found)
        return frozenset(i for i, state in states.items() if self._knows(i, state) and self._answers[i].found)

    def keep_only(self, image_ids: Collection[str]) -> None:
        """Drop the answers about all other images."""
        self._answers = {image_id: answer for image_id, answer in self._answers.items() if image_id in image_ids}

    def _knows(self, image_id: str, state: int) -> bool:
        answer = self._answers.get(image_id)
        return answer is not None and answer.state == state

    def _read(self, images: Sequence[Image], records: Records) -> dict[str, bool]:
        """Whether there is evidence, by image id; images whose blobs could not be read are left out."""
        answers = dict.fromkeys((image.id for image in images), False)
        claims = {image.id: found for image in images if (found := _claims_of(image, records))}
        targets = {i: frozenset[str]().union(*(claim.targets for claim in claims[i])) for i in claims}
        sources = self._read_sources(frozenset[str]().union(*targets.values()))
        configs = {i for i, known in targets.items() if any(sources.get(target) == {} for target in known)}
        sources |= self._read_sources(configs)
        for image_id, known in claims.items():
            if targets[image_id] | ({image_id} & configs) <= sources.keys():
                answers[image_id] = all(_is_shown(claim, image_id, sources) for claim in known)
            else:
                del answers[image_id]
        return answers

    def _read_sources(self, digests: Iterable[str]) -> dict[str, _Sources | None]:
        """Where blobs were fetched from; None for one that is not there. Those that cannot be read are left out."""
        found: dict[str, _Sources | None] = {}
        ordered, late = sorted(digests), 0
        for start in range(0, len(ordered), _TOGETHER):
            try:
                blobs = find_readable_blobs(self._api, ordered[start : start + _TOGETHER])
            except (MissingApiError, NotServingError):
                break
            except RuntimeUnavailableError:
                late += 1
                if late == _MOST_LATE:
                    break
            else:
                found |= {digest: None if blob is None else _sources_of(blob.labels) for digest, blob in blobs.items()}
        return found


def _state_of(recorded: Recorded) -> int:
    """Equal for as long as the answer holds: a pull labels first, and then writes records with a new time.

    A number, since thousands of images are kept in memory so.
    """
    return hash((recorded.image.tags, recorded.image.digests, recorded.targets, recorded.pulled_at))


def _claims_of(image: Image, records: Records) -> tuple[_Claim, ...]:
    """The references that need evidence; () if one has no record."""
    claims = tuple(
        _Claim(reference, targets)
        for text in image.references
        if (reference := parse_reference(text)) and (targets := records.targets_named(text))
    )
    return claims if len(claims) == len(image.references) else ()


def _sources_of(labels: Mapping[str, str]) -> _Sources:
    found = [
        (label.removeprefix(_SOURCE_LABEL), value) for label, value in labels.items() if label.startswith(_SOURCE_LABEL)
    ]
    return {registry.lower(): frozenset(value.split(",")) for registry, value in found}


def _is_shown(claim: _Claim, image_id: str, sources: Mapping[str, _Sources | None]) -> bool:
    """Whether each target of a claim, or the config in its place, was fetched from the claimed repository."""
    deciding = (sources[image_id] if sources[target] == {} else sources[target] for target in claim.targets)
    return all(blob is not None and _covers(blob, claim.reference) for blob in deciding)


def _covers(sources: _Sources, reference: Reference) -> bool:
    host, colon, port = reference.registry.rpartition(":")
    without_port = host if colon and port.isdecimal() else reference.registry
    # An IPv6 address is labelled without its brackets.
    names = {reference.registry, without_port, without_port.strip("[]")}
    return any(reference.repository in sources.get(name.lower(), ()) for name in names)
