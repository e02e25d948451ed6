"""The lines about registries: one when a registry is down, and one when it is up again."""

from cleaner.core.events import RegistriesProbed
from unit.outlets.written import lines_of

UP = RegistriesProbed(frozenset({"r.io"}), {})
DOWN = RegistriesProbed(frozenset({"q.io"}), {"r.io": "HTTP 503"})
NOT_ASKED = RegistriesProbed(frozenset({"q.io"}), {})
"""A sweep without a candidate of the other registry."""


def test_a_registry_is_logged_when_it_changes() -> None:
    """Down is one warning until it answers again, also over sweeps that do not ask it."""
    lines = lines_of(UP, DOWN, DOWN, NOT_ASKED, DOWN, UP, UP, DOWN)
    assert [(line["event"], line["level"], line["registry"]) for line in lines] == [
        ("registry_down", "warning", "r.io"),
        ("registry_up", "info", "r.io"),
        ("registry_down", "warning", "r.io"),
    ]
    assert lines[0]["reason"] == "HTTP 503"


def test_each_registry_has_its_line() -> None:
    """Several that are down are as many lines, and each is up again by itself."""
    both = RegistriesProbed(frozenset(), {"a.io": "HTTP 503", "b.io": "Connection refused"})
    one = RegistriesProbed(frozenset({"b.io"}), {"a.io": "HTTP 502"})
    lines = lines_of(both, one, RegistriesProbed(frozenset({"a.io", "b.io"}), {}))
    assert [(line["event"], line["registry"]) for line in lines] == [
        ("registry_down", "a.io"),
        ("registry_down", "b.io"),
        ("registry_up", "b.io"),
        ("registry_up", "a.io"),
    ]
