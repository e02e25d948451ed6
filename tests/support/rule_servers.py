"""A Prometheus with the rules loaded: whether it evaluates them, and what it answers to questions about them.

It asks nothing twice: all is asked of one moment.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from support.prometheus_server import PrometheusServer, QueryRejectedError
from support.rule_questions import Question

EVERY = "1s"
SCRAPED_EVERY = "2s"
"""Also what a target has to answer: a busy machine may be slow."""


def config_of(*rule_files: Path, **sections: object) -> str:
    """A configuration that evaluates rules often; JSON is YAML."""
    intervals = {"scrape_interval": SCRAPED_EVERY, "scrape_timeout": SCRAPED_EVERY, "evaluation_interval": EVERY}
    return json.dumps({"global": intervals, "rule_files": [str(file) for file in rule_files]} | sections)


def name_of(rule: Any) -> str:
    """What an alert or a recorded series is called."""
    return str(rule.get("alert") or rule["record"])


def evaluations_of(server: PrometheusServer) -> list[tuple[str, str]]:
    """Each rule that it has, by name, with `ok` or the error of its last evaluation."""
    return sorted((rule["name"], rule.get("lastError") or rule["health"]) for rule in server.rules())


class Asked:
    """What a server says of one moment."""

    def __init__(self, server: PrometheusServer, at: float) -> None:
        self.server = server
        self._at = at
        self._known: dict[str, list[Any]] = {}

    @property
    def number(self) -> int:
        """How many different queries were asked."""
        return len(self._known)

    def query(self, expression: str) -> list[Any]:
        """What an expression gives; QueryRejectedError where it is an error."""
        if expression not in self._known:
            self._known[expression] = self.server.query(expression, self._at)
        return self._known[expression]

    def refusal(self, expression: str) -> str | None:
        """Why an expression is an error, with itself; None where it is none."""
        try:
            self.query(expression)
        except QueryRejectedError as error:
            return f"{expression} ({error})"
        return None

    def unanswered(self, questions: Iterable[Question]) -> list[str]:
        """Those that it has no answer to, or rejects."""
        return [f"{question}{why}" for question in questions if (why := self._why_not(question)) is not None]

    def _why_not(self, question: Question) -> str | None:
        try:
            return None if question.is_answered_by(self.query(question.query)) else ""
        except QueryRejectedError as error:
            return f" ({error})"
