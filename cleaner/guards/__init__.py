"""Outside reasons to keep an image; each is asked only where the configuration says so.

Refuses to be needed: what a guard cannot find out keeps the image.
"""
