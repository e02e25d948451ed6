"""The ledger as each command opens it: to write, to read, or in memory only.

It must not open the file: that happens at its first use. Each function raises EnvironmentUnusableError where there
can never be a ledger at `state.path`.
"""

from importlib.metadata import version
from pathlib import Path

from cleaner import DISTRIBUTION
from cleaner.config import Config
from cleaner.core.model import Mode
from cleaner.ledger import InMemoryLedger, SqliteLedger, require_place
from cleaner.node import SystemTimer, read_boot


def ledger_of(config: Config, *, daemon: bool = False) -> SqliteLedger:
    """The ledger to write: the daemon's, or that of a sweep by hand, whose evictions the daemon reports later."""
    observes = daemon and config.mode is Mode.OBSERVE
    keep, grace = config.state.keep, config.policy.grace
    return SqliteLedger(
        _place_of(config),
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
    return InMemoryLedger() if _is_absent(_place_of(config)) else history_of(config)


def history_of(config: Config) -> SqliteLedger:
    """The ledger to read, whether or not there is one."""
    keep, grace = config.state.keep, config.policy.grace
    return SqliteLedger(
        _place_of(config),
        keep=keep,
        grace=grace,
        timer=SystemTimer(),
        boot=read_boot(),
        writable=False,
        version=version(DISTRIBUTION),
    )


def _place_of(config: Config) -> Path:
    path = Path(config.state.path)
    require_place(path)
    return path


def _is_absent(path: Path) -> bool:
    """Where a directory may not be searched nothing tells: the ledger then says why it cannot be read."""
    try:
        path.stat()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return False
