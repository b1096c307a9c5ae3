"""The figures of the design, measured side by side: ``python -m benchmarks``."""
