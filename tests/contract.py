"""What any runtime and its disk must do for this product, as promises that a bench can be put to.

The same promises are run on the simulated node (tests/unit) and on real containerds (tests/e2e), so that what unit
tests show on the simulation is true on a node.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

import pytest

from cleaner.core.disk_usage import Filesystem
from cleaner.core.image_users import image_users
from cleaner.core.model import Image, KeepReason
from cleaner.core.ports import Disk, Runtime
from cleaner.core.read_state import AVAILABLE

KIB = 1 << 10
MIB = 1 << 20
REGISTRY = "registry.example.com"
OTHER_REGISTRY = "mirror.example.org"
UNKNOWN_ID = f"sha256:{'0' * 64}"
METADATA_BYTES = 512 * KIB
"""What a filesystem may use or free besides contents: directories, journals, containerd's database."""


@dataclass(frozen=True)
class Build:
    """One image as a registry has it. Layers are named: builds that name the same one share it."""

    repository: str
    tag: str = "v1"
    layers: tuple[tuple[str, int], ...] = ()
    """Name and bytes of each; random bytes, on a containerd."""
    created: str | None = "2026-01-02T03:04:05Z"
    """As the config has it, however implausible; None leaves it out."""

    def reference(self, registry: str = REGISTRY) -> str:
        return f"{registry}/{self.repository}:{self.tag}"


class Bench(Protocol):
    """A node under test, and hands that do to it what a kubelet and an administrator do."""

    @property
    def pause_reference(self) -> str: ...

    @property
    def runtime(self) -> Runtime: ...

    @property
    def disk(self) -> Disk: ...

    def now(self) -> datetime:
        """The clock that the runtime writes its times by; later with every reading."""
        ...

    def publish(self, build: Build) -> str:
        """Make a build pullable under its tag in every registry; gives its manifest's digest."""
        ...

    def pull(self, reference: str) -> str:
        """Pull what is published, by tag or digest; gives the image id."""
        ...

    def pulling(self, reference: str) -> AbstractContextManager[None]:
        """A pull of what is published: begun, with most of it to come, and there when the with-block ends."""
        ...

    def load(self, build: Build, name: str) -> str:
        """Import a build that no registry has; gives the image id."""
        ...

    def load_by_digest(self, build: Build, base_name: str | None = None) -> str:
        """Import a build by its digest, under a base name or what an import calls it by itself; gives the image id."""
        ...

    def tag(self, source: str, target: str) -> None:
        """Give an image another tag."""
        ...

    def tag_as_is(self, source: str, name: str) -> None:
        """Give an image a record of a name that is not in full: CRI writes it otherwise."""
        ...

    def label(self, reference: str, key: str, value: str) -> None:
        """Label the image record of this name."""
        ...

    def create(self, reference: str) -> str:
        """Create a container and do not start it; gives its id."""
        ...

    def start(self, reference: str) -> str:
        """Create and start a container; gives its id."""
        ...

    def create_outside_cri(self, reference: str) -> str:
        """Create a container that CRI does not list, from an image that has this name now; gives its id."""
        ...

    def exit(self, container_id: str) -> None:
        """Let a container end; it stays, exited."""
        ...

    def remove(self, container_id: str) -> None:
        """Remove a container, with its pod."""
        ...

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        """Return once a condition is met, fail after a deadline."""
        ...


Promise = Callable[[Bench], None]
PROMISES: list[Promise] = []


def promise(check: Promise) -> Promise:
    """Add a check to those that every bench is put to."""
    PROMISES.append(check)
    return check


def name_of(check: Promise) -> str:
    """A check's name in pytest's list."""
    return getattr(check, "__name__", "promise")


# What is listed


@promise
def a_pulled_image_is_listed_once_with_all_that_is_known(bench: Bench) -> None:
    """A pulled image is in the list once, with its tag, digest, size, build time, and now as its pull time."""
    build = Build("contract/pulled", layers=(("pulled", MIB),))
    digest, before = bench.publish(build), bench.now()
    image_id = bench.pull(build.reference())
    (image,) = [image for image in bench.runtime.list_images() if build.reference() in image.references]
    assert (image.id, image.tags) == (image_id, (build.reference(),))
    assert image.digests == (f"{REGISTRY}/{build.repository}@{digest}",)
    assert image.id.startswith("sha256:")
    assert image.size_bytes >= MIB
    assert image.readable
    assert not image.pinned
    assert image.created_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert image.pulled_at is not None
    assert before <= image.pulled_at <= bench.now()


