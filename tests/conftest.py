"""What all tests share: how much hypothesis tries, the report of durations, and ports that are given back."""

from hypothesis import HealthCheck, settings

from lab import ports

pytest_plugins = ["timing.plugin"]

# A run repeats the one before it, so that none fails by chance; and a busy machine is no failure.
settings.register_profile(
    "repeatable",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
# For `make quick`.
settings.register_profile("quick", settings.get_profile("repeatable"), max_examples=10)
# For whoever looks for new failures: `pytest --hypothesis-profile=explore`; each is kept in .hypothesis/.
settings.register_profile(
    "explore", deadline=None, max_examples=1000, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("repeatable")


def pytest_unconfigure() -> None:
    """Give back the reserved ports, before the interpreter complains of open sockets at its end."""
    while ports._reserved:
        ports._reserved.pop().close()
