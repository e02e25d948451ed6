"""Compares golden files across the renames of docs/renames.md; deleted with that page."""
