"""Whether an image is in use, by whichever name; and the final check."""

from dataclasses import replace
from datetime import datetime

import pytest

from cleaner.core.image_users import ImageUsers, ids_in_use, image_users, keys_used_after, reason_to_spare
from cleaner.core.model import Container, Image, KeepReason
from support.values import HOUR, MICROSECOND, NOW, make_digest, make_hex, make_image

HEX = make_hex(1)
MANIFEST = make_digest(1)
NGINX = Image(
    f"sha256:{HEX}",
    tags=("docker.io/library/nginx:latest",),
    digests=(f"docker.io/library/nginx@{MANIFEST}",),
)
CRIO = replace(NGINX, id=HEX)
OTHER = make_image(2)
NO_USERS = image_users([], [])


@pytest.mark.parametrize("image", [NGINX, CRIO], ids=["containerd", "cri-o"])
@pytest.mark.parametrize(
    "name",
    [
        f"sha256:{HEX}",
        HEX,
        "docker.io/library/nginx:latest",
        "nginx:latest",
        "nginx",
        "docker.io/nginx",
        f"docker.io/library/nginx@{MANIFEST}",
        f"nginx@{MANIFEST}",
        f"nginx:1.25@{MANIFEST}",
        f"mirror.io/nginx@{MANIFEST}",
        MANIFEST,
    ],
)
def test_an_image_is_in_use_by_any_of_its_names(image: Image, name: str) -> None:
    """A container needs an image whether it names it by id, tag or digest, short or in full."""
    needs = image_users([Container("c", frozenset({name}))], [])
    assert needs.reason_to_keep(image) is KeepReason.IN_USE
    assert ids_in_use([image, OTHER], needs) == {image.id}


@pytest.mark.parametrize("name", ["", "nginx:1.25", "r.io/nginx", make_hex(2), f"nginx@{make_digest(2)}", HEX[:12]])
def test_another_name_needs_another_image(name: str) -> None:
    """Another tag, registry, id or digest does not put an image to use, and no name puts none."""
    assert image_users([Container("c", frozenset({name}))], [name]).reason_to_keep(NGINX) is None


def test_an_image_volume_is_a_use() -> None:
    """A container needs the images that it mounts as it needs its own."""
    names = frozenset({OTHER.id, "registry.gitlab.com/golem-ai/app2:1", "nginx"})
    assert ids_in_use([NGINX, OTHER], image_users([Container("c", names)], [])) == {NGINX.id, OTHER.id}


def test_cri_o_names_an_image_by_id_and_digest() -> None:
    """CRI-O's container gives a bare id, a repo digest and the name as requested; each is enough."""
    for name in (HEX, f"docker.io/library/nginx@{MANIFEST}", "nginx"):
        assert image_users([Container("c", frozenset({name}))], []).reason_to_keep(CRIO) is KeepReason.IN_USE


def test_a_moved_tag_keeps_both_images() -> None:
    """The old image by its id and the one that now has the tag are both in use: if unsure, keep."""
    moved = replace(NGINX, id=f"sha256:{make_hex(3)}", digests=())
    old = replace(NGINX, tags=())
    container = Container("c", frozenset({"nginx", old.id}))
    assert ids_in_use([old, moved], image_users([container], [])) == {old.id, moved.id}


def test_a_name_that_is_no_reference_is_compared_as_it_is() -> None:
    """Text that the grammar does not know still matches itself."""
    odd = Image("odd id", tags=("<odd>:<tag>",))
    for name in ("odd id", "<odd>:<tag>"):
        assert image_users([Container("c", frozenset({name}))], []).reason_to_keep(odd) is KeepReason.IN_USE


def test_use_comes_before_sandbox_and_sandbox_before_pin() -> None:
    """Of several needs the first of the design's list is the reason."""
    pinned = replace(NGINX, pinned=True)
    user = [Container("c", frozenset({"nginx"}))]
    assert image_users(user, ["nginx"]).reason_to_keep(pinned) is KeepReason.IN_USE
    assert image_users([], ["nginx"]).reason_to_keep(pinned) is KeepReason.SANDBOX
    assert NO_USERS.reason_to_keep(pinned) is KeepReason.PINNED
    assert NO_USERS.reason_to_keep(NGINX) is None


@pytest.mark.parametrize("name", [HEX, f"sha256:{HEX}", "nginx", f"nginx@{MANIFEST}"])
def test_a_sandbox_image_is_found_by_any_of_its_names(name: str) -> None:
    """The pause image is recognised as containers' images are, and is not in use."""
    needs = image_users([], [name])
    assert needs.reason_to_keep(NGINX) is KeepReason.SANDBOX
    assert not ids_in_use([NGINX], needs)


