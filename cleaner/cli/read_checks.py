"""What `cleaner check` finds out about container events and pulls in progress, which a sweep can do without.

It must not tell of the daemon's own stream of events: the log, the metrics and `ImageCleanerReadsIncomplete` do.
"""

from collections.abc import Iterator

from cleaner.core.findings import Finding, Grade
from cleaner.core.ports import Runtime
from cleaner.core.read_state import Availability, ReadState

_GRADES = {
    Availability.AVAILABLE: Grade.OK,
    Availability.UNAVAILABLE: Grade.WARNING,
    Availability.NOT_OFFERED: Grade.NOTE,
}
_WITHOUT_EVENTS = (
    "a final check is valid for 10 s at most, and a container that lives shorter than state.sample_every is not seen"
)
_WITHOUT_PULLS = "a pressure sweep makes no room for them before they are on the disk"


def check_reads(runtime: Runtime) -> Iterator[Finding]:
    """Whether events can be followed and pulls be read at this moment; raises CleanerError where no runtime serves."""
    yield _finding("container events", runtime.probe_container_events(), "can be followed", _WITHOUT_EVENTS)
    pulls = runtime.read_pulls()
    if runtime.pulls_state is not None:
        yield _finding("pulls", runtime.pulls_state, f"readable, {len(pulls)} in progress", _WITHOUT_PULLS)


def _finding(subject: str, state: ReadState, available: str, without: str) -> Finding:
    grade = _GRADES[state.availability]
    if grade is Grade.OK:
        return Finding(subject, grade, available)
    what = "not offered by this runtime" if grade is Grade.NOTE else "unavailable"
    return Finding(subject, grade, f"{what}: {without} ({state.reason})")
