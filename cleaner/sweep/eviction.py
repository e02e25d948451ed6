"""The eviction of one image: the final check, the removal, and its confirmation.

It must not believe the answer to RemoveImage: only what the runtime lists afterwards counts.
"""

from dataclasses import replace

from cleaner.core.disk_usage import Usage
from cleaner.core.errors import CleanerError, DiskUnreadableError, ImageInUseError
from cleaner.core.image_users import image_users, reason_to_spare
from cleaner.core.model import EvictionOutcome, Image, Verdict
from cleaner.core.ports import Node, Runtime
from cleaner.core.pressure import KubeletThreshold, in_danger
from cleaner.core.report import Eviction
from cleaner.core.sweep_progress import RemovalEstimates, RemovalProgress


class Evictor:
    """Evicts the images of one sweep, one at a time."""

    def __init__(self, node: Node, kubelet: KubeletThreshold, estimates: RemovalEstimates) -> None:
        self.estimates = estimates
        """What each removal is estimated to free."""
        self.progress = RemovalProgress()
        """Whether removals still free anything."""
        self.used: frozenset[str] = frozenset()
        """Identity keys of all that was seen in use since the plan."""
        self._node = node
        self._kubelet = kubelet

    def evict(self, verdict: Verdict, *, pulls_move: bool) -> Eviction:
        """The final check, then the removal; whatever fails here is a value, and the image stays.

        `pulls_move`: whether pulls in progress proceeded before the latest measurement.
        """
        eviction = self._evict(verdict, pulls_move=pulls_move)
        self.estimates.record_outcome(eviction)
        return eviction

    def _evict(self, verdict: Verdict, *, pulls_move: bool) -> Eviction:
        try:
            against = self._final_check(verdict)
            before = self._node.disk.read_usage()
        except CleanerError as error:
            return Eviction(verdict, EvictionOutcome.FAILED, f"the final check failed: {error}")
        if against is not None:
            return Eviction(verdict, EvictionOutcome.SPARED, against)
        return self._remove(verdict, before, pulls_move=pulls_move)

    def _final_check(self, verdict: Verdict) -> str | None:
        """Why the image must stay after all; containers come last, since they are what changes fastest."""
        runtime = self._node.runtime
        present = runtime.read_image(verdict.image.id)
        sandbox_images = runtime.list_sandbox_images()
        users = image_users(runtime.list_containers(), sandbox_images)
        self.used |= users.in_use
        return reason_to_spare(verdict.image, present, replace(users, used=self.used))

    def _remove(self, verdict: Verdict, before: Usage, *, pulls_move: bool) -> Eviction:
        began = self._node.timer.monotonic()
        try:
            failure = remove_and_confirm(self._node.runtime, verdict.image)
        except ImageInUseError as error:
            return Eviction(verdict, EvictionOutcome.SPARED, str(error))
        seconds = self._node.timer.monotonic() - began
        if failure is not None:
            return Eviction(verdict, EvictionOutcome.FAILED, failure, seconds=seconds)
        freed_bytes = self._freed_since(before) if self._node.disk.measures_removals else None
        estimated_bytes = self.estimates.bytes_of(verdict)
        self.progress.record_removal(before.freeable_bytes, freed_bytes, estimated_bytes, pulls_move=pulls_move)
        return Eviction(
            verdict,
            EvictionOutcome.EVICTED,
            estimated_bytes=estimated_bytes,
            reclaimed_bytes=None if freed_bytes is None else max(0, freed_bytes),
            seconds=seconds,
        )

    def _freed_since(self, before: Usage) -> int | None:
        """Measured on the settled disk, below 0 where others wrote more; None where it cannot be read."""
        try:
            hurried = bool(in_danger(before, self._kubelet))
            after = self._node.disk.read_settled_usage(hurried=hurried)
        except DiskUnreadableError:
            return None
        return after.freed_since(before)


def remove_and_confirm(runtime: Runtime, image: Image) -> str | None:
    """None once the image is gone, whatever the call answered; else what is wrong.

    An image that is there with a newer pull time was gone too, and has been pulled again since. One with an older pull
    time is left where the runtime got half-way.
    """
    answer = "RemoveImage succeeded"
    try:
        runtime.remove_image(image.id)
    except ImageInUseError:
        raise
    except CleanerError as error:
        answer = str(error)
    try:
        present = runtime.read_image(image.id)
    except CleanerError as error:
        return f"{answer}; not known whether it is gone: {error}"
    if present is None:
        return _leftovers_of(runtime, image)
    return None if _is_newer(present, image) else f"{answer}; the image is still listed"


def _leftovers_of(runtime: Runtime, image: Image) -> str | None:
    """What of an image that is gone still pins its layers (containerd issue 13875); None where nothing does."""
    try:
        names = runtime.list_leftovers(image)
    except CleanerError as error:
        return f"the image is gone; not known whether records of it are left: {error}"
    return f"the image is gone, but not its records: {', '.join(names)}" if names else None


def _is_newer(present: Image, image: Image) -> bool:
    """Whether an image was pulled since an earlier inspection of it; False where that is not known."""
    if not present.readable or present.pulled_at is None or image.pulled_at is None:
        return False
    return present.pulled_at > image.pulled_at
