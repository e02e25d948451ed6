"""The container runtime as `core` sees it, over CRI.

It must not keep what can change. Only what is fixed for an id is read once (when an image was built, what a container
mounts, what a sandbox runs), and dropped with it.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self, TypeVar

from cleaner.core.disk_usage import Filesystem
from cleaner.core.errors import CleanerError, RuntimeRejectedError, RuntimeUnavailableError
from cleaner.core.model import Container, Image, RuntimeVersion
from cleaner.core.ports import Stop
from cleaner.core.pressure import Pull
from cleaner.core.read_state import ReadState
from cleaner.core.reclaim import Layers
from cleaner.runtime import translate
from cleaner.runtime.containerd import (
    ContainerEvents,
    ContainerImages,
    GraphReader,
    ImageRecords,
    PullReader,
    Snapshotters,
    as_far_as_named,
    name_created,
    probe_container_events,
    read_filesystems,
    read_own_containers,
)
from cleaner.runtime.crio import ImageTranslator
from cleaner.runtime.pb import cri_pb2 as pb
from cleaner.runtime.rpc import (
    DEADLINES,
    CallRejectedError,
    Calls,
    Channels,
    ContainerdApi,
    Endpoint,
    NotServingError,
    ObserveCall,
    Socket,
    Span,
    explaining,
    methods,
    observe_nothing,
    require_answer_about,
)
from cleaner.runtime.statuses import MountedImages, SandboxImages

_Value = TypeVar("_Value")

_MOST_HANGING = 3
"""How many images of a list may have a status that does not come in time; each costs its deadline."""


class CriRuntime:
    """A `core.ports.Runtime` behind one or two sockets; used from one thread."""

    layers_error: str | None
    """Why the last `read_layers` gave none although there is the API; None where it did not fail."""

    def __init__(
        self,
        endpoint: Endpoint,
        stop: Stop,
        *,
        image_endpoint: Endpoint | None = None,
        observe_call: ObserveCall = observe_nothing,
        deadlines: Mapping[Span, timedelta] = DEADLINES,
    ) -> None:
        """Nothing is connected before the first call; a stop request ends waiting for an unavailable runtime."""
        self._endpoint = endpoint
        channels = Channels({Socket.RUNTIME: endpoint, Socket.IMAGES: image_endpoint or endpoint})
        self._calls = Calls(channels, deadlines, stop, observe_call)
        self._containerd_api = ContainerdApi(self._calls)
        self._records = ImageRecords(self._containerd_api)
        self.snapshotters = Snapshotters(self._containerd_api)
        self._graph = GraphReader(self._containerd_api, self.snapshotters)
        self._pulls = PullReader(self._containerd_api, self.snapshotters)
        self._container_images = ContainerImages(self._containerd_api)
        self._uses = ContainerEvents(endpoint)
        self._translator = ImageTranslator(self._calls)
        self.layers_error = None
        self._created: dict[str, datetime | None] = {}
        self._mounted = MountedImages(self._calls)
        self._sandboxes = SandboxImages(self._calls, stop)
        self._pins_images = False
        self._hanging = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End everything, watching too."""
        self._uses.stop()
        self._calls.close()

    def disconnect(self) -> None:
        """End the connections; the next call opens them again, and what is kept or watched stays."""
        self._calls.disconnect()

    def watch_created_containers(self) -> None:
        """Collect created containers from now on, in a thread with the caller's signal mask; for the daemon."""
        self._uses.start()

    def read_version(self) -> RuntimeVersion:
        """Name and version; asked once, so that the caller knows at once that a runtime is unavailable."""
        with explaining(self._endpoint):
            answer = self._calls.ask(methods.VERSION, pb.VersionRequest())
        self._translator.record_runtime(answer.runtime_name)
        return RuntimeVersion(answer.runtime_name, answer.runtime_version)

    def read_filesystems(self) -> Mapping[Filesystem, str]:
        """Where the runtime keeps images, and where else what pulls and containers fill, as far as it tells."""
        return read_filesystems(self._calls, self._containerd_api)

    def list_images(self) -> tuple[Image, ...]:
        """All images by id, each with both its times where they can be known."""
        answers = self._calls.read_list(methods.LIST_IMAGES, methods.STREAM_IMAGES)
        self._hanging = 0
        listed = self._translator.translate_list(message for answer in answers for message in answer.images)
        del answers  # Megabytes on a large node.
        self._pins_images = any(image.pinned for image in listed)
        _drop(self._created, self._created.keys() - {image.id for image in listed})
        images = map(self._with_created_at, self._records.complete_all(listed))
        return tuple(image for image in images if image)

    def list_containers(self) -> tuple[Container, ...]:
        """Every container of every state, also those that CRI does not list; a list without a filter has them all.

        One whose status is gone is among them, with the names that the list has: it may be there again.
        """
        answers = self._calls.read_list(methods.LIST_CONTAINERS, methods.STREAM_CONTAINERS)
        named = translate.names_by_container(message for answer in answers for message in answer.containers)
        mounted = self._mounted.read(named.keys())
        listed = [Container(known, names | mounted.get(known, frozenset())) for known, names in named.items()]
        # A container without an id or digest of its image is looked up by its snapshots, as those outside CRI.
        identified = [known for known, names in named.items() if any("sha256:" in name for name in names)]
        return tuple(sorted(listed + self._list_unlisted(identified), key=lambda container: container.id))

    def drain_created_containers(self) -> tuple[Container, ...]:
        """Containers that were created since the last call, by id, sandboxes too.

        () without `watch_created_containers` or containerd's API; where names cannot be read, nothing is lost.
        """
        made = self._uses.drain()
        try:
            return tuple(sorted(as_far_as_named(self._containerd_api, made), key=lambda container: container.id))
        except CleanerError:
            self._uses.put_back(made)
            raise

    def event_position(self) -> int | None:
        """Where the stream of container events is now; None while it is not connected, or where there is none.

        It is None for half a second after each connection too. It needs `watch_created_containers`.
        """
        return self._uses.event_position()

    def created_since(self, position: int) -> tuple[Container, ...] | None:
        """Containers made since then, sandboxes too, and those that are being made at this moment, by id.

        None where the stream broke since, where containers were made faster than they are kept, and where one cannot
        be understood or its image not be found. Nothing is taken from `drain_created_containers`.
        """
        creations = self._uses.created_since(position)
        containers = None if creations is None else name_created(self._containerd_api, creations)
        if creations is None or not containers:
            return containers
        mounted = self._mounted.read_new(creations.image_by_container.keys())
        return tuple(Container(one.id, one.image_names | mounted.get(one.id, frozenset())) for one in containers)

    def list_sandbox_images(self) -> frozenset[str]:
        """Images of all sandboxes, ready or not, and of the next one where the runtime tells it."""
        images = self._sandboxes.read()
        return images | frozenset(filter(None, [self._sandboxes.read_next(pins_images=self._pins_images)]))

    def read_layers(self, images: Iterable[Image]) -> Layers | None:
        """What holds which bytes, for all images as they were just listed; None where that is not known.

        It is not where the runtime has no such API, nor where it answers with an error or not in time, which
        `layers_error` then tells: what an image frees only ranks it, and a full disk must not wait for that.
        """
        self.layers_error = None
        try:
            layers = self._graph.read(images)
        except CleanerError as error:
            self.layers_error = str(error)
            return None
        self._pulls.calibrate(layers)
        return layers

    @property
    def pulls_state(self) -> ReadState | None:
        """How the last `read_pulls` went; None before the first one."""
        return self._pulls.state

    @property
    def container_events_state(self) -> ReadState | None:
        """Whether container events are followed now; None without `watch_created_containers`."""
        return self._uses.state

    def probe_container_events(self) -> ReadState:
        """Whether they could be followed, by an attempt on a connection of its own."""
        return probe_container_events(self._endpoint)

    def read_pulls(self) -> tuple[Pull, ...]:
        """What is being pulled, projected by the ratio of the images of the last `read_layers`; () where that fails."""
        return self._pulls.read()

    def list_leftovers(self, image: Image) -> tuple[str, ...]:
        """Names of containerd's records that still point to an image that CRI has no more; none without its API."""
        return self._records.list_leftovers(image)

    def read_image(self, image_id: str) -> Image | None:
        """One image as it is now, in a few quick calls; only `created`, which an id fixes, may be from memory."""
        known = image_id in self._created
        answer = self._read_status(image_id, verbose=not known)
        if answer is None:
            return None
        image = self._translator.translate_image(answer.image)
        image = replace(image, created_at=self._created[image_id]) if known else self._store_created(image, answer)
        return self._records.complete(image)

    def remove_image(self, image_id: str) -> None:
        """Remove it with all its references, in one attempt; fine where it is gone already."""
        try:
            self._calls.ask(methods.REMOVE_IMAGE, pb.RemoveImageRequest(image=pb.ImageSpec(image=image_id)))
        except CallRejectedError as error:
            if not error.not_found:
                raise

    def _list_unlisted(self, listed: Collection[str]) -> list[Container]:
        """Containers that are neither CRI's nor sandboxes; sandboxes are asked for where some are not known yet."""
        self._uses.begin_list()
        others = read_own_containers(self._containerd_api)
        if others is None:
            return []
        self._uses.end_list(others.keys())
        _drop(others, [*listed, *self._sandboxes.known_ids])
        if others:
            _drop(others, self._sandboxes.list_ids())
        return self._container_images.name(others, self._records.image_ids)

    def _with_created_at(self, image: Image) -> Image | None:
        """The image with its build time, not readable where that failed; None where it is gone."""
        if image.artifact or image.id in self._created:
            return translate.with_created_at(image, self._created.get(image.id))
        try:
            answer = self._read_status(image.id, verbose=True)
        except NotServingError:
            raise
        except RuntimeUnavailableError:
            # One image that hangs must not keep others from being evicted for ever; several are a runtime that hangs.
            self._hanging += 1
            if self._hanging > _MOST_HANGING:
                raise
            return replace(image, readable=False)
        except RuntimeRejectedError:
            return replace(image, readable=False)
        return None if answer is None else self._store_created(image, answer)

    def _store_created(self, image: Image, answer: pb.ImageStatusResponse) -> Image:
        """Keep the build time of an answer; one that cannot be read is asked for again next time."""
        try:
            created_at = self._created[image.id] = translate.read_created_at(answer.info)
        except RuntimeRejectedError:
            return replace(image, readable=False)
        return self._translator.with_status(replace(image, created_at=created_at), answer.info)

    def _read_status(self, image_id: str, *, verbose: bool) -> pb.ImageStatusResponse | None:
        """None where it is gone: containerd and CRI-O answer without an image, others may with NOT_FOUND.

        RuntimeRejectedError for an answer about another image, which says nothing of this one.
        """
        request = pb.ImageStatusRequest(image=pb.ImageSpec(image=image_id), verbose=verbose)
        try:
            answer = self._calls.read(methods.IMAGE_STATUS, request)
        except CallRejectedError as error:
            if error.not_found:
                return None
            raise
        if not answer.image.id:
            return None
        require_answer_about(image_id, answer.image.id, methods.IMAGE_STATUS.name)
        return answer


def _drop(memory: dict[str, _Value], ids: Iterable[str]) -> None:
    for known in ids:
        memory.pop(known, None)
