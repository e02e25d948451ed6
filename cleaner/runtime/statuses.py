"""What only the status of a container or sandbox tells: which images are mounted into it, and which one it runs.

Each status is read once, since neither changes. One that is NOT_FOUND is asked for again at the next list, because
runtimes answer so for a moment about what they have just listed. An answer about another id is an error.
"""

from collections.abc import Callable, Collection, Mapping
from typing import TypeVar

from cleaner.core.errors import RuntimeRejectedError
from cleaner.core.ports import Stop
from cleaner.runtime import translate
from cleaner.runtime.pb import cri_pb2 as pb
from cleaner.runtime.rpc import CallRejectedError, Calls, methods, require_answer_about

_Value = TypeVar("_Value")

_TRIES = 3
_PAUSE_SECONDS = 0.1
"""containerd drops a sandbox that is being removed from its lists within milliseconds."""


class MountedImages:
    """The images that are mounted into containers, by container."""

    def __init__(self, calls: Calls) -> None:
        """Know nothing yet."""
        self._calls = calls
        self._known: dict[str, frozenset[str]] = {}

    def read(self, container_ids: Collection[str]) -> Mapping[str, frozenset[str]]:
        """Names of the images by container; those whose status is NOT_FOUND are left out."""
        _complete(self._known, container_ids, self._read_one)
        return self._known

    def read_new(self, container_ids: Collection[str]) -> Mapping[str, frozenset[str]]:
        """The same of containers that were just created; CRI does not know sandboxes and containers outside it."""
        found = {known: self._known[known] for known in container_ids if known in self._known}
        _complete(found, container_ids, self._read_one)
        self._known |= found
        return found

    def _read_one(self, container_id: str) -> frozenset[str]:
        request = pb.ContainerStatusRequest(container_id=container_id)
        answer = self._calls.read(methods.CONTAINER_STATUS, request)
        if not answer.HasField("status"):
            # What it mounts stays unknown, and an image that it mounts must not be evicted.
            raise RuntimeRejectedError("ContainerStatus: it has no status")
        require_answer_about(container_id, answer.status.id, methods.CONTAINER_STATUS.name)
        return translate.mounted_image_names(answer.status)


class SandboxImages:
    """The images that pod sandboxes run."""

    def __init__(self, calls: Calls, stop: Stop) -> None:
        """Know nothing yet."""
        self._calls = calls
        self._stop = stop
        self._known: dict[str, str | None] = {}

    @property
    def known_ids(self) -> Collection[str]:
        """The sandboxes of the last `read`."""
        return self._known.keys()

    def list_ids(self) -> frozenset[str]:
        """All sandboxes, ready or not."""
        answer = self._calls.read(methods.LIST_SANDBOXES, pb.ListPodSandboxRequest())
        return frozenset(sandbox.id for sandbox in answer.items)

    def read(self) -> frozenset[str]:
        """Names of the images of all sandboxes, as far as the runtime tells them.

        RuntimeRejectedError where a sandbox stays listed although its status is NOT_FOUND: its image may be the one
        without which no pod starts.
        """
        listed = self.list_ids()
        lost = _complete(self._known, listed, self._read_one)
        for _ in range(_TRIES - 1):
            if not lost:
                break
            self._stop.wait(_PAUSE_SECONDS)
            listed -= lost - self.list_ids()
            lost = _complete(self._known, listed, self._read_one)
        if lost:
            raise RuntimeRejectedError(f"PodSandboxStatus: {min(lost)} is listed, and its status is not found")
        return frozenset(filter(None, self._known.values()))

    def read_next(self, *, pins_images: bool) -> str | None:
        """Name of the image that the next sandbox will run; None where the runtime does not tell it.

        Asked every time: a runtime restarts with another configuration faster than anybody notices.

        A runtime that answers with an error, and pins images, has pinned this one too: containerd 1.7 and 2 cannot
        answer their very first Status on a disk without a free byte, and that disk has to be swept.
        """
        try:
            answer = self._calls.read(methods.STATUS, pb.StatusRequest(verbose=True))
        except CallRejectedError:
            if pins_images:
                return None
            raise
        return translate.read_next_sandbox_image(answer.info)

    def _read_one(self, sandbox_id: str) -> str | None:
        request = pb.PodSandboxStatusRequest(pod_sandbox_id=sandbox_id, verbose=True)
        answer = self._calls.read(methods.SANDBOX_STATUS, request)
        require_answer_about(sandbox_id, answer.status.id, methods.SANDBOX_STATUS.name)
        return translate.read_sandbox_image(answer.info)


def _complete(memory: dict[str, _Value], ids: Collection[str], read: Callable[[str], _Value]) -> frozenset[str]:
    """Make a memory hold exactly these ids, but for those that are not found, which are returned."""
    for known in memory.keys() - ids:
        del memory[known]
    lost = set()
    for new in ids - memory.keys():
        try:
            memory[new] = read(new)
        except CallRejectedError as error:
            if not error.not_found:
                raise
            lost.add(new)
    return frozenset(lost)
