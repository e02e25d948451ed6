"""No secret that a person wrote into the configuration, a variable or an argument is printed again."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from attrs import fields, has

from cleaner.cli.main import main
from cleaner.config import effective, load_config
from cleaner.config.keys import FileKeys
from cleaner.core.errors import ConfigError

SECRET = "hunter2"  # noqa: S105 (of nobody)
SURE = [
    f"user:{SECRET}@host/x",
    f"user:{SECRET}@host:80",
    f"https://user:{SECRET}@host/x",
    f"unix://user:{SECRET}@/run/x.sock",
    f"//user:{SECRET}@host/x",
    f"/user:{SECRET}@host",
    f"user:{SECRET}%40host",
    f"user:a/{SECRET}@b@host/x",
    f"localhost:{SECRET}/x@host*",
    f"user:{SECRET}@host/x@sha256:{'a' * 64}",
    f"https://host/x?token={SECRET}",
    f"/x?password={SECRET}",
    f"token={SECRET}",
]
"""Refused everywhere: the effective settings never show them."""
MAYBE = [
    f"{SECRET}@host/x",
    f"host.io/user:{SECRET}@host",
    f"host/x?{SECRET}",
    f"https://host/x#{SECRET}",
    f"Bearer {SECRET}",
    f"Authorization: Basic {SECRET}",
    f"x/{SECRET}@host",
]
"""Hidden wherever something is wrong with them."""
RULE = {"name": "a", "match": ["ghcr.io/**"], "max_age": "30d"}
COMMANDS = ["check", "plan", "run"]


def paths_of(section: type, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every key of the file with its sections; rules have an index of their own."""
    for field in fields(section):
        yield (*path, field.name)
        parts = [field.type, *get_args(field.type)]
        for part in (part for part in parts if isinstance(part, type) and has(part)):
            below = (*path, field.name, "0") if field.name == "rules" else (*path, field.name)
            yield from paths_of(part, below)


PATHS = sorted(paths_of(FileKeys))


def tree_with(path: tuple[str, ...], value: object) -> dict[str, object]:
    """A file that is right but for the value at one path."""
    for step in reversed(path):
        value = [RULE | value if isinstance(value, dict) else value] if step == "0" else {step: value}
    assert isinstance(value, dict)
    if "alertmanager" in value and isinstance(value["alertmanager"], dict):
        value["alertmanager"] = {"url": "http://a"} | value["alertmanager"]
        basic = value["alertmanager"].get("basic")
        if isinstance(basic, dict):
            value["alertmanager"]["basic"] = {"username": "a", "password_file": "/a"} | basic
    return value


def shapes_of(form: str) -> list[object]:
    """As a value, in a list, as a name, and below a name; as a mirror and as a registry that has some."""
    return [form, [form], ["r.io", form], {form: "x"}, {"x": form}, {"r.io": [form]}, {form: ["r.io"]}, [{form: form}]]


def output_for(tmp_path: Path, tree: object) -> tuple[str, bool]:
    """What is told of a file: its problems, or its effective settings; and whether it was accepted."""
    path = tmp_path / "cleaner.yaml"
    path.write_text(json.dumps(tree))
    try:
        config = load_config(path, {}, rules_required=False)
    except ConfigError as error:
        return "\n".join(error.problems), False
    return json.dumps(effective(config)), True


def test_the_walk_comes_everywhere() -> None:
    """The walk reaches sections, rules, and sections that may be null."""
    assert {
        ("policy", "rules", "0", "match"), ("registries", "also"), ("alertmanager", "basic", "username"),
        ("alertmanager", "tls", "ca_file"), ("policy", "regret", "limit"), ("web", "listen"), ("mode",),
    } < set(PATHS)  # fmt: skip


@pytest.mark.parametrize("path", PATHS, ids=".".join)
def test_no_key_repeats_a_secret(path: tuple[str, ...], tmp_path: Path) -> None:
    """In whatever form and shape a secret stands at a key, no problem and no effective setting shows it."""
    for form in SURE + MAYBE:
        for shape in shapes_of(form):
            output, accepted = output_for(tmp_path, tree_with(path, shape))
            if not accepted or form in SURE:
                assert SECRET not in output, (form, shape)


@pytest.mark.parametrize("form", SURE + MAYBE)
def test_no_name_of_a_key_repeats_a_secret(form: str, tmp_path: Path) -> None:
    """A secret in place of a key, once, twice and in a section, is not shown."""
    for text in (f"{form!r}: x", f"{form!r}: x\n{form!r}: x", f"nightly: {{{form!r}: x}}", f"? {{{form!r}: x}}\n: x"):
        (tmp_path / "cleaner.yaml").write_text(f"{text}\n")
        with pytest.raises(ConfigError) as raised:
            load_config(tmp_path / "cleaner.yaml", {}, rules_required=False)
        assert SECRET not in str(raised.value)


