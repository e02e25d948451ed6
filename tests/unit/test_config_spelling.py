"""Which known word is proposed for an unknown one, and where none is."""

import pytest
from attrs import fields, has

from cleaner.config.alerting import AlertmanagerKeys, BasicKeys, TlsKeys
from cleaner.config.keys import FileKeys
from cleaner.config.spelling import edits, nearest

SECTIONS = [
    *(field.type for field in fields(FileKeys) if isinstance(field.type, type) and has(field.type)),
    FileKeys,
    AlertmanagerKeys,
    BasicKeys,
    TlsKeys,
]


def names_of(section: type) -> list[str]:
    return [field.name for field in fields(section)]


@pytest.mark.parametrize(
    ("word", "words", "meant"),
    [
        ("windw", ["window", "splay"], "window"),
        ("wnidow", ["window", "splay"], "window"),
        ("WARN", ["debug", "info", "warning", "error"], "warning"),
        ("err", ["debug", "info", "warning", "error"], "error"),
        ("maxAge", ["name", "max_age", "age_from"], "max_age"),
        ("max-age", ["name", "max_age", "age_from"], "max_age"),
        ("used", ["created", "pulled", "last_used"], "last_used"),
        ("password", ["username", "password_file"], "password_file"),
        ("duty", ["window", "duty_cycle"], "duty_cycle"),
        ("evictions_per_nigth", ["evictions_per_night"], "evictions_per_night"),
        ("kep", ["path", "keep"], "keep"),
        ("age", ["max_age", "age_from"], None),
        ("file", ["ca_file", "cert_file", "key_file"], None),
        ("min_age", ["max_age", "name"], None),
        ("pem_file", ["ca_file", "key_file"], None),
        ("low", ["high"], None),
        ("night", ["observe", "pressure", "full"], None),
        ("none", ["observe", "pressure", "full"], None),
        ("ab", ["abc"], None),
        ("x", [], None),
    ],
)
def test_the_nearest_word(word: str, words: list[str], meant: str | None) -> None:
    """A word is proposed where one or two letters, case, separators or a part of it differ; no other, and no two."""
    assert nearest(word, words) == meant


@pytest.mark.parametrize("section", SECTIONS)
def test_a_key_with_a_letter_missing_is_found_or_not_replaced(section: type) -> None:
    """For each key of the file, without any one of its letters, the proposal is that key or none."""
    names = names_of(section)
    for name in names:
        for at in range(len(name)):
            word = name[:at] + name[at + 1 :]
            assert nearest(word, names) in {name, None}


@pytest.mark.parametrize(
    ("one", "other", "most", "count"),
    [
        ("abc", "abc", 0, 0),
        ("abc", "abd", 1, 1),
        ("abc", "acb", 1, 1),
        ("abc", "ab", 1, 1),
        ("abc", "abcd", 1, 1),
        ("abc", "xyz", 2, 3),
        ("abc", "bca", 2, 2),
        ("abc", "abcdef", 2, 3),
        ("", "a", 1, 1),
    ],
)
def test_edits(one: str, other: str, most: int, count: int) -> None:
    """Letters more, less, replaced and exchanged count one each; more than is asked for is not counted out."""
    assert edits(one, other, most) == count
