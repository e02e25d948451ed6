"""`make metrics`: docs/metrics.md, from the registry of the daemon and the words of template.md.

It refuses what is not exposed: names, types, labels and meanings are the code's; a test says when the page is stale.
"""
