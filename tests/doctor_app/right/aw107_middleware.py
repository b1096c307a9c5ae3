# mypy: ignore-errors
from starlette.middleware.gzip import GZipMiddleware


class Timing:
    def __init__(self, app) -> None:
        self.app = app

    async def __call__(self, scope, receive, send):
        await self.app(scope, receive, send)


def install(app) -> None:
    app.add_middleware(Timing)
    app.add_middleware(GZipMiddleware)
