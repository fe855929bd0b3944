"""The older clients' paths that call no model: balance, usage, health; `providers` has those of providers."""

import asyncio

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from gateway.entrypoints.alias_reading import AliasReading
from gateway.entrypoints.alias_schemas import AliasBalance, AliasCurrentUsage, AliasHealth, AliasUsage
from gateway.entrypoints.own_api import OwnApi, OwnRoute, errors
from kit.health import Check

BALANCE = "/api/v1/llm/balance"
USAGE = "/api/v1/llm/usage"
CURRENT = "/api/usage/current"
_HEALTH_TIMEOUT_S = 3.0


def build_router(reading: AliasReading, own: OwnApi, *, ready: Check) -> APIRouter:
    """`ready` raises `RuntimeError` while this gateway takes no calls."""
    router = APIRouter(tags=["clients that exist"], route_class=OwnRoute)

    @router.get(
        BALANCE,
        summary="The account's credits",
        operation_id="alias_balance",
        responses=errors(401, 403, 404, 503),
    )
    async def balance(request: Request) -> AliasBalance:
        return await reading.balance(await own.credential(request, route=BALANCE))

    @router.get(
        USAGE,
        summary="Calls, tokens and charges of the current period; role `user` sees its own",
        operation_id="alias_usage",
        responses=errors(401, 403, 404, 503),
    )
    async def usage(request: Request) -> AliasUsage:
        return await reading.usage(await own.credential(request, route=USAGE))

    @router.get(
        CURRENT,
        summary="What is used and what is left in the current period",
        operation_id="alias_current_usage",
        responses=errors(401, 403, 404, 503),
    )
    async def current(request: Request) -> AliasCurrentUsage:
        return await reading.current(await own.credential(request, route=CURRENT))

    @router.get(
        "/api/health",
        summary="Whether calls are taken",
        operation_id="alias_health",
        response_model=AliasHealth,
        responses={503: {"model": AliasHealth, "description": "Not now"}},
    )
    async def health() -> Response:
        try:
            async with asyncio.timeout(_HEALTH_TIMEOUT_S):
                await ready()
        except (RuntimeError, TimeoutError):
            # Which part it is stays inside: anybody may ask.
            return JSONResponse({"status": "unavailable"}, 503, {"retry-after": "1"})
        return JSONResponse({"status": "ok"})

    return router
