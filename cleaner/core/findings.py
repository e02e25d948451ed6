"""What `check` found, as values.

It must not inspect the node; see `cli/node_checks.py`.
"""

from dataclasses import dataclass
from enum import StrEnum

from cleaner.core.rule_coverage import RuleCoverage


class Grade(StrEnum):
    """How serious a finding is."""

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    """Nothing fails, but an operator should act."""
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that `check` inspected."""

    subject: str
    grade: Grade
    detail: str
    coverage: RuleCoverage | None = None
    """The counts behind the line of a rule; None for all other findings."""
