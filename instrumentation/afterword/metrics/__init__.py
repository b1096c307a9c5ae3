"""The books as Prometheus metrics: a projection, never a second count."""
