"""The ledger as each command opens it: to write, to read, or in memory only.

It must not open the file: that happens at its first use.
"""

from importlib.metadata import version
from pathlib import Path

from cleaner import DISTRIBUTION
from cleaner.config import Config
from cleaner.core.model import Mode
from cleaner.ledger import InMemoryLedger, SqliteLedger
from cleaner.node import SystemTimer, read_boot


def ledger_of(config: Config, *, daemon: bool = False) -> SqliteLedger:
    """The ledger to write: the daemon's, or that of a sweep by hand, whose evictions the daemon reports later."""
    observes = daemon and config.mode is Mode.OBSERVE
    keep, grace = config.state.keep, config.policy.grace
    return SqliteLedger(
        Path(config.state.path),
        keep=keep,
        grace=grace,
        timer=SystemTimer(),
        boot=read_boot(),
        observes=observes,
        tells=daemon,
        version=version(DISTRIBUTION),
    )


def memory_of(config: Config) -> SqliteLedger | InMemoryLedger:
    """The ledger to read, which changes nothing; on a node that has none, what this process sees."""
    return history_of(config) if Path(config.state.path).exists() else InMemoryLedger()


def history_of(config: Config) -> SqliteLedger:
    """The ledger to read, whether or not there is one."""
    keep, grace = config.state.keep, config.policy.grace
    return SqliteLedger(
        Path(config.state.path),
        keep=keep,
        grace=grace,
        timer=SystemTimer(),
        boot=read_boot(),
        writable=False,
        version=version(DISTRIBUTION),
    )
