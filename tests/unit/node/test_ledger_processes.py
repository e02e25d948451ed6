"""Several processes on one ledger, and processes that are killed while they write."""

import random
import sqlite3
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

from cleaner.core.events import EvictionLearned
from cleaner.node.ledger.schema import check_whole
from support.fakes import NOON, FakeTimer
from support.ledgers import A, B, look, make_ledger, sweep_once
from support.values import make_image

KILLS = 50
NODE_IMAGES = 40
SUPPORT = Path(__file__).parents[2]

WRITER = """
import sys
from datetime import timedelta
from pathlib import Path
from support.fakes import NOON, FakeTimer
from support.ledgers import evict, look, make_ledger, start_sweep
from support.values import make_image

round = int(sys.argv[2])
timer = FakeTimer(NOON + timedelta(hours=round))
ledger = make_ledger(Path(sys.argv[1]), timer, tells=True)
images = [make_image(number) for number in range(40)]
unsaid = []
with ledger.turn():
    for step in range(1000):
        timer.move(seconds=1)
        look(ledger, timer, *images, used=images[step % 7 :: 3])
        start_sweep(ledger, timer.now())
        gone = make_image(1000 + 1000 * round + step)
        evict(ledger, gone, timer.now())
        unsaid.append(gone.id)
        if ledger.refusal is None:
            print(*unsaid, sep="\\n", flush=True)
            unsaid.clear()
        else:
            assert "locked" in ledger.refusal, ledger.refusal
"""


def start_writer(folder: Path, number: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-P", "-c", WRITER, str(folder), str(number)],
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": ":".join([*filter(None, sys.path), str(SUPPORT)])},
    )


def read_until_killed(writer: subprocess.Popen[str], lines: int) -> list[str]:
    """What it said to be done before and while it was killed."""
    assert writer.stdout is not None
    said = [writer.stdout.readline().strip() for _ in range(lines)]
    assert all(said), "it ended by itself"
    writer.kill()
    rest, _ = writer.communicate()
    return [*said, *(line for line in rest.splitlines(keepends=False) if len(line) == len(said[0]))]


def test_a_process_that_is_killed_leaves_a_whole_ledger(tmp_path: Path) -> None:
    """After each of many kills the file opens, nothing is set aside, and no eviction that was over is lost."""
    chance = random.Random(4)  # noqa: S311 - where to kill is no secret
    done: set[str] = set()
    for number in range(KILLS):
        done |= set(read_until_killed(start_writer(tmp_path, number), chance.randint(1, 25)))
        connection = sqlite3.connect(tmp_path / "ledger.db")
        check_whole(connection)
        connection.close()
        timer = FakeTimer(NOON + timedelta(hours=number, minutes=10))
        ledger = make_ledger(tmp_path, timer)
        memory = look(ledger, timer, *(make_image(image) for image in range(NODE_IMAGES)))
        assert ledger.refusal is ledger.aside is None
        assert memory.installed_at == NOON + timedelta(seconds=1)
        assert len(memory.last_used_at) == NODE_IMAGES
        assert {past.image_id for past in ledger.history()} >= done
        ledger.close()


def test_processes_write_side_by_side(tmp_path: Path) -> None:
    """Two sweeps at once, each with its own rows; the daemon hears of both.

    Where one keeps the other waiting for too long, what happened meanwhile is written with the next that works.
    """
    writers = [start_writer(tmp_path, number) for number in range(2)]
    said = [read_until_killed(writer, 60) for writer in writers]
    timer = FakeTimer(NOON + timedelta(hours=3))
    daemon = make_ledger(tmp_path, timer, tells=True)
    assert {past.image_id for past in daemon.history()} >= {image_id for lines in said for image_id in lines}
    daemon.close()


def test_a_reader_beside_the_daemon_sees_what_it_writes(tmp_path: Path) -> None:
    """Through the log that is not checkpointed yet, and without a trace of its own."""
    timer = FakeTimer()
    daemon = make_ledger(tmp_path, timer, tells=True)
    look(daemon, timer, A, B, used=[A])
    reader = make_ledger(tmp_path, timer, writable=False)
    assert reader.history() == ()
    sweep_once(daemon, timer.now(), B)
    assert [past.image_id for past in reader.history()] == [B.id]
    assert set(look(reader, timer, A).first_seen_at) == {A.id}
    reader.close()
    assert not [event for event in daemon.news() if isinstance(event, EvictionLearned)]
    daemon.close()
