"""Figures on a real containerd, for the README and for comparing versions; `make bench` runs them."""
