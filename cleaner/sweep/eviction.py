"""The eviction of one image: the final check, the removal, and its confirmation.

It must not believe the answer to RemoveImage: only what the runtime lists afterwards counts.
"""

from dataclasses import dataclass

from cleaner.core.disk_usage import Usage
from cleaner.core.errors import (
    CleanerError,
    DiskUnreadableError,
    ImageInUseError,
    RuntimeRejectedError,
    StopRequestedError,
)
from cleaner.core.model import EvictionOutcome, Fault, Image, Verdict
from cleaner.core.ports import Node, Runtime
from cleaner.core.pressure import KubeletThreshold, in_danger
from cleaner.core.report import Eviction
from cleaner.core.sweep_progress import RemovalEstimates, RemovalProgress
from cleaner.sweep.final_check import FinalChecks


class Evictor:
    """Evicts the images of one sweep, one at a time."""

    def __init__(self, node: Node, kubelet: KubeletThreshold) -> None:
        self.estimates = RemovalEstimates(None, None)
        """What each removal is estimated to free."""
        self.sizes_are_bounds = False
        """Whether `Image.size_bytes` is at least what a removal frees."""
        self.progress = RemovalProgress()
        """Whether removals still free anything."""
        self.final_checks = FinalChecks(node)
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
            checked = self.final_checks.check(verdict.image)
        except StopRequestedError:
            return Eviction(verdict, EvictionOutcome.SPARED, "a stop was requested during the final check")
        except CleanerError as error:
            text = f"the final check failed: {error}"
            return Eviction(verdict, EvictionOutcome.FAILED, text, fault=Fault.RUNTIME)
        if checked.error is not None:
            text = f"the final check failed: {checked.error}"
            return Eviction(verdict, EvictionOutcome.FAILED, text, fault=checked.fault)
        if checked.usage is None:
            return Eviction(verdict, EvictionOutcome.SPARED, checked.reason_to_spare, fault=checked.fault)
        return self._remove(verdict, checked.usage, pulls_move=pulls_move)

    def _remove(self, verdict: Verdict, before: Usage, *, pulls_move: bool) -> Eviction:
        began = self._node.timer.monotonic()
        try:
            failure = remove_and_confirm(self._node.runtime, verdict.image)
        except ImageInUseError as error:
            return Eviction(verdict, EvictionOutcome.SPARED, str(error))
        seconds = self._node.timer.monotonic() - began
        if failure is not None:
            return Eviction(verdict, EvictionOutcome.FAILED, failure.text, seconds=seconds, fault=failure.fault)
        freed_bytes = self._freed_since(before) if self._node.disk.measures_removals else None
        estimated_bytes = self.estimates.bytes_of(verdict)
        at_most = verdict.image.size_bytes if self.sizes_are_bounds else 0
        self.progress.record_removal(
            before.freeable_bytes, freed_bytes, estimated_bytes, at_most=at_most, pulls_move=pulls_move
        )
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


@dataclass(frozen=True, slots=True)
class RemovalFailed:
    """Why a removal failed, and what made it fail."""

    text: str
    fault: Fault


def remove_and_confirm(runtime: Runtime, image: Image) -> RemovalFailed | None:
    """None once the image is gone, whatever the call answered; else what is wrong.

    An image that is still listed is to blame if the runtime answered: it rejected the removal, or did not carry it out.
    A runtime that did not answer in time, or cannot be read, says nothing about the image.

    An image that is there with a newer pull time was gone too, and has been pulled again since. One with an older pull
    time is left where the runtime got half-way.
    """
    answer, fault = "RemoveImage succeeded", Fault.IMAGE
    try:
        runtime.remove_image(image.id)
    except ImageInUseError:
        raise
    except CleanerError as error:
        answer = str(error)
        fault = Fault.IMAGE if isinstance(error, RuntimeRejectedError) else Fault.RUNTIME
    try:
        present = runtime.read_image(image.id)
    except CleanerError as error:
        return RemovalFailed(f"{answer}; not known whether it is gone: {error}", Fault.RUNTIME)
    if present is None:
        return _leftovers_of(runtime, image)
    return None if _is_newer(present, image) else RemovalFailed(f"{answer}; the image is still listed", fault)


def _leftovers_of(runtime: Runtime, image: Image) -> RemovalFailed | None:
    """What of an image that is gone still pins its layers (containerd issue 13875); None where nothing does."""
    try:
        names = runtime.list_leftovers(image)
    except CleanerError as error:
        text = f"the image is gone; not known whether records of it are left: {error}"
        return RemovalFailed(text, Fault.RUNTIME)
    if not names:
        return None
    return RemovalFailed(f"the image is gone, but not its records: {', '.join(names)}", Fault.IMAGE)


def _is_newer(present: Image, image: Image) -> bool:
    """Whether an image was pulled since an earlier inspection of it; False where that is not known."""
    if not present.readable or present.pulled_at is None or image.pulled_at is None:
        return False
    return present.pulled_at > image.pulled_at
