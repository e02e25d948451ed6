"""Space that is held back for a full disk: made where there is plenty, given up once."""

from pathlib import Path

from cleaner.ledger.spare_space import SPARE_BYTES, SpareSpace
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


def test_it_is_given_up_once(tmp_path: Path) -> None:
    """The second time there is nothing to give, so nobody tries again for ever."""
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
