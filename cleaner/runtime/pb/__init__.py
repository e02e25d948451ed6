"""Generated messages of the two APIs that a container runtime may serve, from the `.proto` files beside this one.

Refuses edits by hand, and fields that nobody reads: protobuf skips what it does not know.
"""
