"""The configuration: a YAML file and the environment become one frozen `Config` that cannot be invalid.

Start at `keys.py`. It must not know what a setting does.
"""

from cleaner.config.durations import parse_duration
from cleaner.config.keys import DEFAULT_KUBELET_CONFIG
from cleaner.config.settings import (
    IMAGE_VARIABLE,
    RUNTIME_VARIABLE,
    Config,
    default_config,
    effective,
    load_config,
    missing_in,
)

__all__ = [
    "DEFAULT_KUBELET_CONFIG",
    "IMAGE_VARIABLE",
    "RUNTIME_VARIABLE",
    "Config",
    "default_config",
    "effective",
    "load_config",
    "missing_in",
    "parse_duration",
]
