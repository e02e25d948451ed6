"""The log itself: its levels, its two forms, and what else on this machine may write to it.

It must be the only output: what libraries log, warn or die of becomes a line of the same form.
"""

import logging
import re
import threading
from collections.abc import Callable, Mapping, MutableMapping
from enum import StrEnum
from functools import partial
from typing import Any, TextIO

import structlog
from structlog.dev import ConsoleRenderer, plain_traceback
from structlog.processors import JSONRenderer, TimeStamper, add_log_level, format_exc_info
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

from cleaner.outlets.units import one_line

LEVELS: Mapping[str, int] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}

_CREDENTIALS = (
    (re.compile(r"(?<=://)[^/\s@]+@"), "***@"),
    (re.compile(r"(?i)\b(authorization\W+(?:basic|bearer)|bearer)\s+\S+"), r"\1 ***"),
)


class LogForm(StrEnum):
    """How a line is written."""

    AUTO = "auto"
    JSON = "json"
    CONSOLE = "console"


def configure_logging(level: str, form: str, stream: TextIO, count: Callable[[str], None]) -> FilteringBoundLogger:
    """Send the whole process's log to a stream; `count` hears the level of each line.

    `auto` is console on a terminal, json elsewhere. Libraries are heard from `warning` on, whatever the level.
    """
    logger = make_logger(level, form, stream, count)
    _adopt_libraries(logger)
    return logger


def make_logger(level: str, form: str, stream: TextIO, count: Callable[[str], None]) -> FilteringBoundLogger:
    """A logger that writes to a stream, and nothing that the process shares."""
    terminal = stream.isatty()
    console = form == LogForm.CONSOLE or (form == LogForm.AUTO and terminal)
    processors: list[Processor] = [
        add_log_level,
        TimeStamper(fmt="iso", utc=True),
        format_exc_info,
        _clean_line,
        partial(_count_line, count),
        *(_console(colors=terminal) if console else (_put_first, JSONRenderer())),
    ]
    wrapper = structlog.make_filtering_bound_logger(LEVELS[level])
    logger: FilteringBoundLogger = structlog.wrap_logger(
        _Lines(stream), processors, wrapper, cache_logger_on_first_use=True
    )
    return logger


class _Lines:
    """The stream, line by line. A log that cannot be written must not stop the work."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._encoding = getattr(stream, "encoding", None) or "utf-8"
        self._lock = threading.Lock()

    def write(self, line: str) -> None:
        text = line.encode(self._encoding, "backslashreplace").decode(self._encoding)
        try:
            with self._lock:
                self._stream.write(text + "\n")
                self._stream.flush()
        except (OSError, ValueError):  # a full disk, a reader that is gone; a closed stream
            pass

    debug = info = warning = error = write


class _LibraryLines(logging.Handler):
    """What libraries say through the standard `logging` and `warnings`, as lines of event `library`."""

    def __init__(self, logger: FilteringBoundLogger) -> None:
        super().__init__()
        self._logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        level = logging.ERROR if record.levelno >= logging.ERROR else logging.WARNING
        self._logger.log(level, "library", logger=record.name, text=_text_of(record), exc_info=record.exc_info)


def _text_of(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError):  # arguments that do not fit the text
        return str(record.msg)


def _adopt_libraries(logger: FilteringBoundLogger) -> None:
    root = logging.getLogger()
    root.handlers[:] = [_LibraryLines(logger)]
    root.setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
    threading.excepthook = partial(_log_broken_thread, logger)


def _log_broken_thread(logger: FilteringBoundLogger, broken: threading.ExceptHookArgs) -> None:
    name = broken.thread.name if broken.thread else None
    logger.error("thread_crashed", thread=name, exc_info=broken.exc_value)


def _count_line(count: Callable[[str], None], _logger: WrappedLogger, level: str, line: EventDict) -> EventDict:
    count(level)
    return line


def _clean_line(_logger: WrappedLogger, _level: str, line: EventDict) -> EventDict:
    """Text on one line and without credentials; a traceback keeps its lines."""
    return {key: _hide(value) if key == "exception" else _clean(value) for key, value in line.items()}


def _clean(value: Any) -> Any:  # noqa: ANN401 (any value that JSON has)
    if isinstance(value, str):
        return one_line(_hide(value))
    return [_clean(part) for part in value] if isinstance(value, list | tuple) else value


def _hide(text: str) -> str:
    for pattern, replacement in _CREDENTIALS:
        text = pattern.sub(replacement, text)
    return text


def _put_first(_logger: WrappedLogger, _level: str, line: EventDict) -> EventDict:
    """When, how grave, what: in front, where people who read JSON look."""
    return {key: line[key] for key in ("timestamp", "level", "event")} | dict(line)


def _console(*, colors: bool) -> tuple[Processor, Processor]:
    renderer = ConsoleRenderer(colors=colors, sort_keys=False, exception_formatter=plain_traceback)
    return _drop_unknown, renderer


def _drop_unknown(_logger: WrappedLogger, _level: str, line: MutableMapping[str, Any]) -> EventDict:
    """People need not read what is not known; programs get null."""
    return {key: value for key, value in line.items() if value is not None}
