"""The configuration that the command line names, or the default file.

It must not take a missing file for an empty one where a person named it.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path

from cleaner.cli.arguments import DEFAULT_CONFIG
from cleaner.config import Config, load_config


def config_of(
    arguments: argparse.Namespace,
    environ: Mapping[str, str],
    *,
    rules_required: bool = False,
    default: Path = DEFAULT_CONFIG,
) -> Config:
    """The configuration of a command; without `rules_required` the default file, and only that, may be absent."""
    named: Path | None = arguments.config
    may_be_absent = named is None and not rules_required
    return load_config(named or default, environ, rules_required=rules_required, may_be_absent=may_be_absent)


def is_there(arguments: argparse.Namespace, *, default: Path = DEFAULT_CONFIG) -> bool:
    """Whether there is a file to read: a named one, or the default one; a link that leads nowhere counts."""
    return arguments.config is not None or default.exists() or default.is_symlink()
