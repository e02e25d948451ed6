"""The errors that cross the border of a package, each with the kind that logs and metrics name it by.

Foreign exceptions must not cross it: an adapter translates each into one of these errors, and chains it.
"""

from enum import StrEnum
from typing import ClassVar


class ErrorKind(StrEnum):
    """What went wrong, in one word: the same in logs, metrics and alerts."""

    CONFIG = "config"
    ENVIRONMENT = "environment"
    DISK_UNREADABLE = "disk_unreadable"
    RUNTIME_UNAVAILABLE = "runtime_unavailable"
    RUNTIME_REJECTED = "runtime_rejected"
    IMAGE_IN_USE = "image_in_use"
    STOP_REQUESTED = "stop_requested"


class CleanerError(Exception):
    """Any failure that this program knows; its text is one line for a person."""

    kind: ClassVar[ErrorKind]

    @property
    def advised(self) -> str:
        """The text, and what to do about it where that is not part of the text: for a person at a terminal."""
        return str(self)


class ConfigError(CleanerError):
    """The configuration or a command line argument is wrong; `problems` holds a line each."""

    kind = ErrorKind.CONFIG

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class ConfigFileError(ConfigError):
    """The configuration file itself cannot be read; its one problem names the file."""


class EnvironmentUnusableError(CleanerError):
    """A permanent problem of this machine: an operator has to fix it."""

    kind = ErrorKind.ENVIRONMENT


class DiskUnreadableError(CleanerError):
    """The usage of a filesystem could not be read."""

    kind = ErrorKind.DISK_UNREADABLE


class RuntimeUnavailableError(CleanerError):
    """The container runtime did not answer, or not in time: whether it acted is unknown."""

    kind = ErrorKind.RUNTIME_UNAVAILABLE

    def __init__(self, text: str, advice: str = "") -> None:
        """`advice` stays out of the text: the daemon's log repeats the text with each outage."""
        super().__init__(text)
        self.advice = advice

    @property
    def advised(self) -> str:
        """The text with the advice in brackets."""
        return f"{self} ({self.advice})" if self.advice else str(self)


class RuntimeRejectedError(CleanerError):
    """The container runtime answered with an error, or with something that cannot be understood."""

    kind = ErrorKind.RUNTIME_REJECTED


class ImageInUseError(RuntimeRejectedError):
    """The runtime rejected a removal because a container uses the image (CRI-O does; containerd never)."""

    kind = ErrorKind.IMAGE_IN_USE


class StopRequestedError(CleanerError):
    """A read was ended since a stop was requested: it says nothing about the runtime."""

    kind = ErrorKind.STOP_REQUESTED
