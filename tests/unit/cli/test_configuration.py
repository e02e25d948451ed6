"""Which configuration a command works with: a file that was named must be there."""

import argparse
from pathlib import Path

import pytest

from cleaner.cli.arguments import parser
from cleaner.cli.configuration import config_of, is_there
from cleaner.cli.main import main
from cleaner.config import default_config
from cleaner.core.errors import ConfigFileError

COMMANDS = [["check"], ["plan"], ["history"], ["sweep"], ["sweep", "--dry-run"], ["run"]]
READING = ["check", "plan", "history"]


def arguments_of(*words: str) -> argparse.Namespace:
    return parser("0").parse_args(words)


def ended(words: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    try:
        status = main(words, {})
    except SystemExit as error:
        status = int(error.code or 0)
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.mark.parametrize("words", COMMANDS)
@pytest.mark.parametrize("name", ["nope", "dangling", "a" * 5000, "zero\0byte", "folder"])
def test_a_named_file_must_be_there(
    words: list[str], name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], own_signals: None
) -> None:
    """A file that was named and cannot be read is one line and status 2, whatever the command."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    status, out, err = ended([*words, "--config", str(tmp_path / name)], capsys)
    assert (status, out) == (2, "")
    (line,) = err.splitlines()
    assert line.startswith(f"cleaner: {tmp_path}/")
    assert len(line) < 400


@pytest.mark.parametrize("words", COMMANDS)
def test_an_empty_name(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """An empty text is no file, and not the present directory either."""
    status, out, err = ended([*words, "--config", ""], capsys)
    assert (status, out) == (2, "")
    assert err.splitlines()[-1].endswith("argument --config: is empty; name a file, or leave it out")


@pytest.mark.parametrize("command", READING)
def test_the_default_file_may_be_absent_where_nothing_is_evicted(command: str, tmp_path: Path) -> None:
    """Without --config a command that only reads works without the default file, and reads it where it is."""
    default = tmp_path / "cleaner.yaml"
    assert config_of(arguments_of(command), {}, default=default) == default_config({})
    default.write_text("startup_delay: 7s\n")
    assert config_of(arguments_of(command), {}, default=default).startup_delay.seconds == 7


@pytest.mark.parametrize("command", READING)
def test_the_default_file_must_be_there_if_it_was_named(command: str, tmp_path: Path) -> None:
    """The default path is like any other path once it is written on the command line."""
    default = tmp_path / "cleaner.yaml"
    for words in (["--config", str(default)], [f"--config={default}"], ["--conf", str(default)]):
        with pytest.raises(ConfigFileError, match="does not exist; create it"):
            config_of(arguments_of(command, *words), {}, default=default)


@pytest.mark.parametrize("command", ["run", "sweep"])
def test_the_default_file_must_be_there_where_something_is_evicted(command: str, tmp_path: Path) -> None:
    """Without --config a command that evicts needs the default file."""
    default = tmp_path / "cleaner.yaml"
    with pytest.raises(ConfigFileError, match="does not exist; create it"):
        config_of(arguments_of(command), {}, rules_required=True, default=default)


def test_a_default_file_that_is_a_dangling_link(tmp_path: Path) -> None:
    """A mount that went wrong is no absent file."""
    default = tmp_path / "cleaner.yaml"
    default.symlink_to(tmp_path / "..data" / "cleaner.yaml")
    with pytest.raises(ConfigFileError, match="is a link to a file that does not exist"):
        config_of(arguments_of("check"), {}, default=default)


def test_whether_there_is_a_file(tmp_path: Path) -> None:
    """A named file counts, and so does a link that leads nowhere: both are read, or are errors."""
    default = tmp_path / "cleaner.yaml"
    assert not is_there(arguments_of("check"), default=default)
    assert is_there(arguments_of("check", "--config", str(tmp_path / "x.yaml")), default=default)
    default.symlink_to(tmp_path / "gone")
    assert is_there(arguments_of("check"), default=default)
