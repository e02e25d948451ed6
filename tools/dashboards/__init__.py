"""`make dashboards`: the boards in Python, written to dashboards/ as JSON for Grafana.

The JSON is committed, so importing a board needs no Python. A test fails when the JSON is stale.
"""
