"""The container runtime behind its socket: CRI, and containerd's own API for what CRI does not tell.

Start at `client.py`. It must not choose an image, and no gRPC error leaves it: callers get values and errors of `core`.
"""

import os

# gRPC's core writes to stderr past every log, unless it is told not to before its import.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

from cleaner.runtime.client import CriRuntime
from cleaner.runtime.crio import CRIO
from cleaner.runtime.rpc import (
    Endpoint,
    ObserveCall,
    ServiceMissingError,
    diagnose_endpoint,
    parse_endpoint,
    require_listener,
)

__all__ = [
    "CRIO",
    "CriRuntime",
    "Endpoint",
    "ObserveCall",
    "ServiceMissingError",
    "diagnose_endpoint",
    "parse_endpoint",
    "require_listener",
]
