"""Several processes on one ledger, and processes that are killed while they write."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

from cleaner.core.events import ForeignEviction
from cleaner.ledger.schema import check_whole
from support.fakes import NOON, FakeTimer
from support.ledgers import A, B, inspect, make_ledger, sweep_once
from support.values import make_image

KILLS = 50
NODE_IMAGES = 40
SUPPORT = Path(__file__).parents[2]

WRITERS = """
import os
import signal
import sys
from datetime import timedelta
from pathlib import Path
from support.fakes import NOON, FakeTimer
from support.ledgers import evict, inspect, make_ledger, start_sweep
from support.values import make_image

def write(folder, round):
    timer = FakeTimer(NOON + timedelta(hours=round))
    ledger = make_ledger(folder, timer, tells=True)
    images = [make_image(number) for number in range(40)]
    unsaid = []
    with ledger.sweep_turn():
        for step in range(1000):
            timer.move(seconds=1)
            inspect(ledger, timer, *images, used=images[step % 7 :: 3])
            start_sweep(ledger, timer.now())
            gone = make_image(1000 + 1000 * round + step)
            evict(ledger, gone, timer.now())
            unsaid.append(gone.id)
            if ledger.error is None:
                print(*unsaid, sep="\\n", flush=True)
                unsaid.clear()
            else:
                assert "locked" in ledger.error, ledger.error

for line in sys.stdin:
    writer = os.fork()
    if not writer:
        print(os.getpid(), flush=True)
        write(Path(sys.argv[1]), int(line))
        signal.pause()
    os.waitpid(writer, 0)
    print("\\nended", flush=True)
"""


class Writers:
    """Makes processes that write to a ledger, one after the other; each is a copy of one that has loaded the code."""

    def __init__(self, folder: Path) -> None:
        self._parent = subprocess.Popen(
            [sys.executable, "-P", "-c", WRITERS, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={"PYTHONPATH": ":".join([*filter(None, sys.path), str(SUPPORT)])},
        )
        self._writer = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._kill()
        self._parent.communicate()

    def start(self, number: int) -> None:
        """Make the next one, and go on once it is there."""
        assert self._parent.stdin is not None
        self._parent.stdin.write(f"{number}\n")
        self._parent.stdin.flush()
        self._writer = int(self._read())

    def read_until_killed(self, lines: int) -> list[str]:
        """What it said to be done before and while it was killed."""
        said = [self._read() for _ in range(lines)]
        assert "ended" not in said, "it ended by itself"
        self._kill()
        while (line := self._read()) != "ended":
            # The last one may be cut.
            if len(line) == len(said[0]):
                said.append(line)
        return said

    def _kill(self) -> None:
        if self._writer:
            os.kill(self._writer, signal.SIGKILL)
        self._writer = 0

    def _read(self) -> str:
        assert self._parent.stdout is not None
        line = self._parent.stdout.readline()
        assert line, "there is nobody to write"
        return line.strip()


def test_a_process_that_is_killed_leaves_a_whole_ledger(tmp_path: Path) -> None:
    """After each of many kills the file opens, nothing is set aside, and no eviction that was over is lost."""
    chance = random.Random(4)  # noqa: S311 - where to kill is no secret
    with Writers(tmp_path) as writers:
        done: set[str] = set()
        for number in range(KILLS):
            writers.start(number)
            done |= set(writers.read_until_killed(chance.randint(1, 25)))
            require_whole(tmp_path, number, done)


def require_whole(folder: Path, number: int, done: set[str]) -> None:
    """What the next daemon finds after so many kills."""
    connection = sqlite3.connect(folder / "ledger.db")
    check_whole(connection)
    connection.close()
    timer = FakeTimer(NOON + timedelta(hours=number, minutes=10))
    ledger = make_ledger(folder, timer)
    memory = inspect(ledger, timer, *(make_image(image) for image in range(NODE_IMAGES)))
    assert ledger.error is ledger.aside is None
    assert memory.installed_at == NOON + timedelta(seconds=1)
    assert len(memory.last_used_at) == NODE_IMAGES
    assert {past.image_id for past in ledger.history()} >= done
    ledger.close()


def test_processes_write_side_by_side(tmp_path: Path) -> None:
    """Two sweeps at once, each with its own rows; the daemon hears of both.

    Where one keeps the other waiting for too long, what happened meanwhile is written with the next that works.
    """
    with Writers(tmp_path) as first, Writers(tmp_path) as second:
        for number, writers in enumerate((first, second)):
            writers.start(number)
        said = [writers.read_until_killed(60) for writers in (first, second)]
    timer = FakeTimer(NOON + timedelta(hours=3))
    daemon = make_ledger(tmp_path, timer, tells=True)
    assert {past.image_id for past in daemon.history()} >= {image_id for lines in said for image_id in lines}
    daemon.close()


def test_a_reader_beside_the_daemon_sees_what_it_writes(tmp_path: Path) -> None:
    """Through the log that is not checkpointed yet, and without a trace of its own."""
    timer = FakeTimer()
    daemon = make_ledger(tmp_path, timer, tells=True)
    inspect(daemon, timer, A, B, used=[A])
    reader = make_ledger(tmp_path, timer, writable=False)
    assert reader.history() == ()
    sweep_once(daemon, timer.now(), B)
    assert [past.image_id for past in reader.history()] == [B.id]
    assert set(inspect(reader, timer, A).first_seen_at) == {A.id}
    reader.close()
    assert not [event for event in daemon.news() if isinstance(event, ForeignEviction)]
    daemon.close()
