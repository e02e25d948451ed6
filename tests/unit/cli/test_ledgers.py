"""The ledgers of the commands: all of them know which boot of the machine this is."""

from pathlib import Path

import attrs

from cleaner.cli.ledgers import history_of, ledger_of, memory_of
from cleaner.config.settings import Config, default_config
from cleaner.ledger.ledger import SqliteLedger
from cleaner.node.clock import SystemTimer, read_boot


def config_of(folder: Path) -> Config:
    config = default_config({})
    return attrs.evolve(config, state=attrs.evolve(config.state, path=str(folder / "ledger.db")))


def test_each_command_knows_the_latest_sample_of_this_boot(tmp_path: Path) -> None:
    """What the daemon sampled tells the next daemon, a sweep by hand and a plan what time it ought to be."""
    config, timer = config_of(tmp_path), SystemTimer()
    daemon = ledger_of(config, daemon=True)
    daemon.store_images((), frozenset(), timer.now())
    daemon.close()
    for ledger in (ledger_of(config, daemon=True), ledger_of(config), memory_of(config), history_of(config)):
        assert isinstance(ledger, SqliteLedger)
        stored = ledger.stored_times()
        ledger.close()
        assert stored is not None
        assert (stored.sampled_at == stored.newest) is (read_boot() is not None)
