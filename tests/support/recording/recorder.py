"""Records what a containerd does, over its own API and without the product's client: its events, and what it lists.

An event is recorded with whether its object is listed when the event arrives, unless the same step removes it again.
The garbage collector runs concurrently with the step, so its events come last. Only lists that changed are recorded.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import grpc

from cleaner.runtime.pb import containerd_containers_pb2 as containers_pb
from cleaner.runtime.pb import containerd_containers_pb2_grpc as containers_grpc
from cleaner.runtime.pb import containerd_content_pb2 as content_pb
from cleaner.runtime.pb import containerd_content_pb2_grpc as content_grpc
from cleaner.runtime.pb import containerd_events_pb2 as events_pb
from cleaner.runtime.pb import containerd_events_pb2_grpc as events_grpc
from cleaner.runtime.pb import containerd_images_pb2 as images_pb
from cleaner.runtime.pb import containerd_images_pb2_grpc as images_grpc
from cleaner.runtime.pb import containerd_snapshots_pb2 as snapshots_pb
from cleaner.runtime.pb import containerd_snapshots_pb2_grpc as snapshots_grpc
from cleaner.runtime.pb import cri_pb2 as cri_pb
from cleaner.runtime.pb import cri_pb2_grpc as cri_grpc
from lab.waiting import wait_until
from support.recording.aliases import Aliases
from support.wire import read_texts

MARKER = "marker"
"""How records begin that show that all events before them have arrived; they are not recorded."""
_NAMESPACE = (("containerd-namespace", "k8s.io"),)
_TOPICS = ("/images/", "/snapshot/", "/containers/")


@dataclass(frozen=True)
class Event:
    """One event as it arrived."""

    topic: str
    subject: str
    detail: str
    """What else it tells, in words."""
    listed: bool | None
    """Whether its object was listed then; None where that was not asked."""


class Recorder:
    """One subscription to all events, and the lists; use it in a with-block."""

    def __init__(self, socket: Path, put_marker: Callable[[str], None]) -> None:
        """`put_marker` makes a record of a name."""
        self.aliases = Aliases()
        self.steps: list[dict[str, Any]] = []
        self._put_marker = put_marker
        self._arrived: list[Event] = []
        self._ended = threading.Event()
        self._channel = grpc.insecure_channel(f"unix:{socket}")
        self._stream: Any = None
        self._empty = (0, 0, 0)
        self._last_lists: dict[str, Any] = {}

    def __enter__(self) -> Self:
        stub = events_grpc.EventsStub(self._channel)  # type: ignore[no-untyped-call]
        self._stream = stub.Subscribe(events_pb.SubscribeRequest(filters=['namespace=="k8s.io"']))
        threading.Thread(target=self._follow, daemon=True).start()
        numbers = iter(range(1_000_000))
        # The server reads the subscription when it likes: what is made until then is not told.
        wait_until(lambda: self._marked(f"{MARKER}-first-{next(numbers)}:v1"), "the subscription is read")
        self._arrived.clear()
        self._empty = self._counts()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stream.cancel()
        self._ended.wait()
        self._channel.close()

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """One step of the scenario: what it does is what happens in the with-block."""
        answer = "OK"
        try:
            yield
        except Exception:  # noqa: BLE001 - each bench has errors of its own
            answer = "failed"
        marker = f"{MARKER}-{len(self.steps)}:v1"
        self._put_marker(marker)
        wait_until(lambda: any(event.subject == marker for event in self._arrived), "all events arrived")
        arrived, self._arrived = self._arrived, []
        gone = {event.subject for event in arrived if event.topic == "/containers/delete"}
        events = [self._described(event, gone) for event in arrived if not event.subject.startswith(MARKER)]
        lists = self._lists()
        changed = {what: found for what, found in lists.items() if self._last_lists.get(what) != found}
        self._last_lists = lists
        self.steps.append({"step": name, "answer": answer, "events": _in_order(events), "lists": changed})

    def committed_snapshots(self) -> int:
        """How many there are now, beside those that were there at first."""
        return self._counts()[0] - self._empty[0]

    def _marked(self, name: str) -> bool:
        self._put_marker(name)
        return bool(self._arrived)

    def _follow(self) -> None:
        try:
            for envelope in self._stream:
                if envelope.topic.startswith(_TOPICS):
                    self._arrived.append(self._arrive(envelope))
        except grpc.RpcError:
            self._ended.set()

    def _arrive(self, envelope: events_pb.Envelope) -> Event:
        texts = read_texts(envelope.event.value)
        subject, second = texts[1], texts.get(2, "")
        match envelope.topic:
            case "/snapshot/prepare":
                snapshotter = f" in {texts[5]}" if 5 in texts else ""
                return Event(envelope.topic, subject, f"{snapshotter} on {second}" if second else snapshotter, None)
            case "/containers/create":
                return Event(envelope.topic, subject, f" of {second}", subject in self._own_containers())
            case "/containers/delete":
                return Event(envelope.topic, subject, "", subject in self._own_containers())
            case "/images/create" | "/images/update" | "/images/delete":
                return Event(envelope.topic, subject, "", subject in self._records())
        return Event(envelope.topic, subject, "", None)

    def _described(self, event: Event, gone: set[str]) -> str:
        passing = event.topic == "/containers/create" and event.subject in gone
        state = {None: "", True: ": listed", False: ": not listed"}[None if passing else event.listed]
        return self.aliases.apply(f"{event.topic} {event.subject}{event.detail}{state}")

    # Lists

    def _lists(self) -> dict[str, Any]:
        committed, active, blobs = (now - before for now, before in zip(self._counts(), self._empty, strict=True))
        named = self.aliases.apply
        runtime = cri_grpc.RuntimeServiceStub(self._channel)  # type: ignore[no-untyped-call]
        containers = runtime.ListContainers(cri_pb.ListContainersRequest()).containers
        sandboxes = runtime.ListPodSandbox(cri_pb.ListPodSandboxRequest()).items
        records = self._records().items()
        return {
            "images": self._images(),
            "records": sorted(named(f"{name} -> {to}") for name, to in records if not name.startswith(MARKER)),
            "containers": sorted(named(f"{one.id} of {one.image.image} = {one.image_ref}") for one in containers),
            "sandboxes": sorted(named(one.id) for one in sandboxes),
            "own containers": sorted(named(f"{one} of {image}") for one, image in self._own_containers().items()),
            "committed snapshots": committed,
            "active snapshots": active,
            "blobs": blobs,
        }

    def _images(self) -> dict[str, list[str]]:
        service = cri_grpc.ImageServiceStub(self._channel)  # type: ignore[no-untyped-call]
        images = service.ListImages(cri_pb.ListImagesRequest()).images
        return {
            self.aliases.apply(image.id): sorted(
                self.aliases.apply(name) for name in (*image.repo_tags, *image.repo_digests) if MARKER not in name
            )
            for image in sorted(images, key=lambda image: self.aliases.apply(image.id))
        }

    def _records(self) -> dict[str, str]:
        stub = images_grpc.ImagesStub(self._channel)  # type: ignore[no-untyped-call]
        listed = stub.List(images_pb.ListImagesRequest(), metadata=_NAMESPACE).images
        return {record.name: record.target.digest for record in listed}

    def _own_containers(self) -> dict[str, str]:
        stub = containers_grpc.ContainersStub(self._channel)  # type: ignore[no-untyped-call]
        listed = stub.List(containers_pb.ListContainersRequest(), metadata=_NAMESPACE).containers
        return {container.id: container.image for container in listed}

    def _counts(self) -> tuple[int, int, int]:
        """Committed snapshots, active ones, and blobs."""
        content = content_grpc.ContentStub(self._channel)  # type: ignore[no-untyped-call]
        snapshots = snapshots_grpc.SnapshotsStub(self._channel)  # type: ignore[no-untyped-call]
        blobs = content.List(content_pb.ListContentRequest(), metadata=_NAMESPACE)
        request = snapshots_pb.ListSnapshotsRequest(snapshotter="overlayfs")
        kinds = [one.kind for part in snapshots.List(request, metadata=_NAMESPACE) for one in part.info]
        committed = kinds.count(snapshots_pb.COMMITTED)
        return committed, len(kinds) - committed, sum(len(part.info) for part in blobs)


def _in_order(events: list[str]) -> list[str]:
    """Snapshots are collected in the order of their digests, which differ from node to node: sorted by alias, last."""
    collected = [event for event in events if event.startswith("/snapshot/remove <snapshot")]
    return [event for event in events if event not in collected] + sorted(collected)