@promise
def images_are_listed_by_id(bench: Bench) -> None:
    """The list of images is sorted by id, and has each id once."""
    for number in range(4):
        pulled(bench, Build(f"contract/sorted-{number}"))
    ids = [image.id for image in bench.runtime.list_images()]
    assert ids == sorted(set(ids))


@promise
def created_is_given_as_it_is_written(bench: Bench) -> None:
    """A build time that is missing, 1970 or 1980 is given as it is: whether it is believed is the core's to say."""
    written = {None: None, "1970-01-01T00:00:00Z": 1970, "1980-01-01T00:00:00Z": 1980, "0001-01-01T00:00:00Z": 1}
    for number, (text, year) in enumerate(written.items()):
        created_at = pulled(bench, Build(f"contract/dated-{number}", created=text)).created_at
        assert created_at == (None if year is None else datetime(year, 1, 1, tzinfo=UTC))


@promise
def pulled_by_digest_has_no_tag(bench: Bench) -> None:
    """An image that was pulled by digest only has no tag, also where the reference carried one beside the digest."""
    for tag in ("", ":v1"):
        build = Build(f"contract/by-digest{len(tag)}")
        by_digest = f"{REGISTRY}/{build.repository}@{bench.publish(build)}"
        image = listed(bench, bench.pull(by_digest.replace("@", f"{tag}@")))
        assert (image.tags, image.digests) == ((), (by_digest,))


@promise
def a_name_without_a_tag_is_latest(bench: Bench) -> None:
    """Pulled by its bare name, an image is tagged latest."""
    build = Build("contract/bare", tag="latest")
    bench.publish(build)
    image = listed(bench, bench.pull(f"{REGISTRY}/{build.repository}"))
    assert image.tags == (build.reference(),)


@promise
def a_moved_tag_leaves_the_old_image_its_digest(bench: Bench) -> None:
    """When a tag moves, the old image keeps its digest and pull time and loses the tag, which the new one has."""
    build = Build("contract/moved", tag="latest", layers=(("moved-old", KIB),))
    old, newer = pulled(bench, build), replace(build, layers=(("moved-new", KIB),))
    new = pulled(bench, newer)
    assert new.id != old.id
    assert new.tags == (build.reference(),)
    assert listed(bench, old.id) == replace(old, tags=())
    assert old.digests != new.digests
    assert pulled_at(new) > pulled_at(old)


@promise
def a_second_tag_is_another_name_of_one_image(bench: Bench) -> None:
    """A second tag is listed beside the first, sorted, on the same image."""
    image = pulled(bench, Build("contract/tagged"))
    second = f"{OTHER_REGISTRY}/contract/again:v2"
    bench.tag(image.tags[0], second)
    tagged = listed(bench, image.id)
    assert tagged.tags == (second, *image.tags)
    assert tagged.digests == image.digests
    assert tagged.created_at == image.created_at


@promise
def two_registries_give_one_image_two_names(bench: Bench) -> None:
    """What was pulled from two registries is one image with a tag and a digest of each."""
    build = Build("contract/twice")
    digest = bench.publish(build)
    first, second = bench.pull(build.reference(OTHER_REGISTRY)), bench.pull(build.reference())
    assert first == second
    image = listed(bench, first)
    assert image.tags == (build.reference(OTHER_REGISTRY), build.reference())
    assert image.digests == tuple(f"{name}/{build.repository}@{digest}" for name in (OTHER_REGISTRY, REGISTRY))


@promise
def an_import_has_no_digest(bench: Bench) -> None:
    """An imported image has the name that it was given and no digest: no registry is known to have it."""
    before = bench.now()
    image = listed(bench, bench.load(Build("contract/built"), "localhost/contract/built:here"))
    assert (image.tags, image.digests) == (("localhost/contract/built:here",), ())
    assert image.local
    assert before <= pulled_at(image) <= bench.now()


@promise
def an_import_over_another_leaves_it_without_a_name(bench: Bench) -> None:
    """An import that takes another's name leaves that one listed without any, and it can be removed by id."""
    build, name = Build("contract/over", layers=(("over-old", KIB),)), "localhost/contract/over:v1"
    old = bench.load(build, name)
    new = bench.load(replace(build, layers=(("over-new", KIB),)), name)
    assert listed(bench, old).references == ()
    bench.runtime.remove_image(old)
    assert bench.runtime.read_image(old) is None
    assert listed(bench, new).tags == (name,)


