"""A second daemon on one runtime is refused, whatever its state directory."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import attrs
import pytest

from cleaner.cli.ledgers import ledger_of
from cleaner.cli.wiring import daemons_node_of, node_of, runtime_of
from cleaner.config.settings import Config, default_config
from cleaner.core.errors import EnvironmentUnusableError
from cleaner.ledger.ledger import SqliteLedger
from cleaner.node.clock import NeverStop
from support.crio_server import CrioServer


@pytest.fixture
def images(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    return tmp_path / "images"


@pytest.fixture
def crio(folder: Path, images: Path) -> Iterator[CrioServer]:
    """A CRI-O that keeps its images in this directory."""
    server = CrioServer(folder / "crio.sock")
    server.mountpoints = (str(images),)
    with server:
        yield server


@pytest.fixture
def config_at(crio: CrioServer) -> Callable[[Path], Config]:
    """The configuration of an agent of this CRI-O, by its state directory."""

    def config(directory: Path) -> Config:
        known = default_config({})
        return attrs.evolve(
            known,
            runtime=attrs.evolve(known.runtime, endpoint=f"unix://{crio.socket}"),
            state=attrs.evolve(known.state, path=str(directory / "ledger.db")),
        )

    return config


def connect(config: Config, node_maker: Callable[..., object] = daemons_node_of) -> SqliteLedger:
    """An agent up to where its runtime has answered; what it holds ends with its ledger."""
    ledger = ledger_of(config, daemon=node_maker is daemons_node_of)
    try:
        ledger.hold_for_life()
        with runtime_of(config, NeverStop()) as runtime:
            node_maker(config, {}, runtime, NeverStop(), ledger)
    except BaseException:
        ledger.close()
        raise
    return ledger


def test_a_runtime_has_one_daemon(config_at: Callable[[Path], Config], images: Path, tmp_path: Path) -> None:
    """The second daemon is refused whatever its state directory, a sweep by hand is not, and the next daemon begins."""
    with closing(connect(config_at(tmp_path / "a"))):
        with pytest.raises(EnvironmentUnusableError, match=f"on this container runtime and holds the lock of {images}"):
            connect(config_at(tmp_path / "b"))
        connect(config_at(tmp_path / "c"), node_of).close()
    connect(config_at(tmp_path / "b")).close()


def test_a_path_of_the_operator_hides_no_daemon(config_at: Callable[[Path], Config], tmp_path: Path) -> None:
    """`filesystem.path` says where the disk is measured, and no more."""
    elsewhere = attrs.evolve(config_at(tmp_path / "b"), filesystem_path=str(tmp_path))
    with closing(connect(config_at(tmp_path / "a"))), pytest.raises(EnvironmentUnusableError, match="another cleaner"):
        connect(elsewhere)


def test_a_directory_that_is_not_mounted_holds_no_daemon_back(
    config_at: Callable[[Path], Config], crio: CrioServer, tmp_path: Path
) -> None:
    """Where only `filesystem.path` is mounted, nothing identifies the runtime, and both daemons run."""
    crio.mountpoints = ("/nowhere/overlay-images",)
    first, second = (attrs.evolve(config_at(tmp_path / name), filesystem_path=str(tmp_path)) for name in ("a", "b"))
    with closing(connect(first)), closing(connect(second)):
        pass


def test_a_daemon_does_not_refuse_itself(config_at: Callable[[Path], Config], images: Path) -> None:
    """One that keeps its ledger beside the images has both locks, also when it connects again."""
    config = config_at(images)
    with closing(connect(config)) as ledger, runtime_of(config, NeverStop()) as runtime:
        daemons_node_of(config, {}, runtime, NeverStop(), ledger)
