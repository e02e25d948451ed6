"""Evicts the oldest unused container images of a Kubernetes node before its disk is full."""