@pytest.mark.parametrize(
    "text",
    [
        f"password: *{SECRET}",
        f"password: !{SECRET} x",
        f"password: !<{SECRET}> x",
        f"password: !!timestamp {SECRET}",
        f"password: !e!{SECRET} x",
        f"password: &{SECRET}",
        f"a: &{SECRET} 1\nb: &{SECRET} 2",
        f"%TAG !{SECRET}! x\n%TAG !{SECRET}! y\n---\na: 1",
        f"password: @{SECRET}",
        f'password: "\\q{SECRET}"',
        f"password: [{SECRET}\nb: c",
        f"password: !!binary {SECRET}\u00e9",
        f"password: !!int {SECRET}",
        f"{SECRET}\nmode: full",
        f"- {SECRET}",
    ],
)
@pytest.mark.parametrize("command", COMMANDS)
def test_yaml_repeats_no_secret(
    text: str, command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], own_signals: None
) -> None:
    """What YAML makes of a password that begins with a character of its own does not show it."""
    (tmp_path / "cleaner.yaml").write_text(f"{text}\n", encoding="utf-8")
    assert main([command, "--config", str(tmp_path / "cleaner.yaml")], {}) == 2
    captured = capsys.readouterr()
    assert SECRET not in captured.out + captured.err


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_repeats_a_secret(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], own_signals: None
) -> None:
    """The commands print the problems and nothing else of the file."""
    sections = {
        "web": {"listen": SURE[1]},
        "policy": {"protect": [SURE[0], MAYBE[0]], "rules": [RULE | {"match": SURE[:2] + MAYBE[:2]}]},
        "registries": {"plain_http": SURE[:2] + MAYBE[:1], "also": {SURE[0]: [SURE[1]]}},
        "filesystem": {"path": MAYBE[0]},
    }
    (tmp_path / "cleaner.yaml").write_text(json.dumps(sections))
    variables = {"CONTAINER_RUNTIME_ENDPOINT": SURE[2], "IMAGE_SERVICE_ENDPOINT": MAYBE[0]}
    assert main([command, "--config", str(tmp_path / "cleaner.yaml")], variables) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) > 10
    assert SECRET not in captured.err


@pytest.mark.parametrize("variable", ["CONTAINER_RUNTIME_ENDPOINT", "IMAGE_SERVICE_ENDPOINT"])
@pytest.mark.parametrize("form", SURE + MAYBE)
def test_no_variable_is_repeated(
    form: str, variable: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], own_signals: None
) -> None:
    """A secret in place of an endpoint is not shown, whether it is the address or its reading that is refused."""
    (tmp_path / "cleaner.yaml").write_text(json.dumps({"policy": {"rules": [RULE]}}))
    assert main(["plan", "--config", str(tmp_path / "cleaner.yaml")], {variable: form}) != 0
    captured = capsys.readouterr()
    assert SECRET not in captured.out + captured.err


@pytest.mark.parametrize("form", SURE + MAYBE)
@pytest.mark.parametrize(
    "words",
    [
        ["history", "--image"],
        ["history", "--since"],
        ["sweep", "--grace"],
        ["sweep", "--limit"],
        ["sweep", "--trigger"],
        ["plan", "--output"],
        ["plan"],
        ["check", "--config"],
        [],
    ],
    ids=" ".join,
)
def test_no_argument_is_repeated(words: list[str], form: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A secret in place of an argument is bad usage that does not show it."""
    try:
        status = main([*words, form], {})
    except SystemExit as ended:
        status = int(ended.code or 0)
    captured = capsys.readouterr()
    assert status == 2
    assert SECRET not in captured.out + captured.err


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ["history", "--image", SURE[0]],
            'argument --image: "***@host/x" has a password or a token in it; write it without',
        ),
        (["history", "--image", "nginx"], 'argument --image: "nginx" names no registry; write docker.io/library/nginx'),
        (["sweep", "--limit", MAYBE[0]], 'argument --limit: "***@host/x" is not a whole number from 1 on'),
        (["plan", "-o", SURE[0]], "argument -o/--output: invalid choice: '***@host/x' (choose from "),
        (["plan", SURE[0]], "unrecognized arguments: ***@host/x"),
        (["plan", f"--all={SECRET}@host"], "argument --all: ignored explicit argument '***@host'"),
    ],
)
def test_the_rest_of_a_complaint_stays(words: list[str], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What is not secret, such as the argument's name and what to write, is shown."""
    with pytest.raises(SystemExit):
        main(words, {})
    assert capsys.readouterr().err.splitlines()[-1].partition("error: ")[2].startswith(line)