# What tells where an image is from, and what would stay of it


@promise
def a_pull_leaves_evidence(bench: Bench) -> None:
    """What was pulled by tag or digest, once or from two registries, is not local, and nothing of it would stay."""
    build, twice = Build("contract/evident"), Build("contract/evident-twice")
    by_digest = Build("contract/evident-digest")
    bench.publish(twice)
    bench.pull(twice.reference(OTHER_REGISTRY))
    ids = [bench.pull(f"{REGISTRY}/{by_digest.repository}@{bench.publish(by_digest)}"), bench.pull(twice.reference())]
    for image in (pulled(bench, build), *(listed(bench, image_id) for image_id in ids)):
        assert (image.local, image.imported, image.stray_records) == (False, False, ())


@promise
def a_moved_tag_leaves_evidence(bench: Bench) -> None:
    """An image whose tag has moved away keeps its evidence, as the one that has the tag has its own."""
    build = Build("contract/evident-moved", layers=(("evident-old", KIB),))
    old = pulled(bench, build)
    new = pulled(bench, replace(build, layers=(("evident-new", KIB),)))
    for image in (listed(bench, old.id), new):
        assert (image.local, image.stray_records) == (False, ())


@promise
def an_import_leaves_no_evidence(bench: Bench) -> None:
    """An import is local, also where it has a digest reference of a registry's name."""
    by_tag = bench.load(Build("contract/imported"), f"{REGISTRY}/contract/imported:v1")
    by_digest = bench.load_by_digest(Build("contract/imported-digest"), f"{REGISTRY}/contract/imported-digest")
    for image_id in (by_tag, by_digest):
        image = listed(bench, image_id)
        assert (image.local, image.imported, image.stray_records) == (True, False, ())
    assert listed(bench, by_digest).digests
    assert bench.runtime.read_image(by_digest) == listed(bench, by_digest)


@promise
def a_pull_of_an_import_leaves_evidence(bench: Bench) -> None:
    """An imported image that is pulled under the same name is local no more."""
    build = Build("contract/imported-pulled")
    bench.publish(build)
    image_id = bench.load(build, build.reference())
    assert listed(bench, image_id).local
    bench.pull(build.reference())
    assert not listed(bench, image_id).local


@promise
def another_tag_is_no_evidence(bench: Bench) -> None:
    """A tag that was given on the node makes an image local in another repository, and not in its own."""
    image = pulled(bench, Build("contract/retagged"))
    bench.tag(image.tags[0], f"{REGISTRY}/contract/retagged:too")
    assert not listed(bench, image.id).local
    bench.tag(image.tags[0], f"{REGISTRY}/contract/elsewhere:v1")
    assert listed(bench, image.id).local
    assert bench.runtime.read_image(image.id) == listed(bench, image.id)


@promise
def an_import_mark_is_seen(bench: Bench) -> None:
    """A record with the mark of an import makes the image an imported one, whatever evidence there is."""
    image = pulled(bench, Build("contract/marked"))
    bench.label(image.tags[0], "io.cattle.k3s.pinned", "pinned")
    marked = listed(bench, image.id)
    assert (marked.imported, marked.local) == (True, False)
    assert bench.runtime.read_image(image.id) == marked


@promise
def a_pinned_record_pins_its_image(bench: Bench) -> None:
    """A record that is labelled as pinned pins the image, though CRI may not report it; removals take it anyway."""
    image = pulled(bench, Build("contract/pinned"))
    bench.label(image.tags[0], "io.cri-containerd.pinned", "pinned")
    pinned = listed(bench, image.id)
    assert pinned.pinned
    assert bench.runtime.read_image(image.id) == pinned
    bench.runtime.remove_image(image.id)
    assert bench.runtime.read_image(image.id) is None


@promise
def an_import_without_a_name_would_stay(bench: Bench) -> None:
    """The record of an import without a name is not in full: a removal by id leaves it, and frees nothing."""
    build = Build("contract/nameless", layers=(("nameless", 4 * MIB),))
    image = listed(bench, bench.load_by_digest(build))
    (stray,) = image.stray_records
    assert image.local
    assert image.digests == (f"docker.io/library/{stray}",)
    assert bench.runtime.read_image(image.id) == image
    assert freed_by_removing(bench, image) < METADATA_BYTES
    left = bench.runtime.read_image(image.id)
    assert left is not None
    assert left.stray_records == (stray,)


