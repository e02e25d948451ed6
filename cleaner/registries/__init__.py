"""Whether the registries of images answer; asked only where the configuration says so.

Start at `health.py`. It must not decide what follows from an answer: a registry that cannot be asked is down.
"""

from cleaner.registries.health import RegistryHealth
from cleaner.registries.probe import RegistryProbe
from cleaner.registries.probe_round import ProbeRound

__all__ = ["ProbeRound", "RegistryHealth", "RegistryProbe"]
