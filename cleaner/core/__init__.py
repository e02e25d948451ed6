"""The decisions: values in, values out. Pure: no I/O, clock, logging, network or randomness.

Start at `policy.py` (why an image is kept or evicted) and `model.py` (the values). Modules are imported directly,
but for the package `pressure`. It imports nothing of the other packages; what it needs of them is in `ports.py`.
"""
