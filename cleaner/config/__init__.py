"""The configuration: a YAML file and the environment become one frozen `Config` that cannot be invalid.

Start at `keys.py`. It must not know what a setting does.
"""

from cleaner.config.document import shown_path
from cleaner.config.durations import parse_duration
from cleaner.config.hints import hints_in
from cleaner.config.keys import DEFAULT_KUBELET_CONFIG
from cleaner.config.problems import rule_for, show
from cleaner.config.settings import (
    IMAGE_VARIABLE,
    RUNTIME_VARIABLE,
    Config,
    default_config,
    effective,
    load_config,
    missing_in,
)
from cleaner.config.values import pattern

__all__ = [
    "DEFAULT_KUBELET_CONFIG",
    "IMAGE_VARIABLE",
    "RUNTIME_VARIABLE",
    "Config",
    "default_config",
    "effective",
    "hints_in",
    "load_config",
    "missing_in",
    "parse_duration",
    "pattern",
    "rule_for",
    "show",
    "shown_path",
]
