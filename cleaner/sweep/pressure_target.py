"""What a pressure sweep follows: measurements with the pulls in progress counted as done, and its targets.

It must not make room in vain: a pull that has none even once all candidates are evicted counts no more.
"""

from cleaner.core.disk_usage import Usage
from cleaner.core.errors import CleanerError
from cleaner.core.model import Plan, StopReason
from cleaner.core.ports import Disk, Runtime
from cleaner.core.pressure import Pull, SweepTargets, left_after, projected_usage, pulls_fit, total_bytes


class PressureTarget:
    """How far one sweep has to lower usage, measured anew before each removal."""

    def __init__(self, runtime: Runtime, disk: Disk, targets: SweepTargets, *, makes_room: bool) -> None:
        """`makes_room`: whether pulls in progress count; under pressure only."""
        self.targets = targets
        self.given_up: frozenset[str] = frozenset()
        """Digests of pulls that had no room when the sweep began."""
        self.pulls_move = False
        """Whether pulls in progress proceeded before the latest measurement: some only seem to be there."""
        self._runtime = runtime
        self._disk = disk
        self._makes_room = makes_room
        self._pulls: tuple[Pull, ...] = ()
        self._projected: Usage
        """The latest measurement, as if the pulls in progress were done."""
        self._planned: Plan | None = None
        """Once it is known: what comes later counts as far as the candidates that are left."""

    @property
    def pulls_projected_bytes(self) -> int:
        """What the pulls that count will still write."""
        return total_bytes(self._pulls)

    def measure(self, tried: int) -> Usage:
        """Measure again; from then on the sweep lowers what reached its high watermark. `tried`: candidates so far."""
        usage, pulls = self._disk.read_usage(), self._read_pulls()
        self.pulls_move, self._pulls = pulls != self._pulls, pulls
        left = left_after(self._planned, tried) if self._planned else None
        if self._planned and not pulls_fit(usage, self._pulls, left):
            self._makes_room, self._pulls = False, ()
        self._projected = projected_usage(usage, self._pulls)
        grew = self.targets.add_measurement(self._projected)
        if left is not None and (grew or self._pulls):
            self.targets.confine_beyond(self._projected, left)
        return usage

    def limit_plan(self, planned: Plan, usage: Usage) -> Plan:
        """The plan as far as the targets need it, by the latest measurement."""
        if not pulls_fit(usage, self._pulls, planned.reclaimable):
            self.given_up, self._pulls = frozenset(pull.digest for pull in self._pulls), ()
            self._makes_room, self._projected = False, usage
            self.targets.restart(usage)
        self._planned = self.targets.limit_plan(planned, self._projected)
        return self._planned

    def reason_to_end(self) -> StopReason | None:
        """Why nothing more has to be evicted, by the latest measurement; None while there is more to free."""
        if not self.targets.is_met(self._projected):
            return None
        return StopReason.KUBELET_THRESHOLD if self.targets.confined else StopReason.LOW_WATERMARK

    def _read_pulls(self) -> tuple[Pull, ...]:
        """What room is made for; nothing where that is not known, or would be in vain."""
        if not self._makes_room:
            return ()
        try:
            return self._runtime.read_pulls()
        except CleanerError:
            return ()
