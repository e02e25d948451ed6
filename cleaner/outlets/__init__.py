"""Where events go: metrics, log lines, JSON documents, tables. Refuses to decide: an outlet changes nothing."""
