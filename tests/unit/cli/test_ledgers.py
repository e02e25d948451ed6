"""The ledgers of the commands: all of them know which boot of the machine this is, and the agent's version."""

import sqlite3
from importlib.metadata import version
from pathlib import Path

import attrs

from cleaner import DISTRIBUTION
from cleaner.cli.ledgers import history_of, ledger_of, memory_of
from cleaner.config.settings import Config, default_config
from cleaner.ledger.ledger import SqliteLedger
from cleaner.node.clock import SystemTimer, read_boot
from support.ledgers import A, fail_removal, inspect


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


def test_each_command_knows_the_removals_that_failed_in_this_version(tmp_path: Path) -> None:
    """The daemon, a sweep by hand and a plan see each other's failures, and none of another version."""
    config, timer = config_of(tmp_path), SystemTimer()
    daemon = ledger_of(config, daemon=True)
    inspect(daemon, timer, A)
    fail_removal(daemon, A, timer.now())
    daemon.close()
    for make in (memory_of, history_of, ledger_of):
        ledger = make(config)
        assert inspect(ledger, timer, A).removal_failures.keys() == {A.id}
        ledger.close()
    connection = sqlite3.connect(config.state.path)
    with connection:
        assert connection.execute("SELECT version FROM removal_failure").fetchall() == [(version(DISTRIBUTION),)]
        connection.execute("UPDATE removal_failure SET version = 'another'")
    connection.close()
    for make in (memory_of, history_of, ledger_of):
        ledger = make(config)
        assert inspect(ledger, timer, A).removal_failures == {}
        ledger.close()
