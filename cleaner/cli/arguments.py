"""The command line's grammar: argparse's description of every command.

It must not act on what it read, see `main.py`.
"""

import argparse
import re
from datetime import timedelta
from pathlib import Path
from typing import NoReturn

from cleaner.cli.image_filter import IdPrefix, ImageFilter
from cleaner.config import parse_duration, pattern, rule_for, show
from cleaner.core.credentials import without_credentials
from cleaner.core.model import Trigger
from cleaner.outlets.units import MOST_ROWS

DEFAULT_CONFIG = Path("/etc/cleaner/cleaner.yaml")

EPILOG = """\
exit status: 0 done, 1 a sweep or an eviction failed, 2 bad configuration or usage, 3 the environment is not usable

CONTAINER_RUNTIME_ENDPOINT and IMAGE_SERVICE_ENDPOINT say where the runtime listens, and win over the file."""

_EVERY_IMAGE = "a row for every image, however many are kept"
_ID_DIGITS = re.compile(r"[0-9a-f]{6,64}")
"""Fewer may well be those of several images."""
_BEFORE_ARGUMENTS = re.compile(r"(?:argument [^:]{1,80}: )?(?:[a-z ]+: '?|ignored explicit argument ')")
"""The words of argparse itself."""
_COMPLAINT = re.compile(r'argument [^:]{1,80}: "')
"""How the complaints of this module begin, which repeat no secret."""


class _Parser(argparse.ArgumentParser):
    """Complains without the passwords that argparse would repeat from the command line."""

    def error(self, message: str) -> NoReturn:
        """End with status 2, the usage and one line."""
        if not _COMPLAINT.match(message):
            known = _BEFORE_ARGUMENTS.match(message)
            begin = known.end() if known else 0
            message = message[:begin] + without_credentials(message[begin:])
        super().error(message)


def parser(version: str) -> argparse.ArgumentParser:
    """The parser of all commands; without one it prints what there is, as for any other mistake."""
    root: argparse.ArgumentParser = _Parser(
        prog="cleaner",
        description="Evicts the oldest unused container images of a node before its disk is full.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    root.add_argument("--version", action="version", version=f"cleaner {version}")
    commands = root.add_subparsers(dest="command", metavar="COMMAND", required=True)
    _add_run(commands)
    _add_plan(commands)
    _add_sweep(commands)
    _add_history(commands)
    _add_check(commands)
    _add_demo(commands)
    return root


def _add_run(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    _add(commands, "run", "the daemon: watch the disk and sweep when due, until SIGTERM")


def _add_plan(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = _add(commands, "plan", "what a sweep would do and why; changes nothing")
    command.add_argument(
        "--trigger",
        choices=[trigger.value for trigger in (Trigger.NIGHTLY, Trigger.PRESSURE, Trigger.MANUAL)],
        default=Trigger.NIGHTLY.value,
        help="which sweep: nightly, within nightly.evictions_per_night; pressure, which evicts only from the high "
        "watermark on; manual, without that limit and without rules on hold (default: %(default)s)",
    )
    _add_output(command)


def _add_sweep(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = _add(commands, "sweep", "one sweep now, without pauses: evicts what is past its rule's max_age")
    command.add_argument(
        "--trigger",
        choices=[trigger.value for trigger in (Trigger.MANUAL, Trigger.NIGHTLY, Trigger.PRESSURE)],
        default=Trigger.MANUAL.value,
        help="nightly: within nightly.evictions_per_night, without the images of rules on hold; pressure: only from "
        "the high watermark on, down to the low one (default: %(default)s)",
    )
    command.add_argument("--dry-run", action="store_true", help="stop after the plan; nothing is removed")
    command.add_argument(
        "--grace",
        type=_duration,
        metavar="DURATION",
        help="instead of policy.grace (under pressure: pressure.grace), like 0s or 4h",
    )
    command.add_argument("--limit", type=_positive, metavar="N", help="evict so many images at most")
    _add_output(command)


def _add_history(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = _add(
        commands,
        "history",
        "what was evicted, when and why, whether it was re-pulled, and what was removed externally; changes nothing",
    )
    command.add_argument(
        "--image",
        type=_image_filter,
        metavar="PATTERN",
        help="only images with such a reference, like docker.io/library/nginx or ghcr.io/**:v1; "
        "or the image with this id, of which 6 digits are enough",
    )
    command.add_argument(
        "--since",
        type=_duration,
        metavar="DURATION",
        help="only what was evicted or removed in the last 12h, 7d or the like (default: all that is kept)",
    )
    command.add_argument(
        "--observed",
        action="store_true",
        help="instead: what would have been evicted in mode observe, and whether it was pulled or used since",
    )
    _add_output(command, rows=f"a row for every eviction; without it the table shows the newest {MOST_ROWS}")


def _add_check(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    _add_output(_add(commands, "check", "inspect the configuration and the environment; changes nothing"), rows=None)


def _add_demo(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    text = "the real daemon at work on a simulated node: needs nothing, touches nothing"
    commands.add_parser("demo", help=text, description=text.capitalize() + ".")


def _add(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, text: str
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    command.add_argument("--config", type=_file, metavar="FILE", help=f"configuration (default: {DEFAULT_CONFIG})")
    return command


def _add_output(command: argparse.ArgumentParser, *, rows: str | None = _EVERY_IMAGE) -> None:
    command.add_argument(
        "-o", "--output", choices=["table", "json"], default="table", help="for people or programs (default: table)"
    )
    if rows:
        command.add_argument("--all", action="store_true", help=rows)


def _file(text: str) -> Path:
    if not text:
        raise argparse.ArgumentTypeError("is empty; name a file, or leave it out")
    return Path(text)


def _duration(text: str) -> timedelta:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(_complaint(text, str(error))) from None


def _image_filter(text: str) -> ImageFilter:
    """A pattern as the policy has them, or the beginning of an image id; no text is both."""
    digits = text.lower().removeprefix("sha256:")
    if _ID_DIGITS.fullmatch(digits):
        return IdPrefix(digits)
    if text.lower().startswith("sha256:"):
        raise argparse.ArgumentTypeError(_complaint(text, "is no image id; write 6 to 64 of its hexadecimal digits"))
    try:
        return pattern(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(_complaint(text, str(error))) from None


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(_complaint(text, "is not a whole number from 1 on"))
    return int(text)


def _complaint(text: str, rule: str) -> str:
    """What is wrong with an argument, which is shown as values of the configuration are."""
    return f"{show(text)} {rule_for(text, rule)}"
