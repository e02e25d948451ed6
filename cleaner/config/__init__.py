"""The configuration: a YAML file and the environment -> one frozen Config that cannot be invalid."""

from cleaner.config.settings import Config, default_config, effective, load_config, missing_in

__all__ = ["Config", "default_config", "effective", "load_config", "missing_in"]
