"""Images for a lab's node, each described by one value: how it is named, how old it is, how it came and who uses it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from lab import ImageSpec, Lab, Layer, Pod

OWN_BYTES = 256 * 1024
"""What every image has for itself, beside the base that all share."""


class Way(StrEnum):
    """How an image came to the node."""

    BY_TAG = "pulled by its tag"
    BY_DIGEST = "pulled by its digest only"
    IMPORTED = "imported, so without a digest"


class User(StrEnum):
    """In which state its container is."""

    RUNNING = "a container runs"
    EXITED = "a container has exited"
    CREATED = "a container is created, not started"


@dataclass(frozen=True)
class Case:
    """One image: how it is made, what is to become of it, and why."""

    name: str
    reference: str
    built: timedelta | str | None
    """How long ago; or what its config says instead; or nothing."""
    expected: str
    """`expired`, which is evicted, or the reason to keep it."""
    why: str
    way: Way = Way.BY_TAG
    also_pulled: str | None = None
    also_tagged: str | None = None
    user: User | None = None

    @property
    def is_evicted(self) -> bool:
        return self.expected == "expired"

    @property
    def made(self) -> str:
        """How it was made, in words."""
        words = [self.way.value, _built_words(self.built)]
        words += [f"also pulled as {self.also_pulled}"] if self.also_pulled else []
        words += [f"also tagged {self.also_tagged}"] if self.also_tagged else []
        return "; ".join([*words, self.user.value] if self.user else words)


def _built_words(built: timedelta | str | None) -> str:
    if isinstance(built, timedelta):
        days = built / timedelta(days=1)
        return f"built {days:.4g} days ago"
    return "no build time" if built is None else f"built {built}"


@dataclass(frozen=True)
class Made:
    """The cases on a node: image ids and pods by the name of the case."""

    ids: dict[str, str]
    pods: dict[str, Pod]


def make_cases(lab: Lab, cases: Sequence[Case], now: datetime) -> Made:
    """Bring all images to the node, in this order: of two with the same tag the later one has it."""
    made = Made({}, {})
    for seed, case in enumerate(cases):
        made.ids[case.name] = _bring(lab, case, _spec_of(case, seed, now))
        if case.user is not None:
            made.pods[case.name] = _use(lab, case)
    return made


def _spec_of(case: Case, seed: int, now: datetime) -> ImageSpec:
    repository, _, tag = case.reference.partition("/")[2].partition(":")
    created = (now - case.built).isoformat() if isinstance(case.built, timedelta) else case.built
    return ImageSpec(repository, tag, (Layer(OWN_BYTES, seed),), created)


def _bring(lab: Lab, case: Case, spec: ImageSpec) -> str:
    if case.way is Way.IMPORTED:
        return lab.load(spec, case.reference).image_id
    (image,) = lab.push(spec)
    registry = case.reference.partition("/")[0]
    image_id = lab.pull(case.reference if case.way is Way.BY_TAG else image.digest_reference(registry))
    if case.also_pulled:
        lab.pull(case.also_pulled)
    if case.also_tagged:
        lab.tag(case.reference, case.also_tagged)
    return image_id


def _use(lab: Lab, case: Case) -> Pod:
    pod = lab.start_pod(case.reference, run=case.user is not User.CREATED)
    if case.user is User.EXITED:
        pod.stop()
    return pod
