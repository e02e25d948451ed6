"""Misbehaviour on order: which calls, and what happens to them.

    faults.when("ContainerStatus", subject=container_id, times=1).fail(StatusCode.NOT_FOUND)
    faults.when("Containers.List", after=2).wait(0.2, Point.READ)
    faults.when("ImageStatus", subject=image_id).run(lambda: node.start_pod(reference), Point.ANSWERED)
    gate = faults.when("RemoveImage").hang()

Methods have the names of `cleaner.runtime.rpc`: `ListImages` of CRI, `Images.List` of containerd. The subject of a list
is its filters, so "" is the whole list. All orders that match a call are carried out, in the order in which they were
given.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NoReturn, Self

import grpc
from google.protobuf.message import Message

from lab.waiting import DEADLINE_SECONDS

Context = grpc.ServicerContext


class Point(StrEnum):
    """When something happens to a call."""

    ARRIVED = "arrived"
    """Before the state is read, or anything is done."""
    READ = "read"
    """When the state is read, or all is done, and before the answer."""
    ANSWERED = "answered"
    """After the call has ended for the client."""


class Gate:
    """Holds calls until it is released."""

    def __init__(self) -> None:
        self._reached = threading.Event()
        self._lock = threading.Lock()
        self._released = False
        self._held: list[threading.Event] = []

    def release(self) -> None:
        """Let the calls go on, and those that come."""
        with self._lock:
            self._released = True
            for over in self._held:
                over.set()

    def wait_until_reached(self) -> None:
        """Return once a call hangs; AssertionError after a deadline."""
        assert self._reached.wait(DEADLINE_SECONDS), "no call came"

    def hold(self, context: Context) -> None:
        """Hang until released, or until the client has given up."""
        over = threading.Event()
        if not context.add_callback(over.set):
            # The client has given up already.
            over.set()
        with self._lock:
            self._held.append(over)
            if self._released:
                over.set()
        self._reached.set()
        over.wait(DEADLINE_SECONDS)


Action = Callable[[Context], None]
Subject = str | Callable[[str], bool] | None
"""What calls are about: one subject, those that a question is true of, or any."""


@dataclass
class Fault:
    """What happens to some calls; the methods can be chained."""

    method: str
    subject: Subject
    times: int | None
    after: int
    actions: dict[Point, list[Action]] = field(default_factory=lambda: {point: [] for point in Point})
    response: Message | None = None
    """What is answered, whatever the state is."""
    subject_instead: str | None = None
    """What the answer is about."""
    _gates: list[Gate] = field(default_factory=list)
    _closing: threading.Event = field(default_factory=threading.Event)
    _drop: Callable[[], None] = lambda: None

    def fail(self, code: grpc.StatusCode, details: str = "broken", at: Point = Point.ARRIVED) -> Self:
        """Answer with an error; at READ all was done before."""

        def abort(context: Context) -> None:
            _abort(context, code, details)

        return self._add(at, abort)

    def wait(self, seconds: float, at: Point = Point.ARRIVED) -> Self:
        """Let this time pass."""
        return self._add(at, lambda _context: _ignore(self._closing.wait(seconds)))

    def run(self, hook: Callable[[], object], at: Point = Point.ARRIVED) -> Self:
        """Let something happen on the node; the call waits for it, but for one that was answered."""
        return self._add(at, lambda _context: _ignore(hook()))

    def hang(self, at: Point = Point.ARRIVED) -> Gate:
        """Hang until the gate is released, or the client gives up."""
        gate = Gate()
        self._gates.append(gate)
        self._add(at, gate.hold)
        return gate

    def drop_connection(self, at: Point = Point.ARRIVED) -> Self:
        """End all connections instead of answering; whoever connects again is served."""

        def drop(context: Context) -> None:
            ended = threading.Event()
            if context.add_callback(ended.set):
                threading.Thread(target=self._drop, daemon=True).start()
                ended.wait(DEADLINE_SECONDS)
            _abort(context, grpc.StatusCode.UNAVAILABLE, "the connection was dropped")

        return self._add(at, drop)

    def answer(self, response: Message) -> Self:
        """Answer this without reading or doing anything: `RemoveImageResponse()` removes nothing."""
        self.response = response
        return self

    def ask_about(self, subject: str) -> Self:
        """Answer about another image, container or sandbox."""
        self.subject_instead = subject
        return self

    def act(self, point: Point, context: Context) -> None:
        """Carry out what was ordered for a point."""
        for action in self.actions[point]:
            action(context)

    def claim(self, method: str, subject: str) -> bool:
        """Whether a call is one of these; it counts as one."""
        if self.method != method or not self._concerns(subject):
            return False
        self.after -= 1
        if self.after >= 0 or self.times == 0:
            return False
        self.times = None if self.times is None else self.times - 1
        return True

    def release(self) -> None:
        """Let all go on that hang or wait here."""
        self._closing.set()
        for gate in self._gates:
            gate.release()

    def _concerns(self, subject: str) -> bool:
        if callable(self.subject):
            return self.subject(subject)
        return self.subject in {None, subject}

    def _add(self, point: Point, action: Action) -> Self:
        self.actions[point].append(action)
        return self


class Faults:
    """The orders of one runtime."""

    def __init__(self, drop: Callable[[], None]) -> None:
        self._drop = drop
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def when(self, method: str, *, subject: Subject = None, times: int | None = None, after: int = 0) -> Fault:
        """Order something for calls of a method: about some subjects, only so many, after so many that are spared."""
        fault = Fault(method, subject, times, after, _drop=self._drop)
        with self._lock:
            self._faults.append(fault)
        return fault

    def claim(self, method: str, subject: str) -> list[Fault]:
        """What was ordered for a call that has come."""
        with self._lock:
            return [fault for fault in self._faults if fault.claim(method, subject)]

    def clear(self) -> None:
        """Withdraw all orders, and let go on what hangs."""
        with self._lock:
            faults, self._faults = self._faults, []
        for fault in faults:
            fault.release()


def _abort(context: Context, code: grpc.StatusCode, details: str) -> NoReturn:
    context.abort(code, details)
    raise AssertionError


def _ignore(_result: Any) -> None:
    pass
