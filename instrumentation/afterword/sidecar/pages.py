"""Serves the live page: ``/`` and the files below ``/static/``, and of the package nothing else."""

from typing import Final

from fastapi import FastAPI, HTTPException
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from starlette.responses import Response
from starlette.types import Scope

from afterword.sidecar import page

_SUFFIXES: Final = (".js", ".css", ".svg", ".txt")


class _Files(StaticFiles):
    async def get_response(self, path: str, scope: Scope) -> Response:
        """A file of the page; what else lies there is none."""
        if not path.endswith(_SUFFIXES):
            raise HTTPException(404)
        return await super().get_response(path, scope)


def add(app: FastAPI) -> None:
    """Serve the page from ``app``."""

    @app.api_route("/", methods=["GET", "HEAD"], include_in_schema=False)
    async def index() -> FileResponse:
        """The page."""
        return FileResponse(page.DIRECTORY / "index.html", media_type="text/html; charset=utf-8")

    app.mount("/static", _Files(directory=page.DIRECTORY), name="static")
