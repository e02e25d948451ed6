"""Whether the registries of images answer; asked only where the configuration says so.

Start at `health.py`. `probe.py` judges one answer. It must not decide which image is kept.
"""

from cleaner.registries.health import RegistryHealth
from cleaner.registries.probe import RegistryProbe
from cleaner.registries.probe_round import ProbeRound

__all__ = ["ProbeRound", "RegistryHealth", "RegistryProbe"]
