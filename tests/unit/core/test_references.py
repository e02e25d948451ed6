"""References: what they mean, and what two of them have in common."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleaner.core.references import Reference, fill_in, identity_keys, names_of, parse_reference, split_suffixes
from support.values import make_digest, make_hex

DIGEST = make_digest(1)
ID = make_hex(7)


@pytest.mark.parametrize(
    ("text", "registry", "repository", "tag", "digest"),
    [
        ("nginx", "docker.io", "library/nginx", None, None),
        ("nginx:1.25", "docker.io", "library/nginx", "1.25", None),
        ("golem/app:1", "docker.io", "golem/app", "1", None),
        ("docker.io/nginx", "docker.io", "library/nginx", None, None),
        ("index.docker.io/nginx:1", "docker.io", "library/nginx", "1", None),
        ("docker.io/library/nginx:latest", "docker.io", "library/nginx", "latest", None),
        ("localhost/app:1", "localhost", "app", "1", None),
        ("localhost:5000/app", "localhost:5000", "app", None, None),
        ("localhost:5000", "docker.io", "library/localhost", "5000", None),
        ("registry:5000/team/app:v1", "registry:5000", "team/app", "v1", None),
        ("127.0.0.1:5000/app", "127.0.0.1:5000", "app", None, None),
        ("[::1]:5000/app:1", "[::1]:5000", "app", "1", None),
        ("Registry.GitLab.com/golem-ai/app:V1", "registry.gitlab.com", "golem-ai/app", "V1", None),
        ("REGISTRY/app:1", "REGISTRY", "app", "1", None),
        (f"r.io/app@{DIGEST}", "r.io", "app", None, DIGEST),
        (f"r.io/app:1@{DIGEST}", "r.io", "app", "1", DIGEST),
        (f"nginx@{DIGEST}", "docker.io", "library/nginx", None, DIGEST),
        (f"r.io/app@sha512:{'a' * 128}", "r.io", "app", None, f"sha512:{'a' * 128}"),
        ("r.io/a__b/c.d/e---f:_x-.", "r.io", "a__b/c.d/e---f", "_x-.", None),
        (f"r.io/app:{'t' * 128}", "r.io", "app", "t" * 128, None),
        (f"r.io/app@sha256:{'a' * 32}", "r.io", "app", None, f"sha256:{'a' * 32}"),
    ],
)
def test_grammar(text: str, registry: str, repository: str, tag: str | None, digest: str | None) -> None:
    """A reference is read by the distribution grammar, default registry and `library/` filled in."""
    assert parse_reference(text) == Reference(registry, repository, tag, digest)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "<none>",
        "<none>:<none>",
        "<none>@<none>",
        "r.io/",
        "/app",
        "r.io//app",
        "r.io/app:",
        "r.io/app@",
        "r.io/app@sha256:",
        f"r.io/app@sha256:{'a' * 31}",
        f"r.io/app@sha256:{'g' * 64}",
        f"r.io/app:1@{DIGEST}@{DIGEST}",
        "r.io/App:1",
        "r.io/app:-1",
        f"r.io/app:{'t' * 129}",
        "r.io/app:1\n",
        "\nr.io/app:1",
        "r.io/a___b",
        "r.io/-app",
        "r.io/app-",
        "r.io./app",
        ".r.io/app",
        "r..io/app",
        "-r.io/app",
        "r.io:port/app",
        "r.io:/app",
        "https://r.io/app",
        "r.io/äpp:1",
        "r.io/app:1\u0661",
        "\u0130.io/app",
        "r.io/*:1",
        "**",
        "\x00",
        "\ud800",
        ID,
        f"sha256:{ID}",
    ],
)
def test_garbage_is_no_reference(text: str) -> None:
    """Text that the grammar does not know, and a bare id, is no reference."""
    assert parse_reference(text) is None


def test_a_tag_of_hexadecimal_length_is_no_id() -> None:
    """63 or 65 digits are a name in the default registry: only 64 make an id."""
    assert parse_reference("a" * 63) == Reference("docker.io", f"library/{'a' * 63}", None, None)
    assert parse_reference("a" * 64) is None
    assert parse_reference("a" * 65) is not None


PARTS = st.sampled_from(["a", "0", "team", "a.b", "a_b", "a__b", "a-b", "a---b.c_d"])
REGISTRIES = st.sampled_from(["docker.io", "localhost", "localhost:5000", "r.io", "registry:5000", "a.b-c.io:1"])
TAGS = st.none() | st.sampled_from(["1", "latest", "_", "V1.2-rc", "a" * 64, "5000"])
DIGESTS = st.none() | st.just(DIGEST)


@given(REGISTRIES, st.lists(PARTS, min_size=2, max_size=4), TAGS, DIGESTS)
def test_a_reference_round_trips(registry: str, parts: list[str], tag: str | None, digest: str | None) -> None:
    """What a reference is written as is read as the same reference."""
    reference = Reference(registry, "/".join(parts), tag, digest)
    assert parse_reference(str(reference)) == reference


@given(st.text() | st.from_regex(r"[A-Za-z0-9./:@_<>*-]+", fullmatch=True))
def test_any_text_is_read_or_refused(text: str) -> None:
    """No text breaks the reading, and what is read is written in a form that means the same."""
    reference = parse_reference(text)
    if reference is not None:
        assert parse_reference(str(reference)) == reference
    assert isinstance(identity_keys(text), frozenset)
    assert names_of((text,)) is None or reference is not None


@pytest.mark.parametrize(
    "text",
    [f"{'a' * 50_000}_.x/foo", f"{'a.' * 25_000}/foo", f"r.io/{'a-' * 25_000}/x", f"r.io/{'_' * 50_000}", "/" * 50_000],
)
def test_a_hostile_name_is_refused_at_once(text: str) -> None:
    """A long name that nearly fits is refused without trying every way to split it."""
    assert parse_reference(text) is None
    assert identity_keys(text) == {text}


def test_a_very_long_reference_is_read() -> None:
    """Length alone is no reason to refuse a name."""
    reference = parse_reference(f"r.io/{'a' * 20_000}:1")
    assert reference is not None
    assert len(reference.repository) == 20_000


def test_suffixes_come_after_the_last_slash() -> None:
    """A colon before the last slash is a port, one after it begins the tag."""
    assert split_suffixes("r:5000/a") == ("r:5000/a", None, None)
    assert split_suffixes("r:5000/a:1") == ("r:5000/a", "1", None)
    assert split_suffixes("r:5000/a@x:y") == ("r:5000/a", None, "x:y")
    assert split_suffixes("a:1@x:y") == ("a", "1", "x:y")


def test_library_is_filled_in_for_one_part_of_the_default_registry_only() -> None:
    """`library/` belongs before a single part on docker.io, and nowhere else."""
    assert fill_in("nginx") == ("docker.io", "library/nginx")
    assert fill_in("docker.io/a/b") == ("docker.io", "a/b")
    assert fill_in("docker.io/**") == ("docker.io", "**")
    assert fill_in("docker.io/*") == ("docker.io", "library/*")
    assert fill_in("r.io/nginx") == ("r.io", "nginx")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("nginx", "docker.io/library/nginx:latest"),
        ("nginx:latest", "index.docker.io/library/nginx"),
        ("golem/app:1", "docker.io/golem/app:1"),
        ("Registry.io/app:1", "registry.io/app:1"),
        ("LOCALHOST/app:1", "localhost/app:1"),
        (ID, f"sha256:{ID}"),
        (f"r.io/app@sha256:{ID}", ID),
        (f"r.io/app@{DIGEST}", f"other.io/copy@{DIGEST}"),
        (f"r.io/app:1@{DIGEST}", f"r.io/app@{DIGEST}"),
        (f"r.io/app:1@{DIGEST}", DIGEST),
        (f"nginx@{DIGEST}", f"docker.io/library/nginx@{DIGEST}"),
        ("<odd name>", "<odd name>"),
        (f"<odd name>@{DIGEST}", f"<odd name>@{DIGEST}"),
        (f"r.corp:?@{DIGEST}", f"r.corp:5000/app@{DIGEST}"),
        (f"r.io/app@sha256@{DIGEST}", DIGEST),
    ],
)
def test_names_of_one_image_share_a_key(one: str, other: str) -> None:
    """Id, digest and full tag are recognised in each form that a runtime writes."""
    assert identity_keys(one) & identity_keys(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("nginx:1", "nginx:2"),
        ("nginx", "r.io/nginx"),
        ("Golem/app:1", "golem/app:1"),
        ("r.io/app:1", "r.io/app:latest"),
        (ID, make_hex(8)),
        (f"r.io/app@{DIGEST}", f"r.io/app@{make_digest(2)}"),
        (f"r.io/app:1@{DIGEST}", f"r.io/app:1@{make_digest(2)}"),
        (f"r.io/app@sha512:{'a' * 64}", "a" * 64),
        ("", ""),
    ],
)
def test_names_of_different_images_share_no_key(one: str, other: str) -> None:
    """Another tag, registry or digest is another image, and an empty name belongs to no image."""
    assert not identity_keys(one) & identity_keys(other)


def test_a_digest_is_a_name_only_without_a_tag_in_its_repository() -> None:
    """A repo digest adds to the tag's name; in a repository without a tag it is a name of its own."""
    names = names_of(("r.io/a:2", "r.io/a:1", f"r.io/a@{DIGEST}", f"r.io/b@{DIGEST}"))
    assert names is not None
    assert [(name.full_repository, name.tag, set(name.digests)) for name in names] == [
        ("r.io/a", "1", {DIGEST}),
        ("r.io/a", "2", {DIGEST}),
        ("r.io/b", None, {DIGEST}),
    ]


def test_an_image_without_references_has_no_names() -> None:
    """No references give no names, which is not the same as names that make no sense."""
    assert names_of(()) == ()
    assert names_of(("r.io/a:1", "<none>:<none>")) is None
