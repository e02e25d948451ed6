"""The log itself: forms, levels, and other output that must not escape as plain text."""

import io
import json
import subprocess
import sys

import pytest

from cleaner.outlets.log.logger import make_logger

PROGRAM = """
import logging, sys, threading, warnings
from cleaner.outlets.log.logger import configure_logging
count = []
logger = configure_logging("debug", "auto", sys.stderr, count.append)
logger.info("ours", references=["a:1"])
logging.getLogger("grpc._channel").error("it broke: %s", "twice\\nover")
logging.getLogger("grpc._channel").info("chatter")
logging.getLogger("careless").warning("%d of them", "two")
warnings.warn("old ways")
def die(): raise KeyError("in a thread")
thread = threading.Thread(target=die, name="web")
thread.start(); thread.join()
print(*count)
"""


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class _FullDisk(io.StringIO):
    def write(self, _text: str) -> int:
        raise OSError(28, "No space left on device")


def _write(stream: io.StringIO, form: str = "json", level: str = "info", **keys: object) -> list[str]:
    counted: list[str] = []
    logger = make_logger(level, form, stream, counted.append)
    logger.debug("quiet")
    logger.warning("loud", **keys)
    return counted


def test_whatever_libraries_say_is_a_json_line() -> None:
    """Log records, warnings and dying threads of the whole process are JSON lines, and counted."""
    done = subprocess.run([sys.executable, "-P", "-c", PROGRAM], capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["event"] for line in lines] == ["ours", "library", "library", "library", "thread_crashed"]
    assert lines[1]["logger"] == "grpc._channel"
    assert lines[1]["text"] == "it broke: twice over"
    assert lines[2]["text"] == "%d of them"
    assert "UserWarning: old ways" in lines[3]["text"]
    assert "KeyError: 'in a thread'" in lines[4]["exception"]
    assert done.stdout.split() == ["info", "error", "warning", "warning", "error"]


@pytest.mark.parametrize(
    ("stream", "form", "is_json"),
    [
        (io.StringIO, "auto", True),
        (_Terminal, "auto", False),
        (_Terminal, "json", True),
        (io.StringIO, "console", False),
    ],
)
def test_json_unless_on_a_terminal(stream: type[io.StringIO], form: str, *, is_json: bool) -> None:
    """`auto` is for people on a terminal and for programs elsewhere; the other two are what they say."""
    written = stream()
    _write(written, form)
    assert written.getvalue().startswith("{") is is_json


@pytest.mark.parametrize(("level", "counted"), [("debug", ["debug", "warning"]), ("warning", ["warning"])])
def test_lines_are_counted_as_written(level: str, counted: list[str]) -> None:
    """A line below the level is neither written nor counted."""
    stream = io.StringIO()
    assert _write(stream, level=level) == counted
    assert len(stream.getvalue().splitlines()) == len(counted)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("GET https://ci:secret@registry.example.com/v2/ failed", "GET https://***@registry.example.com/v2/ failed"),
        ("Authorization: Bearer eyJhbGciOi.x.y refused", "Authorization: Bearer *** refused"),
        ("registry.example.com/app@sha256:abc", "registry.example.com/app@sha256:abc"),
    ],
)
def test_credentials_are_not_logged(text: str, written: str) -> None:
    """Passwords in URLs and tokens in headers are struck out, in lists too."""
    stream = io.StringIO()
    _write(stream, error=text, notices=[text])
    line = json.loads(stream.getvalue())
    assert (line["error"], line["notices"]) == (written, [written])


def test_a_console_line_has_no_unknown_values_and_no_escapes() -> None:
    """For people, null is left out, colour is for terminals, and foreign control characters are spelled out."""
    stream = io.StringIO()
    _write(stream, "console", rule=None, error="a\x1b[2Jb")
    assert "rule" not in stream.getvalue()
    assert "\x1b" not in stream.getvalue()


def test_a_log_that_cannot_be_written_stops_nothing() -> None:
    """A full disk and a stream that was closed lose the line, and only that."""
    full, closing = _FullDisk(), io.StringIO()
    loggers = [make_logger("info", "json", stream, lambda _level: None) for stream in (full, closing)]
    closing.close()
    for logger in loggers:
        logger.info("lost")
