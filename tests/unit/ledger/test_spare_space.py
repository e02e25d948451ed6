"""Space that is held back for a full disk: made where there is plenty, given up once."""

from pathlib import Path

import pytest

from cleaner.ledger.spare_space import SPARE_BYTES, SpareSpace, lacks_space
from support.fakes import FakeTimer
from support.ledgers import A, inspect, make_ledger


def test_it_takes_real_space(tmp_path: Path) -> None:
    """A file with a hole in it would hold nothing back."""
    spare, path = SpareSpace(tmp_path / "ledger.db"), tmp_path / "ledger.db-spare"
    spare.make()
    spare.make()
    assert path.stat().st_size == SPARE_BYTES
    assert path.stat().st_blocks * 512 >= SPARE_BYTES
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_a_killed_process_left_is_completed(tmp_path: Path) -> None:
    """It had begun the file."""
    path = tmp_path / "ledger.db-spare"
    path.touch()
    SpareSpace(tmp_path / "ledger.db").make()
    assert path.stat().st_size == SPARE_BYTES


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    """What it leads to is not ours."""
    (tmp_path / "other").touch()
    (tmp_path / "ledger.db-spare").symlink_to(tmp_path / "other")
    SpareSpace(tmp_path / "ledger.db").make()
    assert (tmp_path / "other").stat().st_size == 0


def test_it_is_given_up_once(tmp_path: Path) -> None:
    """The second time there is nothing to give, so no writer tries again for ever."""
    spare = SpareSpace(tmp_path / "ledger.db")
    assert not spare.give_up()
    spare.make()
    assert spare.give_up()
    assert not spare.give_up()
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_takes_no_file_is_no_error(tmp_path: Path) -> None:
    """No directory, a file in its place, a name that something else has."""
    (tmp_path / "file").touch()
    (tmp_path / "taken-spare").mkdir()
    for path in (tmp_path / "none" / "ledger.db", tmp_path / "file" / "ledger.db", tmp_path / "taken"):
        SpareSpace(path).make()
        assert not SpareSpace(path).give_up()


def test_a_ledger_that_is_only_read_makes_none(tmp_path: Path) -> None:
    """The one that is written has it after its first sample, and keeps it when it ends."""
    timer = FakeTimer()
    writer = make_ledger(tmp_path, timer)
    inspect(writer, timer, A)
    writer.close()
    spare = tmp_path / "ledger.db-spare"
    assert spare.exists()
    spare.unlink()
    reader = make_ledger(tmp_path, timer, writable=False)
    inspect(reader, timer, A)
    reader.close()
    assert not spare.exists()


def test_a_disk_with_room_lacks_no_space(tmp_path: Path) -> None:
    """Nor does one that cannot be asked; a full one is in `tests/e2e/test_ledger_pruning.py`."""
    assert not lacks_space(tmp_path / "ledger.db")
    assert not lacks_space(tmp_path / "none" / "ledger.db")


def test_an_index_that_does_not_fit_is_an_error(tmp_path: Path) -> None:
    """Of a place that takes no file too; one that fits leaves nothing behind, and one that is there needs no room."""
    SpareSpace(tmp_path / "ledger.db").require_room()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FileNotFoundError):
        SpareSpace(tmp_path / "none" / "ledger.db").require_room()
    (tmp_path / "ledger.db-shm").touch()
    (tmp_path / "ledger.db-probe").mkdir()
    SpareSpace(tmp_path / "ledger.db").require_room()
