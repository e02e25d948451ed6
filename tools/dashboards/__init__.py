"""`make dashboards`: the boards of dashboards/ as Python, written out as the JSON that Grafana takes.

It refuses to be needed by whoever imports a board: the JSON is committed, and a test says when it is stale.
"""
