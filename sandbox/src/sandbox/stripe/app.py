"""Composition: the API, the controls, the pay page and the courier around one store."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from kit.clock import Clock
from sandbox.outside import serving
from sandbox.stripe import API_VERSION
from sandbox.stripe.api import Api
from sandbox.stripe.controls import control_routes
from sandbox.stripe.hosted import hosted_routes
from sandbox.stripe.page_frame import framed
from sandbox.stripe.pages import page_routes
from sandbox.stripe.passing import pass_time
from sandbox.stripe.settings import HOST, Settings
from sandbox.stripe.store import Store
from sandbox.stripe.webhooks import Courier
from sandbox.stripe.workshop import Workshop

ALL_METHODS = ["GET", "POST", "DELETE", "PUT", "PATCH"]
LOOK_EVERY_S = 1
STATE_FILE = "stripe.sqlite3"


@contextlib.asynccontextmanager
async def running_stripe(
    settings: Settings, *, clock: Clock, couriers: Clock | None = None, port: int = 0
) -> AsyncIterator[str]:
    """Serve the stand-in on the running loop and yield its address; port 0 takes a free one.

    `couriers` is the receivers' time, which signatures carry; the machine's when nothing is said.
    """
    with contextlib.closing(Store(_state_path(settings.state_folder))) as store:
        courier = Courier(store, settings=settings, clock=couriers)
        workshop = Workshop(store, clock=clock, changed=courier.wake)
        api = Api(store, settings=settings, clock=clock, changed=courier.wake)
        if settings.webhook_url:
            with workshop.opened() as work:
                work.switches.set("webhook_url", settings.webhook_url)
        async with _background(courier.run(), _pass_forever(workshop)) as tasks:
            app = _app(api, workshop, tasks=tasks)
            async with serving(app, host=HOST, port=port) as base_url:
                workshop.base_url = (settings.public_url or base_url).rstrip("/")
                yield base_url


@contextlib.asynccontextmanager
async def _background(*work: Coroutine[Any, Any, None]) -> AsyncIterator[list[asyncio.Task[None]]]:
    tasks = [asyncio.create_task(one) for one in work]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _app(api: Api, workshop: Workshop, *, tasks: list[asyncio.Task[None]]) -> Starlette:
    async def live(request: Request) -> Response:
        problems = [repr(task.exception()) for task in tasks if task.done() and not task.cancelled()]
        status = "failed" if problems else "live"
        return JSONResponse({"status": status, "problems": problems}, status_code=503 if problems else 200)

    return Starlette(
        routes=[
            Route("/health/live", live),
            Route("/", _front_page),
            *page_routes(workshop),
            *hosted_routes(workshop),
            *control_routes(workshop, api.seen),
            *(Route(f"/{version}/{{path:path}}", api.__call__, methods=ALL_METHODS) for version in ("v1", "v2")),
        ]
    )


def _state_path(folder: Path | None) -> Path | None:
    if folder is None:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    return folder / STATE_FILE


async def _pass_forever(workshop: Workshop) -> None:
    while True:
        with workshop.opened() as work:
            pass_time(work, until=work.now)
        await asyncio.sleep(LOOK_EVERY_S)


async def _front_page(request: Request) -> Response:
    told = f"<p>A stand-in for the part of Stripe's API ({API_VERSION}) that billing calls. It answers under /v1.</p>"
    return HTMLResponse(framed("Stripe stand-in", told))