def test_nothing_is_in_use_on_an_empty_node() -> None:
    """Without containers and sandboxes nothing is in use."""
    assert NO_USERS.reason_to_keep(NGINX) is None
    assert not ids_in_use([], NO_USERS)


def test_the_final_check_allows_the_eviction_of_an_unchanged_image() -> None:
    """An image that is as it was planned and not in use may be evicted."""
    assert reason_to_spare(NGINX, replace(NGINX), NO_USERS) is None


@pytest.mark.parametrize(
    ("present", "why"),
    [
        (None, "already gone"),
        (replace(NGINX, readable=False), "its status could not be read"),
        (replace(NGINX, pinned=True), "now pinned"),
        (replace(NGINX, tags=()), "its references changed"),
        (replace(NGINX, tags=(*NGINX.tags, "r.io/new:1")), "its references changed"),
        (replace(NGINX, tags=("r.io/new:1",)), "its references changed"),
        (replace(NGINX, digests=(f"r.io/new@{MANIFEST}",)), "its references changed"),
        (replace(NGINX, digests=(*NGINX.digests, f"r.io/new@{MANIFEST}")), "its references changed"),
        (replace(NGINX, tags=(), digests=NGINX.tags + NGINX.digests), "its references changed"),
        (replace(NGINX, digests=()), None),
        (replace(NGINX, pulled_at=NOW), "it was pulled again"),
        (replace(NGINX, artifact=True), "now unremovable"),
        (replace(NGINX, stray_records=("nginx:latest",)), "now unremovable"),
        (replace(NGINX, local=True), "now local"),
        (replace(NGINX, imported=True), "now local"),
    ],
)
def test_the_final_check_spares_what_changed(present: Image | None, why: str | None) -> None:
    """A pin, a tag more or less, a new digest reference or pull, or an unreadable status spares the image.

    A digest reference that is gone does not: CRI-O lists some that no status has.
    """
    assert reason_to_spare(NGINX, present, NO_USERS) == why


def test_the_final_check_allows_the_eviction_of_what_was_local_before() -> None:
    """A rule that evicts local images planned with that."""
    local = replace(NGINX, local=True)
    assert reason_to_spare(local, local, NO_USERS) is None


@pytest.mark.parametrize(
    ("users", "why"),
    [
        (image_users([Container("c", frozenset(NGINX.digests))], []), "now in_use"),
        (replace(NO_USERS, used=frozenset({MANIFEST.removeprefix("sha256:")})), "used since the plan"),
    ],
)
def test_the_final_check_knows_the_digest_references_of_the_plan(users: ImageUsers, why: str) -> None:
    """A user may know the image by a digest reference that only the list has."""
    assert reason_to_spare(NGINX, replace(NGINX, digests=()), users) == why


def test_the_final_check_spares_what_is_in_use_now() -> None:
    """A container or sandbox that came since the plan spares the image."""
    assert reason_to_spare(NGINX, NGINX, image_users([Container("c", frozenset({"nginx"}))], [])) == "now in_use"
    assert reason_to_spare(NGINX, NGINX, image_users([], ["nginx"])) == "now sandbox"


def test_the_final_check_sees_names_that_the_image_got_since() -> None:
    """A container that uses the image by a tag that it got meanwhile needs it."""
    present = replace(NGINX, tags=(*NGINX.tags, "r.io/new:1"))
    assert reason_to_spare(NGINX, present, image_users([Container("c", frozenset({"r.io/new:1"}))], [])) == "now in_use"


def test_the_final_check_spares_where_the_pull_time_is_no_longer_known() -> None:
    """A pull time that was known and is not any more may hide a new pull."""
    pulled = replace(NGINX, pulled_at=NOW - HOUR)
    assert reason_to_spare(pulled, replace(pulled, pulled_at=None), NO_USERS) == "it was pulled again"


@pytest.mark.parametrize(
    ("used_at", "why"),
    [
        (NOW - MICROSECOND, None),
        (NOW, None),
        (NOW + MICROSECOND, "used since the plan"),
    ],
)
@pytest.mark.parametrize("image", [NGINX, CRIO], ids=["containerd", "cri-o"])
def test_what_was_used_after_the_plan_is_spared(image: Image, used_at: datetime, why: str | None) -> None:
    """A use that the plan knew of is in it; a later one counts, though no container has the image any more."""
    used = keys_used_after(NOW, {image.id: used_at, OTHER.id: NOW - HOUR})
    assert reason_to_spare(image, image, replace(NO_USERS, used=used)) == why
    assert reason_to_spare(OTHER, OTHER, replace(NO_USERS, used=used)) is None
