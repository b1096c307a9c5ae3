# mypy: ignore-errors
import importlib
from pathlib import Path

from fastapi import FastAPI

app = FastAPI()
for file in sorted(Path(__file__).parent.glob("aw*.py")):
    module = importlib.import_module(file.stem)
    if hasattr(module, "router"):
        app.include_router(module.router, prefix=f"/{file.stem}")
    if hasattr(module, "install"):
        module.install(app)
