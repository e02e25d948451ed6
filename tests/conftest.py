"""What all tests share."""

from lab import ports


def pytest_unconfigure() -> None:
    """Give back the reserved ports, before the interpreter complains of open sockets at its end."""
    while ports._reserved:
        ports._reserved.pop().close()
