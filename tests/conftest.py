"""Shared by all tests: hypothesis profiles, the report of durations, and the release of ports."""

from hypothesis import HealthCheck, settings

from lab import ports

pytest_plugins = ["timing.plugin"]

# Every run tries the same examples, so no run fails by chance. Slow examples are no failure.
settings.register_profile(
    "repeatable",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
# For `make quick`.
settings.register_profile("quick", settings.get_profile("repeatable"), max_examples=10)
# To search for new failures: `pytest --hypothesis-profile=explore`. Failures are saved in .hypothesis/.
settings.register_profile(
    "explore", deadline=None, max_examples=1000, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("repeatable")


def pytest_unconfigure() -> None:
    """Release the reserved ports, to avoid ResourceWarnings at exit."""
    while ports._reserved:
        ports._reserved.pop().close()
