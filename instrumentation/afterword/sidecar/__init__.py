"""The sidecar: one process beside the application that sees its deaths and answers for its books."""
