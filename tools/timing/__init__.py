"""Tells how long the steps of `make test` took, and which tests were the slowest.

It refuses to judge: a slow machine fails nothing.
"""
