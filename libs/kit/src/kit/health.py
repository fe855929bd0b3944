"""Health and metrics routes: live is the process, ready is what it depends on."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from kit.metrics import registry

Check = Callable[[], Awaitable[None]]
CHECK_TIMEOUT_S: Final = 3.0


class Health:
    """Named checks; each raises with the reason when it fails. Liveness must not check dependencies.

    Without `has_metrics` no `/metrics` is served here, because it has an address of its own.
    """

    def __init__(
        self,
        *,
        live: Mapping[str, Check] | None = None,
        ready: Mapping[str, Check] | None = None,
        has_metrics: bool = True,
    ) -> None:
        self.live = dict(live or {})
        self.ready = dict(ready or {})
        self.has_metrics = has_metrics

    def router(self) -> APIRouter:
        router = APIRouter(tags=["health"])

        @router.get("/health/live", summary="The process works")
        async def live() -> Response:
            return await _answer(self.live)

        @router.get("/health/ready", summary="What it depends on answers")
        async def ready() -> Response:
            return await _answer(self.ready)

        if self.has_metrics:
            router.add_api_route("/metrics", _metrics, include_in_schema=False)
        return router


async def _metrics() -> Response:
    return Response(generate_latest(registry()), media_type=CONTENT_TYPE_LATEST)


async def _answer(checks: Mapping[str, Check]) -> Response:
    names = list(checks)
    reasons = dict(zip(names, await asyncio.gather(*(_reason(checks[name]) for name in names)), strict=True))
    failing = {name: reason for name, reason in reasons.items() if reason}
    return JSONResponse({"status": "failing" if failing else "ok", "failing": failing}, 503 if failing else 200)


async def _reason(check: Check) -> str | None:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            await check()
    except TimeoutError:
        return f"no answer within {CHECK_TIMEOUT_S:.0f} s"
    except Exception as error:  # noqa: BLE001  # whatever a dependency throws is the reason
        return f"{type(error).__name__}: {error}" if isinstance(error, RuntimeError) else type(error).__name__
    return None
