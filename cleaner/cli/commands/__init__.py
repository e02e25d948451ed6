"""The commands, a module each: `execute(arguments, environ)` returns the exit status.

A command imports only what it uses: `history` loads no runtime, and `run` loads no tables. Start at `plan.py`.
"""
