"""Section `alertmanager`: what it may not say, and that no complaint repeats a secret."""

from pathlib import Path

import pytest

from cleaner.config.settings import load_config
from cleaner.core.errors import ConfigError

URL = "url: http://a"
REJECTED_ALERTS = [
    ("labels: {}", "alertmanager.url: (absent): is required; write url: http://alertmanager.monitoring.svc:9093"),
    ("url: null", "alertmanager.url: null: is empty; write text"),
    ("url: []", "alertmanager.url: []: names no server; write one address"),
    ("url: [http://a, 5]", "alertmanager.url: [...]: is a number; write text"),
    ("url: alertmanager:9093", 'alertmanager.url: "alertmanager:9093": is no web address; write one such as http://'),
    ("url: ftp://a", 'alertmanager.url: "ftp://a": is no web address'),
    ("url: 'http://:9093'", 'alertmanager.url: "http://:9093": is no web address'),
    ("url: 'http://a:65536'", 'alertmanager.url: "http://a:65536": is no web address'),
    ("url: 'http://[::1'", 'alertmanager.url: "http://[::1": is no web address'),
    ("url: 'http://a_b'", 'alertmanager.url: "http://a_b": is no web address'),
    ("url: 'http://a/?x=1'", "alertmanager.url: (not shown): has a query or a fragment; write the address alone"),
    ("url: 'http://a/#x'", "alertmanager.url: (not shown): has a query or a fragment; write the address alone"),
    (
        f"{URL}, basic: {{username: a}}",
        "alertmanager.basic.password_file: (absent): is required; write password_file: /",
    ),
    (
        f"{URL}, basic: {{password_file: /a}}",
        "alertmanager.basic.username: (absent): is required; write username: clea",
    ),
    (f"{URL}, tls: {{insecure_skip_verify: true}}", "alertmanager.tls.insecure_skip_verify: (unknown key): remove it"),
    (f"{URL}, tls: {{ca_file: ca.pem}}", 'alertmanager.tls.ca_file: "ca.pem": is relative'),
    (f"{URL}, tls: {{cert_file: /a}}", 'alertmanager.tls.cert_file: "/a": is of no use without key_file; write both'),
    (f"{URL}, tls: {{key_file: /a}}", 'alertmanager.tls.key_file: "/a": is of no use without cert_file; write both'),
    (f"{URL}, labels: [a]", "alertmanager.labels: [...]: is a list; write names with values, such as {cluster: eu-1}"),
    (f"{URL}, labels: {{1a: x}}", "alertmanager.labels: {...}: has a name that is no label"),
    (f"{URL}, labels: {{a-b: x}}", "alertmanager.labels: {...}: has a name that is no label"),
    (f"{URL}, labels: {{1: x}}", "alertmanager.labels: {...}: has a name that is no label"),
    (f"{URL}, labels: {{node: x}}", "alertmanager.labels: {...}: sets node, which the agent sets; write another name"),
    (f"{URL}, labels: {{a: 1}}", "alertmanager.labels: {...}: has no text for a; write some"),
    (f"{URL}, labels: {{a: ''}}", "alertmanager.labels: {...}: has no text for a; write some"),
    (f"{URL}, timeout: 0s", 'alertmanager.timeout: "0s": is too short; write 1s or more'),
    (f"{URL}, timeout: 61s", 'alertmanager.timeout: "61s": is too long; write 1m or less'),
    (f"{URL}, repeat_every: 0s", 'alertmanager.repeat_every: "0s": is too short; write 1s or more'),
    (f"{URL}, repeat_every: 601s", 'alertmanager.repeat_every: "601s": is too long; write 10m or less'),
]
WITH_SECRET = [
    (
        "{url: 'http://user:s3cret@a'}",
        "alertmanager.url: (not shown): has a user or a password in it; write it without",
    ),
    ("{url: [http://a, 'user:s3cret@a']}", "alertmanager.url: (not shown): has a user or a password in it"),
    ("{url: 'http://user:s3/cr@et@a'}", "alertmanager.url: (not shown): has a user or a password in it"),
    ("'http://user:s3cret@a'", 'alertmanager: "http://***@a": is text; write keys with values'),
    (f"{{{URL}, basic: 'user:s3cret'}}", "alertmanager.basic: (not shown): is text; write keys with values"),
    (
        f"{{{URL}, basic: {{username: user, password_file: s3cret}}}}",
        "alertmanager.basic.password_file: (not shown): is no absolute path; write the path of a file that holds",
    ),
    (
        f"{{{URL}, basic: {{username: user, password_file: /a, password: s3cret}}}}",
        "alertmanager.basic.password: (unknown key): write password_file",
    ),
    (f"{{{URL}, bearer_token_file: s3cret}}", "alertmanager.bearer_token_file: (not shown): is no absolute path"),
    (f"{{{URL}, bearer_token_file: [s3cret]}}", "alertmanager.bearer_token_file: (not shown): is no absolute path"),
    (
        f"{{{URL}, bearer_token_file: /s3cret, basic: {{username: user, password_file: /s3cret}}}}",
        "alertmanager.bearer_token_file: (not shown): cannot go with basic; remove one of them",
    ),
]
ACCEPTED = [
    f"{{{URL}, timeout: 1s, repeat_every: 1s}}",
    "{url: https://a.b.:1, timeout: 60s, repeat_every: 600s, labels: {_a9: x}}",
    "{url: 'http://127.0.0.1:65535/path', bearer_token_file: /a, basic: null}",
]


def problems_in(tmp_path: Path, text: str) -> tuple[str, ...]:
    """The lines about a file; none where it is fine."""
    path = tmp_path / "cleaner.yaml"
    path.write_text(text, encoding="utf-8")
    try:
        load_config(path, {}, rules_required=False)
    except ConfigError as error:
        return error.problems
    return ()


@pytest.mark.parametrize(("text", "line"), REJECTED_ALERTS)
def test_a_rejected_alertmanager_is_one_line(tmp_path: Path, text: str, line: str) -> None:
    """One mistake about an Alertmanager is one line that says what to write."""
    (problem,) = problems_in(tmp_path, f"alertmanager: {{{text}}}")
    assert problem.startswith(line)


@pytest.mark.parametrize(("section", "line"), WITH_SECRET)
def test_a_secret_in_the_wrong_place_is_not_repeated(tmp_path: Path, section: str, line: str) -> None:
    """A secret in place of a file or an address is an error that does not repeat it."""
    (problem,) = problems_in(tmp_path, f"alertmanager: {section}")
    assert problem.startswith(line)
    assert "cret" not in problem.replace("secret", "")


@pytest.mark.parametrize("section", ACCEPTED)
def test_the_last_accepted_section(tmp_path: Path, section: str) -> None:
    """Values next to a rejected one are accepted."""
    assert problems_in(tmp_path, f"alertmanager: {section}") == ()