@promise
def a_name_that_is_not_in_full_would_stay(bench: Bench) -> None:
    """A removal by id leaves a record whose name CRI writes in full, whether or not the image is still listed then."""
    for raw, in_full, stays_listed in (("stray-app:v1", "library/stray-app:v1", True), ("acme/app:v1", "", False)):
        build = Build("acme/app", layers=((f"stray-{stays_listed}", 4 * MIB),))
        bench.publish(build)
        image_id = bench.pull(build.reference("docker.io"))
        bench.tag_as_is(build.reference("docker.io"), raw)
        image = listed(bench, image_id)
        assert image.stray_records == (raw,)
        assert image.tags == tuple(sorted({build.reference("docker.io"), f"docker.io/{in_full}"} - {"docker.io/"}))
        assert bench.runtime.read_image(image.id) == image
        assert freed_by_removing(bench, image) < METADATA_BYTES
        left = bench.runtime.read_image(image.id)
        assert (left is not None) == stays_listed
        assert left is None or left.stray_records == (raw,)
        assert bench.runtime.list_leftovers(image) == (raw,)


@promise
def pulling_again_changes_the_pull_time_only(bench: Bench) -> None:
    """The same image pulled again has a new pull time, and is otherwise what it was."""
    before = pulled(bench, Build("contract/again"))
    bench.pull(before.tags[0])
    after = listed(bench, before.id)
    assert pulled_at(after) > pulled_at(before)
    assert replace(after, pulled_at=before.pulled_at) == before


@promise
def one_image_reads_as_it_is_listed(bench: Bench) -> None:
    """read_image gives what the list has: of an image with two names, of one without a tag, of an import."""
    both = pulled(bench, Build("contract/read"))
    bench.tag(both.tags[0], f"{OTHER_REGISTRY}/contract/read:too")
    build = Build("contract/read-digest", created=None)
    untagged = bench.pull(f"{REGISTRY}/{build.repository}@{bench.publish(build)}")
    imported = bench.load(Build("contract/read-import"), "localhost/contract/read:here")
    for image_id in (both.id, untagged, imported):
        assert bench.runtime.read_image(image_id) == listed(bench, image_id)


@promise
def an_unknown_image_is_none(bench: Bench) -> None:
    """An id that the runtime never had, and one that it has no longer, read as None."""
    assert bench.runtime.read_image(UNKNOWN_ID) is None
    image = pulled(bench, Build("contract/gone"))
    bench.runtime.remove_image(image.id)
    assert bench.runtime.read_image(image.id) is None
    assert image.id not in {listed.id for listed in bench.runtime.list_images()}


# Users of images


@promise
def a_container_of_any_state_names_its_image(bench: Bench) -> None:
    """A container that is created, running or exited is in the list and needs its image; a removed one does not."""
    image = pulled(bench, Build("contract/used"))
    created, running, exited = bench.create(image.tags[0]), bench.start(image.tags[0]), bench.start(image.tags[0])
    bench.exit(exited)
    known = {container.id: container for container in bench.runtime.list_containers()}
    for container_id in (created, running, exited):
        needs = image_users([known[container_id]], ())
        assert needs.reason_to_keep(image) is KeepReason.IN_USE
        bench.remove(container_id)
    assert not {created, running, exited} & {container.id for container in bench.runtime.list_containers()}
    assert reason_to_keep(bench, image) is None


@promise
def a_container_names_its_image_however_it_was_asked_for(bench: Bench) -> None:
    """Started by tag, by digest or by id, a container needs its image, and no other of the same repository."""
    image, other = pulled(bench, Build("contract/named")), pulled(bench, Build("contract/named", tag="v2"))
    for reference in (image.tags[0], image.digests[0], image.id):
        container_id = bench.start(reference)
        assert reason_to_keep(bench, image) is KeepReason.IN_USE
        assert reason_to_keep(bench, other) is None
        bench.remove(container_id)


@promise
def a_container_needs_its_image_after_the_tag_moved(bench: Bench) -> None:
    """A container still needs the image that it runs when its tag has moved to another."""
    build = Build("contract/moved-in-use", tag="latest", layers=(("in-use-old", KIB),))
    old = pulled(bench, build)
    container_id = bench.start(build.reference())
    pulled(bench, replace(build, layers=(("in-use-new", KIB),)))
    assert reason_to_keep(bench, listed(bench, old.id)) is KeepReason.IN_USE
    bench.remove(container_id)


