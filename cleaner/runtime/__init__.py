"""The container runtime behind its socket: CRI, and containerd's own API for what CRI does not tell.

Refuses to decide anything, and to let a gRPC error out: what leaves here are `core`'s values and errors.
"""

import os

# gRPC's core writes to stderr past every log, unless it is told not to before its import.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

from cleaner.runtime.client import CriRuntime
from cleaner.runtime.endpoint import Endpoint, diagnose_endpoint, parse_endpoint

__all__ = ["CriRuntime", "Endpoint", "diagnose_endpoint", "parse_endpoint"]
