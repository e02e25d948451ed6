"""The JSON of `plan`, `sweep` and `check`: a contract that other programs read.

It must not leave a key out: what is not known is null, and what there is none of is empty or 0.
"""

from collections.abc import Mapping, Sequence

from cleaner.core.disk_usage import Usage
from cleaner.core.findings import Finding
from cleaner.core.model import KeepReason, Plan, Verdict, sorted_references
from cleaner.core.reclaim import Holder
from cleaner.core.report import Eviction, SweepReport, kept_counts
from cleaner.core.rule_coverage import RuleCoverage
from cleaner.outlets.units import rfc3339

JsonDocument = dict[str, object]


def plan_document(
    plan: Plan, usage: Usage | None, held: Mapping[Holder, int] | None, notices: Sequence[str] = ()
) -> JsonDocument:
    """What a sweep would do: every image once, evictions first and in order."""
    return {
        "trigger": plan.trigger.value,
        "filesystem": _filesystem(usage),
        "filesystems": [_filesystem(each) for each in usage.all] if usage else [],
        "reclaimable_bytes": plan.reclaimable.bytes if plan.reclaimable else None,
        "low_watermark_reachable": plan.low_watermark_reachable,
        "held_bytes": None if held is None else {holder.value: held_bytes for holder, held_bytes in held.items()},
        "images": [
            *(_verdict(verdict) for verdict in plan.evictions),
            *(_verdict(verdict) | {"verdict": "keep", "reason": "not_reached"} for verdict in plan.not_reached),
            *(_verdict(verdict) for verdict in plan.kept),
        ],
        "notices": list(notices),
    }


def sweep_document(report: SweepReport, notices: Sequence[str] = ()) -> JsonDocument:
    """What a sweep did: evictions and the counts of `kept` together are all images."""
    return {
        "trigger": report.trigger.value,
        "dry_run": report.dry_run,
        "started_at": rfc3339(report.started_at),
        "duration_seconds": report.duration_seconds,
        "filesystem_before": _filesystem(report.filesystem_before),
        "filesystem_after": _filesystem(report.filesystem_after),
        "reclaimed_bytes": report.reclaimed_bytes,
        "stop_reason": report.stop_reason.value,
        "evictions": [_eviction(eviction) for eviction in report.evictions],
        "kept": kept_counts(report.plan) | {"not_reached": report.not_reached},
        "notices": list(notices),
    }


def check_document(findings: Sequence[Finding], settings: Mapping[str, object], config_hash: str) -> JsonDocument:
    """What was found, and the settings in force in the shape of the file."""
    return {
        "findings": [_finding(finding) for finding in findings],
        "config_hash": config_hash,
        "settings": dict(settings),
    }


def _finding(finding: Finding) -> JsonDocument:
    return {
        "subject": finding.subject,
        "grade": finding.grade.value,
        "detail": finding.detail,
        "rule": _coverage(finding.coverage) if finding.coverage else None,
    }


def _coverage(coverage: RuleCoverage) -> JsonDocument:
    """Bytes are null where they cannot be known; the images in use are in neither of the kept."""
    return {
        "name": coverage.rule,
        "matched": coverage.matched,
        "matched_in_part": coverage.in_part,
        "in_use": coverage.in_use,
        "evictable_nightly": coverage.nightly.count,
        "evictable_pressure": coverage.pressure.count,
        "estimated_bytes_nightly": coverage.nightly.estimated_bytes,
        "estimated_bytes_pressure": coverage.pressure.estimated_bytes,
        "kept_nightly": _counts(coverage.nightly.kept),
        "kept_pressure": _counts(coverage.pressure.kept),
    }


def _counts(kept: Mapping[KeepReason, int]) -> JsonDocument:
    return {reason.value: count for reason, count in kept.items()}


def _filesystem(usage: Usage | None) -> JsonDocument | None:
    if usage is None:
        return None
    return {
        "path": usage.path,
        "capacity_bytes": usage.capacity_bytes,
        "available_bytes": usage.available_bytes,
        "reserved_bytes": usage.reserved_bytes,
        "used_percent": usage.used_percent,
        "inodes_used_percent": usage.inodes_used_percent,
        "name": usage.filesystem.value,
    }


def _verdict(verdict: Verdict) -> JsonDocument:
    return {
        "id": verdict.image.id,
        "references": sorted_references(verdict.image),
        "verdict": "evict" if verdict.evict else "keep",
        "reason": verdict.reason.value,
        "detail": verdict.detail,
        "rule": verdict.rule,
        "created_at": rfc3339(verdict.created_at),
        "pulled_at": rfc3339(verdict.pulled_at),
        "last_used_at": rfc3339(verdict.last_used_at),
        "size_bytes": verdict.image.size_bytes,
        "estimated_bytes": verdict.reclaimable.bytes if verdict.reclaimable else None,
    }


def _eviction(eviction: Eviction) -> JsonDocument:
    return {
        "id": eviction.verdict.image.id,
        "references": sorted_references(eviction.verdict.image),
        "reason": eviction.verdict.reason.value,
        "rule": eviction.verdict.rule,
        "outcome": eviction.outcome.value,
        "error": eviction.error,
        "fault": eviction.fault.value if eviction.fault else None,
        "estimated_bytes": eviction.estimated_bytes,
        "reclaimed_bytes": eviction.reclaimed_bytes,
    }
