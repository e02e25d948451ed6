"""The decisions: values in, values out. Pure: no I/O, clock, logging, network or randomness.

Start at `policy.py` (why an image is kept or evicted) and `model.py` (the values). Each module is imported directly.
"""
