"""A containerd with CRI on a Unix socket that misbehaves on order.

    with FaultyRuntime(folder / "containerd.sock", folder / "disk") as runtime:
        runtime.node.pull(reference)
        runtime.faults.when("Containers.List").wait(4, Point.READ)
        runtime.node.start_pod(reference)
        runtime.journal.entries(Kind.REMOVAL)

It answers as a containerd does, from a node in memory (`node.py`); `tests/recordings` shows what real ones do.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import grpc

from cleaner.runtime.pb import containerd_images_pb2_grpc as records_grpc
from cleaner.runtime.pb import cri_pb2_grpc as cri_grpc
from contract import MIB
from support.containerd_services import Roots, add_services
from support.faulty_runtime.events import FaultyExchange
from support.faulty_runtime.faults import Context, Fault, Faults, Point
from support.faulty_runtime.journal import Journal, Kind
from support.faulty_runtime.node import FaultyNode
from support.faulty_runtime.services import Images, ImageService, RuntimeService, pod_handlers
from support.faulty_runtime.storage import Storage
from support.faulty_runtime.store import ImageStore
from support.faulty_runtime.versions import CONTAINERD_2, Version

_THREADS = 80
"""More than the agent has calls under way at once, since those that hang keep theirs."""
_ENDLESS = "Events.Subscribe"
_SUBJECTS = ("container_id", "pod_sandbox_id", "name", "key", "digest", "id", "snapshotter")


class FaultyRuntime:
    """The server; use it in a with-block, or start and stop it, also more than once: its state stays."""

    def __init__(
        self,
        socket: Path,
        directory: Path,
        *,
        now: Callable[[], datetime],
        version: Version = CONTAINERD_2,
        capacity_bytes: int = 1000 * MIB,
        pause_reference: str = "registry.k8s.io/pause:3.9",
    ) -> None:
        """Keep files in a directory, which must be there, and write times by this clock."""
        self.socket = socket
        self.journal = Journal()
        self.events = FaultyExchange(self.journal)
        self.storage = Storage(directory, capacity_bytes)
        store = ImageStore(self.storage, now, version, self.events, self.journal)
        self.node = FaultyNode(store, pause_reference)
        self.faults = Faults(self.restart)
        self.roots: Roots = {}
        """Of containerd's plugins."""
        self._server: grpc.Server | None = None
        self._starts = 0
        self.node.start()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Serve, in threads of this process."""
        server = grpc.server(ThreadPoolExecutor(_THREADS), interceptors=[_Script(self.faults, self.journal)])
        cri_grpc.add_RuntimeServiceServicer_to_server(RuntimeService(self.node), server)  # type: ignore[no-untyped-call]
        cri_grpc.add_ImageServiceServicer_to_server(ImageService(self.node), server)  # type: ignore[no-untyped-call]
        records_grpc.add_ImagesServicer_to_server(Images(self.node), server)  # type: ignore[no-untyped-call]
        server.add_generic_rpc_handlers(tuple(pod_handlers(self.node)))
        add_services(server, self.node.store.namespaces, self.events, self.roots)
        # Each server has a socket of its own, and the path is a link: whoever connects during a restart is served.
        self._starts += 1
        own = self.socket.with_suffix(f".{self._starts}")
        server.add_insecure_port(f"unix:{own}")
        server.start()
        link = self.socket.with_suffix(".next")
        link.symlink_to(own)
        link.replace(self.socket)
        self._server = server

    def stop(self) -> None:
        """End at once, also what hangs, and remove the socket."""
        self.faults.clear()
        self.socket.unlink(missing_ok=True)
        server, self._server = self._server, None
        if server is not None:
            server.stop(None).wait()

    def restart(self) -> None:
        """End all connections, and serve new ones at once; what was ordered stays."""
        server = self._server
        self.start()
        if server is not None:
            server.stop(None).wait()


class _Script(grpc.ServerInterceptor):  # type: ignore[type-arg]
    """Leads every call through the orders, and records it."""

    def __init__(self, faults: Faults, journal: Journal) -> None:
        self._faults = faults
        self._journal = journal

    def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        handler = continuation(handler_call_details)
        if handler is None:
            return None
        method = method_name(handler_call_details.method)
        if not handler.response_streaming:
            return grpc.unary_unary_rpc_method_handler(
                lambda request, context: self._answer(method, handler.unary_unary, request, context),
                handler.request_deserializer,
                handler.response_serializer,
            )

        def stream(request: Any, context: Context) -> Iterator[Any]:
            if method == _ENDLESS:
                self._begin(method, request, context)
                yield from handler.unary_stream(request, context)
            else:
                yield from self._answer(method, lambda r, c: list(handler.unary_stream(r, c)), request, context)

        return grpc.unary_stream_rpc_method_handler(stream, handler.request_deserializer, handler.response_serializer)

    def _begin(self, method: str, request: Any, context: Context) -> list[Fault]:
        subject = subject_of(request)
        self._journal.add(Kind.CALL, method, subject)
        faults = self._faults.claim(method, subject)
        for fault in faults:
            if fault.actions[Point.ANSWERED]:
                context.add_callback(partial(fault.act, Point.ANSWERED, context))
        for fault in faults:
            fault.act(Point.ARRIVED, context)
        return faults

    def _answer(self, method: str, behaviour: Callable[[Any, Context], Any], request: Any, context: Context) -> Any:
        subject = subject_of(request)
        try:
            faults = self._begin(method, request, context)
            for fault in faults:
                if fault.subject_instead is not None:
                    request = _about(request, fault.subject_instead)
            scripted = next((fault.response for fault in faults if fault.response is not None), None)
            response = behaviour(request, context) if scripted is None else scripted
            for fault in faults:
                fault.act(Point.READ, context)
        except Exception:
            # grpc raises an error of no type of its own where a handler aborted.
            code = cast("Any", context).code()
            self._journal.add(Kind.ANSWER, method, subject, code.name if code else "UNKNOWN")
            raise
        self._journal.add(Kind.ANSWER, method, subject, "OK")
        return response


def method_name(path: str) -> str:
    """As `cleaner.runtime.rpc` names it: `ListImages`, `Images.Get`."""
    service, method = path.strip("/").split("/")
    return f"{service.rsplit('.', 1)[-1]}.{method}" if service.startswith("containerd.") else method


def subject_of(request: Any) -> str:
    """The image, container, sandbox, record, snapshot or blob that a request names; of lists the filters."""
    if hasattr(request, "image"):
        return str(request.image.image)
    if hasattr(request, "filters") and not hasattr(request, "snapshotter"):
        return " ".join(request.filters)
    return next((str(getattr(request, name)) for name in _SUBJECTS if hasattr(request, name)), "")


def _about(request: Any, subject: str) -> Any:
    """The same request about another subject."""
    other = type(request).FromString(request.SerializeToString())
    if hasattr(request, "image"):
        other.image.image = subject
    else:
        setattr(other, next(name for name in _SUBJECTS if hasattr(request, name)), subject)
    return other
