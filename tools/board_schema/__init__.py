"""Makes the JSON schema that the boards are held to, from Grafana's own types.

It refuses panel types that board.ts does not name: whoever uses another one adds it there.
"""
