"""What is hidden in text that a person wrote, and what surely is a secret."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleaner.core.credentials import has_credentials, without_credentials

DIGEST = f"sha256:{'a' * 64}"
SURE = [
    ("user:pw@host/x", "***@host/x"),
    ("user:pw@host:5000/x:v1", "***@host:5000/x:v1"),
    ("https://user:pw@host/x", "https://***@host/x"),
    ("https:/user:pw@host/x", "https:/***@host/x"),
    ("unix://user:pw@/run/x.sock", "unix://***@/run/x.sock"),
    ("//user:pw@host/share", "***@host/share"),
    ("/user:pw@host", "***@host"),
    ("user:p/w@p@host", "***@host"),
    ("user:p w@host", "***"),
    ("user:p?w@host", "***"),
    ("user:p\nw@host", "***"),
    ("user:pw%40host", "***host"),
    (f"user:pw@r.io/app@{DIGEST}", f"***@r.io/app@{DIGEST}"),
    ("user:pw@r.io/app@*", "***@r.io/app@*"),
    ("https://host/x?token=pw", "https://host/x?***"),
    ("https://host/x?token=p@w", "https://***"),
    ("password=my own", "password=***"),
    ("X-Api-Key = pw", "X-Api-Key = ***"),
]
MAYBE = [
    ("pw@host", "***@host"),
    ("host/x?pw", "host/x?***"),
    ("https://host/x#pw", "https://host/x#***"),
    ("password: pw", "password: ***"),
    ("Authorization: Basic pw", "Authorization: ***"),
    ("Bearer pw", "Bearer ***"),
    ("r.io/app:v1@pw", "***@pw"),
    ("/srv/user:pw@host", "***@host"),
    ("mailto:team@example.com", "***@example.com"),
]
PLAIN = [
    "",
    "@",
    "@host",
    "r.io:5000/app:v1",
    "r.io/token:v1",
    f"r.io/app:v1@{DIGEST}",
    "r.io/app@sha256:*",
    "r.io/app@*",
    "nginx:latest",
    "[::1]:10099",
    "unix:///run/user@1000/x.sock",
    "/mnt/disk@1",
    "0 0 ? * *",
    "0 0 * * 1#5",
    "**",
    "the token file",
]


@pytest.mark.parametrize(("text", "shown"), SURE)
def test_a_sure_secret(text: str, shown: str) -> None:
    """A user with a password and a named secret are secrets, and are hidden."""
    assert has_credentials(text)
    assert without_credentials(text) == shown.replace("***host", "***@host")


@pytest.mark.parametrize(("text", "shown"), MAYBE)
def test_what_may_be_a_secret(text: str, shown: str) -> None:
    """What may be a token is hidden, and refused by nobody."""
    assert not has_credentials(text)
    assert without_credentials(text) == shown


@pytest.mark.parametrize("text", PLAIN)
def test_plain_text(text: str) -> None:
    """References with a digest, paths and schedules are shown as they are."""
    assert not has_credentials(text)
    assert without_credentials(text) == text


@given(st.text(max_size=20), st.text(min_size=1, max_size=20), st.sampled_from(["", "https://", "//"]))
def test_no_password_survives(user: str, password: str, scheme: str) -> None:
    """Whatever user and password are, the login is hidden as a whole."""
    marked = f"<{password}>"
    assert marked not in without_credentials(f"{scheme}{user}:{marked}@host/app")


@pytest.mark.parametrize("piece", ["auth", "token ", "user:", "@sha256:a", "?", "//", "a@", "basic ", "%40"])
def test_a_long_text_takes_no_long_time(piece: str) -> None:
    """A value as large as a whole file is answered: no pattern goes back over what it has read."""
    text = piece * (1024 * 1024 // len(piece))
    assert has_credentials(text) in {True, False}
    assert len(without_credentials(text)) <= len(text) + len("***@")


@pytest.mark.parametrize(
    "text", ["old: ask ops@example.com", "slack: @ops", "reg:5000/a@sha*", "reg:5000/a@*:*", "reg:5000/a@*"]
)
def test_what_only_looks_like_a_login(text: str) -> None:
    """Free text with a blank, and patterns of digests behind a registry's port, are valid."""
    assert not has_credentials(text)


@pytest.mark.parametrize("text", ["secretkey=hunter2", "aws_secret_access_key=hunter2", "x;dockerconfigjson=hunter2"])
def test_names_of_secrets_may_be_longer(text: str) -> None:
    """What is called a secret in a longer name is one."""
    assert has_credentials(text)
    assert "hunter2" not in without_credentials(text)
