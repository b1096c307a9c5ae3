"""A server of the request figures: ``python -m benchmarks.server STACK DIRECTORY PORT``."""

import sys
from pathlib import Path

import uvicorn

from benchmarks.shop import build

if __name__ == "__main__":
    stack, directory, port = sys.argv[1:]
    app = build(stack, Path(directory))
    uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="error", access_log=False)
