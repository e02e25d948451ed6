"""`make metrics`: docs/metrics.md, from the registry of the daemon and the words of template.md.

It lists only what is exposed: names, types, labels and meanings are the code's. A test says when the page is stale.
"""