@promise
def a_container_outside_cri_uses_the_image_that_it_runs(bench: Bench) -> None:
    """A container that CRI does not list uses the image that it was made from, and not the one that has its tag now."""
    build = Build("contract/outside", tag="latest", layers=(("outside-old", KIB),))
    old = pulled(bench, build)
    container_id = bench.create_outside_cri(build.reference())
    assert reason_to_keep(bench, old) is KeepReason.IN_USE
    new = pulled(bench, replace(build, layers=(("outside-new", KIB),)))
    assert reason_to_keep(bench, listed(bench, old.id)) is KeepReason.IN_USE
    assert reason_to_keep(bench, new) is None
    bench.remove(container_id)
    assert reason_to_keep(bench, listed(bench, old.id)) is None


@promise
def the_sandbox_image_is_kept(bench: Bench) -> None:
    """The image of pod sandboxes is named or pinned, whether or not a pod runs."""
    (pause,) = [image for image in bench.runtime.list_images() if bench.pause_reference in image.tags]
    assert reason_to_keep(bench, pause) in {KeepReason.SANDBOX, KeepReason.PINNED}
    container_id = bench.start(pulled(bench, Build("contract/pod")).tags[0])
    assert reason_to_keep(bench, pause) in {KeepReason.SANDBOX, KeepReason.PINNED}
    bench.remove(container_id)


# What a removal does


@promise
def a_removal_removes_every_name_of_one_image(bench: Bench) -> None:
    """A removal by id takes tags and digests of that image alone; every other image is as it was."""
    build = Build("contract/removed")
    bench.publish(build)
    image_id = bench.pull(build.reference(OTHER_REGISTRY))
    bench.pull(build.reference())
    bench.tag(build.reference(), f"{REGISTRY}/contract/removed:too")
    others = [image for image in bench.runtime.list_images() if image.id != image_id]
    names = set(listed(bench, image_id).references)
    bench.runtime.remove_image(image_id)
    assert list(bench.runtime.list_images()) == others
    assert not names & {name for image in others for name in image.references}


@promise
def removing_twice_is_no_error(bench: Bench) -> None:
    """Removing an image that is gone already, or was never there, is no error."""
    image = pulled(bench, Build("contract/removed-twice"))
    bench.runtime.remove_image(image.id)
    bench.runtime.remove_image(image.id)
    bench.runtime.remove_image(UNKNOWN_ID)


@promise
def a_second_pull_of_an_image_is_another_pull(bench: Bench) -> None:
    """An image that was removed and pulled again has its old id and build time, and a new pull time."""
    before = pulled(bench, Build("contract/back"))
    bench.runtime.remove_image(before.id)
    bench.pull(before.tags[0])
    after = listed(bench, before.id)
    assert replace(after, pulled_at=None) == replace(before, pulled_at=None)
    assert pulled_at(after) > pulled_at(before)


@promise
def the_disk_is_the_one_that_the_runtime_names(bench: Bench) -> None:
    """The disk that is measured lies where the runtime says that its images are."""
    assert bench.disk.path == bench.runtime.read_filesystems()[Filesystem.IMAGES]


@promise
def the_runtime_says_what_it_is(bench: Bench) -> None:
    """A runtime has a name and a version."""
    version = bench.runtime.read_version()
    assert version.name
    assert version.version


@promise
def freed_bytes_show_on_the_settled_disk(bench: Bench) -> None:
    """After a removal the settled usage is lower by what only that image had, as it was higher after its pull."""
    build = Build("contract/freed", layers=(("freed-a", 4 * MIB), ("freed-b", 2 * MIB)))
    empty = available(bench)
    image = pulled(bench, build)
    taken = empty - available(bench)
    assert taken >= 6 * MIB
    assert abs(freed_by_removing(bench, image) - taken) < METADATA_BYTES
    assert bench.disk.measures_removals


@promise
def a_shared_layer_is_freed_with_its_last_image(bench: Bench) -> None:
    """A layer that two images share is still there after the first is removed, and freed with the second."""
    shared = ("shared", 4 * MIB)
    first = pulled(bench, Build("contract/sharing-1", layers=(shared,)))
    second = pulled(bench, Build("contract/sharing-2", layers=(shared,)))
    assert freed_by_removing(bench, first) < METADATA_BYTES
    assert freed_by_removing(bench, second) >= 4 * MIB


