"""argv and environ -> a command -> exit status, and a line for whatever a person can mend.

It must not import more than the command needs: the command builds its parts with `wiring.py`.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.metadata import version

from cleaner import DISTRIBUTION, Environ
from cleaner.cli.arguments import DEFAULT_CONFIG, parser
from cleaner.cli.console import BAD_USAGE, DONE, FAILED, UNUSABLE, complain
from cleaner.config import shown_path
from cleaner.core.errors import (
    CleanerError,
    ConfigError,
    ConfigFileError,
    EnvironmentUnusableError,
    RuntimeUnavailableError,
)

Command = Callable[[argparse.Namespace, Environ], int]


def main(argv: Sequence[str] | None = None, environ: Environ = os.environ) -> int:
    """Run one command; the exit status is documented in `cleaner --help`."""
    arguments = parser(version(DISTRIBUTION)).parse_args(argv)
    execute: Command = import_module(f"cleaner.cli.commands.{arguments.command}").execute
    try:
        return execute(arguments, environ)
    except ConfigFileError as error:
        complain(*error.problems)
        return BAD_USAGE
    except ConfigError as error:
        path = shown_path(arguments.config or DEFAULT_CONFIG)
        complain(f"{path}: {_number_of(error.problems)}", *error.problems)
        return BAD_USAGE
    except CleanerError as error:
        complain(error.advised)
        return UNUSABLE if isinstance(error, EnvironmentUnusableError | RuntimeUnavailableError) else FAILED
    except BrokenPipeError:
        # The reader has seen enough (`| head`); what Python would still flush has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except KeyboardInterrupt:
        return 130


def _number_of(problems: Sequence[str]) -> str:
    return "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
