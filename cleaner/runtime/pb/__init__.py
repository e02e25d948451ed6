"""Generated messages of the two APIs that a container runtime may serve, from the `.proto` files beside this one.

They are written by `make protos`, and hold only the fields that the agent reads: protobuf skips the others.
"""