@promise
def an_image_in_use_is_removed_and_its_layers_stay(bench: Bench) -> None:
    """A containerd removes an image in use without an error; the container runs on, on layers that stay as long."""
    unused = pulled(bench, Build("contract/unused", layers=(("unused", 4 * MIB),)))
    freed_unused = freed_by_removing(bench, unused)
    image = pulled(bench, Build("contract/held", layers=(("held", 4 * MIB),)))
    container_id = bench.start(image.tags[0])
    freed_in_use = freed_by_removing(bench, image)
    assert bench.runtime.read_image(image.id) is None
    assert container_id in {container.id for container in bench.runtime.list_containers()}
    # Compressed content is not the container's: it may be removed.
    assert freed_in_use <= freed_unused - 4 * MIB + METADATA_BYTES
    before = available(bench)
    bench.remove(container_id)
    bench.wait_until(lambda: available(bench) - before >= 4 * MIB - METADATA_BYTES, "the container's layers are freed")


@promise
def a_removed_image_in_use_is_still_named_by_its_container(bench: Bench) -> None:
    """A container whose image was removed needs it again as soon as it is pulled again."""
    image = pulled(bench, Build("contract/lost"))
    container_id = bench.start(image.tags[0])
    bench.runtime.remove_image(image.id)
    bench.pull(image.tags[0])
    assert reason_to_keep(bench, listed(bench, image.id)) is KeepReason.IN_USE
    bench.remove(container_id)


@promise
def a_pull_in_progress_is_projected(bench: Bench) -> None:
    """What a pull will still write is reported by its manifest's digest while it runs, and neither before nor after."""
    # The node's images give the ratio for those to come.
    pulled(bench, Build("contract/alike", layers=(("alike", 16 * MIB),)))
    build = Build("contract/slow", layers=tuple((f"slow-{number}", 2 * MIB) for number in range(5)))
    digest, empty = bench.publish(build), available(bench)
    assert bench.runtime.read_layers(bench.runtime.list_images()) is not None
    assert bench.runtime.read_pulls() == ()
    with bench.pulling(build.reference()):
        (pull,) = bench.runtime.read_pulls()
        taken = empty - bench.disk.read_usage().available_bytes
    assert (bench.runtime.read_pulls(), bench.runtime.pulls_state) == ((), AVAILABLE)
    assert pull.digest == digest
    projected = taken + pull.content_bytes + pull.snapshot_bytes
    assert projected == pytest.approx(empty - available(bench), rel=0.25)


@promise
def a_pull_of_known_layers_writes_next_to_nothing(bench: Bench) -> None:
    """Layers that are there already are not estimated for another image that has them too."""
    shared = tuple((f"known-{number}", 2 * MIB) for number in range(3))
    pulled(bench, Build("contract/known", layers=shared))
    build = Build("contract/known-too", layers=(*shared, ("known-own", MIB)))
    bench.publish(build)
    with bench.pulling(build.reference()):
        (pull,) = bench.runtime.read_pulls()
    assert pull.content_bytes + pull.snapshot_bytes < 4 * MIB


def pulled(bench: Bench, build: Build) -> Image:
    """A build that was published and pulled by its tag, as it is listed."""
    bench.publish(build)
    return listed(bench, bench.pull(build.reference()))


def listed(bench: Bench, image_id: str) -> Image:
    """The list's only entry of an image."""
    (image,) = [image for image in bench.runtime.list_images() if image.id == image_id]
    return image


def pulled_at(image: Image) -> datetime:
    """The pull time, which the runtimes of the contract know."""
    assert image.pulled_at is not None
    return image.pulled_at


def reason_to_keep(bench: Bench, image: Image) -> KeepReason | None:
    """What the node's containers and sandboxes say about an image."""
    return image_users(bench.runtime.list_containers(), bench.runtime.list_sandbox_images()).reason_to_keep(image)


def available(bench: Bench) -> int:
    """Settled available bytes."""
    return bench.disk.read_settled_usage().available_bytes


def freed_by_removing(bench: Bench, image: Image) -> int:
    """By how much the available bytes grow over a removal, settled both times."""
    before = available(bench)
    bench.runtime.remove_image(image.id)
    return available(bench) - before
