"""Makes the JSON schema that the boards are held to, from Grafana's own types.

A panel type that board.ts does not name is an error: whoever uses another one adds it there.
"""
