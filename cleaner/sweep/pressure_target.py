"""What a pressure sweep goes by: measurements with the pulls in progress counted as done, and its goal.

Refuses to make room in vain: a pull that has none even without all candidates counts no more.
"""

from cleaner.core.disk_usage import Usage
from cleaner.core.errors import CleanerError
from cleaner.core.model import Plan, StopReason
from cleaner.core.ports import Disk, Runtime
from cleaner.core.pressure import Goal, Pull, fit, left_after, total_bytes, with_pulls


class Drive:
    """How far one sweep has to go, measured anew before each removal."""

    def __init__(self, runtime: Runtime, disk: Disk, goal: Goal, *, makes_room: bool) -> None:
        """`makes_room`: whether pulls in progress count; under pressure only."""
        self.goal = goal
        self.given_up: frozenset[str] = frozenset()
        """Digests of pulls that had no room when the sweep began."""
        self.pulls_move = False
        """Whether pulls in progress got on before the latest measurement: some only seem to be there."""
        self._runtime = runtime
        self._disk = disk
        self._makes_room = makes_room
        self._pulls: tuple[Pull, ...] = ()
        self._expected: Usage
        """The latest measurement, as if the pulls in progress were done."""
        self._planned: Plan | None = None
        """Once it is known: what comes later counts as far as the candidates that are left."""

    @property
    def expected_bytes(self) -> int:
        """What the pulls that count will still take."""
        return total_bytes(self._pulls)

    def measure(self, tried: int) -> Usage:
        """A new measurement; what reaches its high mark is driven down from then on. `tried`: candidates so far."""
        usage, pulls = self._disk.read_usage(), self._read_pulls()
        self.pulls_move, self._pulls = pulls != self._pulls, pulls
        left = left_after(self._planned, tried) if self._planned else None
        if self._planned and not fit(usage, self._pulls, left):
            self._makes_room, self._pulls = False, ()
        self._expected = with_pulls(usage, self._pulls)
        grew = self.goal.note(self._expected)
        if left is not None and (grew or self._pulls):
            self.goal.confine_beyond(self._expected, left)
        return usage

    def foresee(self, planned: Plan, usage: Usage) -> Plan:
        """The plan as far as the goal needs it, by the latest measurement."""
        if not fit(usage, self._pulls, planned.reclaimable):
            self.given_up, self._pulls = frozenset(pull.digest for pull in self._pulls), ()
            self._makes_room, self._expected = False, usage
            self.goal.restart(usage)
        self._planned = self.goal.foresee(planned, self._expected)
        return self._planned

    def met(self) -> StopReason | None:
        """Why nothing more has to go, by the latest measurement; None while there is more to free."""
        if not self.goal.is_met(self._expected):
            return None
        return StopReason.KUBELET_MARK if self.goal.confined else StopReason.LOW_MARK

    def _read_pulls(self) -> tuple[Pull, ...]:
        """What room is made for; nothing where that is not known, or would be in vain."""
        if not self._makes_room:
            return ()
        try:
            return self._runtime.read_pulls()
        except CleanerError:
            return ()
