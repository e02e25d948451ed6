"""Patterns: what they cover, and which of them are refused."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleaner.core.references import Name, names_of, parse_pattern
from support.values import make_digest, parts_cover, star_covers

DIGEST = make_digest(1)


def covers(pattern: str, *references: str, without_tag: bool = False) -> bool:
    names = names_of(references)
    assert names
    return any(parse_pattern(pattern).matches(name, without_tag=without_tag) for name in names)


@pytest.mark.parametrize(
    ("pattern", "reference"),
    [
        ("registry.gitlab.com/golem-ai/**", "registry.gitlab.com/golem-ai/app:1"),
        ("registry.gitlab.com/golem-ai/**", "registry.gitlab.com/golem-ai/team/app:1"),
        ("registry.gitlab.com/golem-ai/**", "registry.gitlab.com/golem-ai:1"),
        ("Registry.GitLab.com/golem-ai/**", "registry.gitlab.com/golem-ai/app:1"),
        ("r.io/a/*", "r.io/a/b:1"),
        ("r.io/a/b*d", "r.io/a/bd:1"),
        ("r.io/a/b*d", "r.io/a/bccd:1"),
        ("r.io/*b*b*", "r.io/abab:1"),
        ("*/app", "r.io/app:1"),
        ("*.io/app", "r.io/app:1"),
        ("r.io:*/app", "r.io:5000/app:1"),
        ("r*/app", "r.io/app:1"),
        ("**", "nginx:1"),
        ("**/nginx", "nginx:1"),
        ("**/app", "r.io/a/b/app:1"),
        ("**/r.io/app", "r.io/app:1"),
        ("r.io/**/app", "r.io/app:1"),
        ("r.io/**/app", "r.io/a/b/app:1"),
        ("r.io/**/b/**/d", "r.io/a/b/b/c/d:1"),
        ("r.io/**/b/**/**/d", "r.io/b/d:1"),
        ("r.io/**/b*/c/**", "r.io/bx/bx/c:1"),
        ("docker.io/nginx", "nginx:1"),
        ("docker.io/*", "nginx:1"),
        ("docker.io/**", "golem/app:1"),
        ("index.docker.io/nginx", "nginx:1"),
        ("localhost/app", "localhost/app:1"),
        ("localhost:5000/app", "localhost:5000/app:1"),
        ("registry:5000/app", "registry:5000/app:1"),
        ("[::1]:5000/app", "[::1]:5000/app:1"),
        ("r.io/app:1", "r.io/app:1"),
        ("r.io/app:v*", "r.io/app:v"),
        ("r.io/app:v*-rc*", "r.io/app:v1-rc2"),
        ("r.io/app:*", "r.io/app:V1"),
        ("**:latest", "nginx:latest"),
        ("r.io/a.b", "r.io/a.b:1"),
        (f"r.io/app@{DIGEST}", f"r.io/app@{DIGEST}"),
        ("r.io/app@sha256:*", f"r.io/app@{DIGEST}"),
        (f"r.io/app:1@{DIGEST}", f"r.io/app:1@{DIGEST}"),
    ],
)
def test_covers(pattern: str, reference: str) -> None:
    """`*` stands for anything inside a part, `**` for whole parts or none; no tag means any."""
    assert covers(pattern, reference)


@pytest.mark.parametrize(
    ("pattern", "reference"),
    [
        ("registry.gitlab.com/golem-ai/**", "registry.gitlab.com/golem-ai-evil/app:1"),
        ("registry.gitlab.com/golem-ai/**", "registry.gitlab.com.evil.io/golem-ai/app:1"),
        ("registry.gitlab.com/golem-ai/**", "registry.gitlab.com:443/golem-ai/app:1"),
        ("registry.gitlab.com/golem-ai/**", "evil.io/registry.gitlab.com/golem-ai/app:1"),
        ("registry.gitlab.com/golem-ai/**", "registry-gitlab.com/golem-ai/app:1"),
        ("registry.gitlab.com/golem-ai/**", "golem-ai/app:1"),
        ("r.io/a/*", "r.io/a:1"),
        ("r.io/a/*", "r.io/a/b/c:1"),
        ("r.io/a/b*d", "r.io/a/b/d:1"),
        ("r.io/a/b*b", "r.io/a/b:1"),
        ("r.io/**/app", "r.io/a/myapp:1"),
        ("r.io/**/b/**", "r.io/bb/cb:1"),
        ("r.io/**/a/**/a", "r.io/a:1"),
        ("**/app", "r.io/myapp:1"),
        ("*/nginx", "nginx:1"),
        ("docker.io/*", "golem/app:1"),
        ("r.io/app", "r.io:5000/app:1"),
        ("r.io/app:1", "r.io/app:11"),
        ("r.io/app:1", "r.io/app:latest"),
        ("r.io/app:v*", "r.io/app:rv1"),
        ("r.io/app:v.1", "r.io/app:vx1"),
        ("r.io/app@sha256:*", "r.io/app:1"),
        (f"r.io/app@{DIGEST}", f"r.io/app@{make_digest(2)}"),
        (f"r.io/app:1@{DIGEST}", f"r.io/app:2@{DIGEST}"),
    ],
)
def test_does_not_cover(pattern: str, reference: str) -> None:
    """A pattern covers all of a reference or nothing of it; other signs mean themselves."""
    assert not covers(pattern, reference)


def test_a_tag_and_an_image_known_by_digest() -> None:
    """A tag in the pattern does not cover an image known by digest, unless the asker ignores it."""
    reference = f"r.io/app@{DIGEST}"
    for pattern in ("r.io/app:1", "r.io/app:*", f"r.io/app:1@{DIGEST}"):
        assert not covers(pattern, reference)
        assert covers(pattern, reference, without_tag=True)
    assert not covers("r.io/app:2", "r.io/app:1", without_tag=True)
    assert not covers(f"r.io/app:1@{make_digest(2)}", reference, without_tag=True)


def test_none_covers_no_name() -> None:
    """`<none>` is for images without a reference, and is the only such pattern."""
    none = parse_pattern("<none>")
    assert none.matches_no_reference
    assert not none.matches(Name("r.io/app", "1", frozenset()), without_tag=True)
    assert not parse_pattern("**").matches_no_reference


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("nginx", "names no registry; write docker.io/library/nginx"),
        ("nginx:1.25", "names no registry; write docker.io/library/nginx:1.25"),
        (f"nginx@{DIGEST}", f"names no registry; write docker.io/library/nginx@{DIGEST}"),
        ("golem-ai/**", "names no registry; write docker.io/golem-ai/**"),
        ("golem-ai/app*:v*", "names no registry; write docker.io/golem-ai/app*:v*"),
        ("Golem-AI/app", "names no registry; write docker.io/golem-ai/app"),
        ("Nginx", "names no registry; write docker.io/library/nginx"),
        ("registry.gitlab.com", "names no repository; write registry.gitlab.com/**"),
        ("registry.gitlab.com:v1", "names no repository; write registry.gitlab.com/**:v1"),
        ("registry.gitlab.com:5050", "names no repository; write registry.gitlab.com:5050/**"),
        ("localhost", "names no repository; write localhost/**"),
        ("localhost:5000", "names no repository; write localhost:5000/**"),
        ("*", "names no repository; write */**"),
        ("", "is empty or has blanks around it"),
        (" r.io/app", "is empty or has blanks around it"),
        ("r.io/app\n", "is empty or has blanks around it"),
        ("r.io/", "has a part that no reference can have (`**` stands for whole parts only)"),
        ("/app", "has a part that no reference can have (`**` stands for whole parts only)"),
        ("r.io//app", "has a part that no reference can have (`**` stands for whole parts only)"),
        ("r.io/a**", "has a part that no reference can have (`**` stands for whole parts only)"),
        ("r.io/**a", "has a part that no reference can have (`**` stands for whole parts only)"),
        ("r.io/***", "has a part that no reference can have (`**` stands for whole parts only)"),
        ("**.io/app", "has a part that no reference can have (`**` stands for whole parts only)"),
        ("https://r.io/app", "has a part that no reference can have (`**` stands for whole parts only)"),
        ("r.io/App", "has a part that no reference can have (`**` stands for whole parts only)"),
        ("r.io/a:1/b", "has a part that no reference can have (`**` stands for whole parts only)"),
        ("r.io/[ab]", "has a part that no reference can have (`**` stands for whole parts only)"),
        ("r.io/ap?", "has a part that no reference can have (`**` stands for whole parts only)"),
        ("r.io/äpp", "has a part that no reference can have (`**` stands for whole parts only)"),
        ("<none>:<none>", "has a part that no reference can have (`**` stands for whole parts only)"),
        ("r.io/app:", "has a tag that no reference can have"),
        ("r.io/app:**", "has a tag that no reference can have"),
        ("r.io/app:[12]", "has a tag that no reference can have"),
        ("r.io/app@", "has a digest that no reference can have"),
        ("r.io/app@sha256:**", "has a digest that no reference can have"),
        ("r.io/app@a@b", "has a digest that no reference can have"),
        ("r.io/user:password@host", "has a digest that no reference can have"),
        ("r.io/app@sha256:abc", "has a digest that no reference can have"),
    ],
)
def test_a_pattern_that_cannot_be_meant_is_refused(pattern: str, problem: str) -> None:
    """A pattern that could cover nothing, or another registry than meant, is an error with the full one."""
    with pytest.raises(ValueError, match=re.escape(problem)) as caught:
        parse_pattern(pattern)
    assert str(caught.value) == problem


@pytest.mark.parametrize(
    "pattern",
    [
        "nginx:1.25",
        "golem-ai/**",
        "Golem-AI/app",
        "registry.gitlab.com:v1",
        "localhost:5000",
        "*",
        "nginx*",
        "Nginx:V1",
    ],
)
def test_the_proposed_pattern_is_accepted(pattern: str) -> None:
    """What an error proposes can be written as it stands."""
    with pytest.raises(ValueError, match="; write ") as caught:
        parse_pattern(pattern)
    proposal = str(caught.value).partition("; write ")[2]
    assert parse_pattern(proposal).text == proposal


PATTERN_PARTS = st.lists(
    st.sampled_from(["**", "*", "a", "b", "a*", "*b", "a*b", "*a*a*", "ab"]), min_size=1, max_size=6
)
NAME_PARTS = st.lists(st.text(alphabet="ab", min_size=1, max_size=5), min_size=1, max_size=6)


@given(PATTERN_PARTS, NAME_PARTS)
def test_paths_are_covered_as_by_trying_everything(pattern: list[str], parts: list[str]) -> None:
    """A pattern covers just the paths that a slow search finds."""
    name = Name("/".join(["r.io", *parts]), "1", frozenset())
    expected = parts_cover(pattern, parts)
    assert parse_pattern("/".join(["r.io", *pattern])).matches(name) == expected


@given(st.from_regex(r"(\*?[ab.]{1,2}){1,4}\*?", fullmatch=True), st.text(alphabet="ab.", min_size=1, max_size=8))
def test_tags_are_covered_as_by_trying_everything(pattern: str, tag: str) -> None:
    """A tag with stars covers just the tags that a slow search finds."""
    name = Name("r.io/app", tag, frozenset())
    assert parse_pattern(f"r.io/app:{pattern}").matches(name) == star_covers(pattern, tag)


@given(st.text(alphabet="aA0./:@*_-<>[] ", max_size=20))
def test_any_text_is_a_pattern_or_refused_with_a_reason(text: str) -> None:
    """Whatever is written is a pattern that keeps its text, or a ValueError with words."""
    try:
        written = parse_pattern(text).text
    except ValueError as error:
        written = text if str(error) else "no reason"
    assert written == text


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("a*" * 60 + "b", "a" * 5000),
        ("/".join(["**", "a"] * 60 + ["b"]), "/".join("a" * 500)),
        ("/".join(["**", "*a*a*a*b"] * 10), "/".join(["a" * 50] * 50)),
        ("**/" * 200 + "b", "/".join("a" * 500)),
    ],
)
def test_many_stars_stay_fast(pattern: str, path: str) -> None:
    """A pattern full of stars against a long name is answered at once."""
    assert not parse_pattern(f"r.io/{pattern}").matches(Name(f"r.io/{path}", "1", frozenset()))
    assert not parse_pattern("r.io/x:" + "a*" * 60 + "b").matches(Name("r.io/x", "a" * 5000, frozenset()))
