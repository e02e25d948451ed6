"""Calls to a runtime: the table of methods, deadlines, retries of reads, and errors.

Start at `calls.py`. It must not know what a call is for.
"""

from cleaner.runtime.rpc import methods
from cleaner.runtime.rpc.calls import Calls, ContainerdApi, MissingApiError, ObserveCall, observe_nothing
from cleaner.runtime.rpc.channel import Channels
from cleaner.runtime.rpc.endpoint import Endpoint, parse_endpoint
from cleaner.runtime.rpc.failures import CallRejectedError, NotServingError, require_answer_about
from cleaner.runtime.rpc.methods import (
    CONTENT_INFO,
    CRI_NAMESPACE,
    DEADLINES,
    GET_RECORD,
    LIST_OWN_CONTAINERS,
    LIST_RECORDS,
    READ_CONTENT,
    SNAPSHOT_USAGE,
    STREAM_OWN_CONTAINERS,
    SUBSCRIBE,
    Socket,
    Span,
)
from cleaner.runtime.rpc.missing_service import ServiceMissingError
from cleaner.runtime.rpc.reachability import diagnose_endpoint, explaining, require_listener
from cleaner.runtime.rpc.server_stream import ServerStream, connect

__all__ = [
    "CONTENT_INFO",
    "CRI_NAMESPACE",
    "DEADLINES",
    "GET_RECORD",
    "LIST_OWN_CONTAINERS",
    "LIST_RECORDS",
    "READ_CONTENT",
    "SNAPSHOT_USAGE",
    "STREAM_OWN_CONTAINERS",
    "SUBSCRIBE",
    "CallRejectedError",
    "Calls",
    "Channels",
    "ContainerdApi",
    "Endpoint",
    "MissingApiError",
    "NotServingError",
    "ObserveCall",
    "ServerStream",
    "ServiceMissingError",
    "Socket",
    "Span",
    "connect",
    "diagnose_endpoint",
    "explaining",
    "methods",
    "observe_nothing",
    "parse_endpoint",
    "require_answer_about",
    "require_listener",
]
