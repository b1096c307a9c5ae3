# mypy: ignore-errors
from starlette.middleware.base import BaseHTTPMiddleware


class Timing(BaseHTTPMiddleware):
    async def dispatch(self, request, call_next):
        return await call_next(request)


async def stamp(request, call_next):
    return await call_next(request)


def install(app) -> None:
    app.add_middleware(Timing)  # AW107
    app.add_middleware(BaseHTTPMiddleware, dispatch=stamp)  # AW107
