"""The keys of the log's lines, which docs/logs.md lists.

It must not write a line, see `outlet.py`, nor leave a key out: what is not known is None.
"""

from collections.abc import Mapping, Sequence

from cleaner.core.disk_usage import Resource, Usage
from cleaner.core.events import SweepStarted
from cleaner.core.history import ExternallyRemovedImage, PastEviction, PastSweep
from cleaner.core.kubelet import KubeletRead
from cleaner.core.model import EvictionOutcome, StopReason, Trigger, Verdict, sorted_references
from cleaner.core.read_state import Availability, OptionalRead
from cleaner.core.report import Eviction, SweepReport, kept_counts
from cleaner.outlets.units import rfc3339

Keys = dict[str, object]
READ_EVENTS: Mapping[OptionalRead, Mapping[Availability, str]] = {
    OptionalRead.CONTAINER_EVENTS: {
        Availability.AVAILABLE: "container_events_up",
        Availability.UNAVAILABLE: "container_events_down",
        Availability.NOT_OFFERED: "container_events_not_offered",
    },
    OptionalRead.PULLS: {
        Availability.AVAILABLE: "pulls_readable",
        Availability.UNAVAILABLE: "pulls_unreadable",
        Availability.NOT_OFFERED: "pulls_not_offered",
    },
}
"""What the lines are called that say whether something can be read."""
NAMED = 5
"""How many of the images that were removed externally are named in a line; `history` shows them all."""


def satisfies(report: SweepReport) -> bool:
    """Whether the sweep needs no attention: nothing failed, and pressure was met or not this sweep's business."""
    failed = any(eviction.outcome is EvictionOutcome.FAILED for eviction in report.evictions)
    met = report.low_watermark_met or report.dry_run or report.trigger is not Trigger.PRESSURE
    return met and not failed and report.stop_reason is not StopReason.FAILURES


def image_keys(verdict: Verdict) -> Keys:
    """Which image, and why."""
    return {
        "image_id": verdict.image.id,
        "references": sorted_references(verdict.image),
        "reason": verdict.reason,
        "rule": verdict.rule,
    }


def eviction_keys(trigger: Trigger, eviction: Eviction) -> Keys:
    """The line that answers who removed an image; docs/logs.md lists the same keys."""
    verdict = eviction.verdict
    return image_keys(verdict) | {
        "trigger": trigger,
        "outcome": eviction.outcome,
        "error": eviction.error,
        "fault": eviction.fault,
        "created_at": rfc3339(verdict.created_at),
        "pulled_at": rfc3339(verdict.pulled_at),
        "last_used_at": rfc3339(verdict.last_used_at),
        "age_seconds": verdict.age.total_seconds() if verdict.age is not None else None,
        "size_bytes": verdict.image.size_bytes,
        "estimated_bytes": eviction.estimated_bytes,
        "reclaimed_bytes": eviction.reclaimed_bytes,
        "duration_seconds": eviction.seconds,
    }


def past_keys(past: PastEviction) -> Keys:
    """The same names as in the line of an eviction."""
    return {
        "image_id": past.image_id,
        "references": list(past.references),
        "reason": past.reason,
        "rule": past.rule,
        "trigger": past.trigger,
        "outcome": past.outcome,
        "error": past.error,
        "evicted_at": rfc3339(past.at),
        "created_at": rfc3339(past.created_at),
        "pulled_at": rfc3339(past.pulled_at),
        "last_used_at": rfc3339(past.last_used_at),
        "size_bytes": past.size_bytes,
        "estimated_bytes": past.estimated_bytes,
        "reclaimed_bytes": past.reclaimed_bytes,
    }


def regret_keys(past: PastEviction) -> Keys:
    """How, and how long after its eviction, the image was re-pulled or used."""
    return {
        "regretted_by": past.regretted_by,
        "regretted_after_seconds": past.regretted_after.total_seconds() if past.regretted_after is not None else None,
    }


def foreign_sweep_keys(sweep: PastSweep) -> Keys:
    """What another process did."""
    return {
        "trigger": sweep.trigger,
        "stop_reason": sweep.stop_reason,
        "ended_at": rfc3339(sweep.ended_at),
        "duration_seconds": sweep.duration_seconds,
    }


def external_removal_keys(images: Sequence[ExternallyRemovedImage]) -> Keys:
    """Images that were removed externally, as one inspection found it."""
    used = [image.used_percent for image in images if image.used_percent is not None]
    return {
        "images": len(images),
        "references": [image.references[0] if image.references else image.image_id for image in images[:NAMED]],
        "last_seen_at": rfc3339(min((image.last_seen_at for image in images), default=None)),
        "gone_at": rfc3339(max((image.gone_at for image in images), default=None)),
        "used_percent": max(used, default=None),
    }


def kubelet_keys(event: KubeletRead) -> Keys:
    """From when on the kubelet acts, and by what; docs/logs.md lists the same keys."""
    config, settings = event.config, event.config.settings
    keys = {"config": config.path, "files": list(config.files[:NAMED]), "reason": config.reason or config.caveat}
    acts = {resource: event.acts.get(resource) for resource in Resource}
    return keys | {
        **{f"{resource}_percent": act.above_percent if act else None for resource, act in acts.items()},
        **{f"{resource}_by": act.reason if act else None for resource, act in acts.items()},
        "maximum_age_seconds": settings.maximum_age.total_seconds() if settings.maximum_age else None,
        "collisions": [collision.text for collision in event.collisions],
    }


def start_keys(event: SweepStarted) -> Keys:
    """What a sweep will do; docs/logs.md lists the same keys."""
    keys: Keys = {"trigger": event.plan.trigger, "to_evict": len(event.plan.evictions)}
    plan = event.plan
    keys |= {
        "reclaimable_bytes": plan.reclaimable.bytes if plan.reclaimable else None,
        "low_watermark_reachable": plan.low_watermark_reachable,
        "not_reached": len(plan.not_reached),
        "early": event.early,
        "pulls_projected_bytes": event.pulls_projected_bytes,
        "pulls_given_up": len(event.given_up),
        "held_bytes": None if event.held is None else {holder.value: size for holder, size in event.held.items()},
    }
    return keys | {"kept": kept_counts(plan)} | used_keys(event.usage)


def end_keys(report: SweepReport) -> Keys:
    """What a sweep did; docs/logs.md lists the same keys."""
    outcomes = [eviction.outcome for eviction in report.evictions]
    return {
        "trigger": report.trigger,
        "dry_run": report.dry_run,
        "stop_reason": report.stop_reason,
        **{outcome.value: outcomes.count(outcome) for outcome in EvictionOutcome},
        "not_reached": report.not_reached,
        "kept": kept_counts(report.plan),
        "reclaimed_bytes": report.reclaimed_bytes,
        **used_keys(report.filesystem_before, "_before"),
        **used_keys(report.filesystem_after, "_after"),
        "low_watermark_met": report.low_watermark_met,
        "started_at": rfc3339(report.started_at),
        "duration_seconds": report.duration_seconds,
    }


def used_keys(usage: Usage, suffix: str = "") -> Keys:
    """What is used of the filesystem."""
    return {
        f"used_percent{suffix}": usage.used_percent,
        f"inodes_used_percent{suffix}": usage.inodes_used_percent,
    }
