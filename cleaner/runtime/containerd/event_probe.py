"""Whether a runtime lets its container events be followed, by one attempt: for a command that does not follow them."""

from h2.exceptions import H2Error

from cleaner.core.errors import CleanerError
from cleaner.core.read_state import AVAILABLE, ReadState, not_offered, unavailable
from cleaner.runtime.containerd.container_events import SUBSCRIPTION
from cleaner.runtime.containerd.event_wire import EventWire, SilentRuntimeError
from cleaner.runtime.rpc import SUBSCRIBE, CallRejectedError, Endpoint, ServerStream, connect

_ANSWER_SECONDS = 5.0
_REJECTION_SECONDS = 0.5
"""How long after the runtime has read a subscription it may still reject it."""


def probe_container_events(endpoint: Endpoint, answer_seconds: float = _ANSWER_SECONDS) -> ReadState:
    """Subscribe, and see whether the runtime accepts that; on a connection of its own, which is closed again."""
    accepted = False
    try:
        with connect(endpoint) as connection:
            wire = EventWire(connection, answer_seconds=answer_seconds)

            def accept() -> None:
                nonlocal accepted
                accepted = True
                wire.wait_on(_REJECTION_SECONDS)

            for _ in ServerStream(wire, SUBSCRIBE, accept).read(SUBSCRIPTION):
                pass
    except CallRejectedError as error:
        return not_offered(str(error)) if error.not_offered else unavailable(str(error))
    except SilentRuntimeError as error:
        return AVAILABLE if accepted else unavailable(str(error))
    except (CleanerError, OSError, H2Error) as error:
        return unavailable(str(error) or type(error).__name__)
    raise AssertionError  # a stream ends with an error only
