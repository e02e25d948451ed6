"""History from the ledger: how long an image was gone."""

from datetime import timedelta

import pytest

from cleaner.core.history import PastEviction, RegretKind
from cleaner.core.model import EvictionOutcome, Trigger
from support.values import DAY, MICROSECOND, NOW

GONE = PastEviction("sha256:1", (), Trigger.NIGHTLY, "expired", "company", EvictionOutcome.EVICTED, None, NOW)


def test_what_was_not_re_pulled_has_no_time_of_absence() -> None:
    """Nothing is said of how long an image will be gone."""
    assert GONE.regretted_after is None


@pytest.mark.parametrize(
    ("later", "gone_for"), [(-MICROSECOND, timedelta(0)), (timedelta(0), timedelta(0)), (DAY, DAY)]
)
def test_gone_for(later: timedelta, gone_for: timedelta) -> None:
    """An image is gone from its eviction until its regret, and never for less than no time."""
    back = PastEviction(
        GONE.image_id,
        GONE.references,
        GONE.trigger,
        GONE.reason,
        GONE.rule,
        GONE.outcome,
        GONE.error,
        GONE.at,
        regretted_at=NOW + later,
        regretted_by=RegretKind.PULLED,
    )
    assert back.regretted_after == gone_for
