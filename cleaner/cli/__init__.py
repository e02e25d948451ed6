"""The command line: arguments and environment -> configuration -> wired objects -> exit status.

Start at `main.py`; `wiring.py` builds the parts. It must not decide anything about images.
"""
