"""All that a client's first screen shows in one answer: who is calling, from auth; what there is, from the ledger."""

import asyncio
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import orjson
from fastapi import APIRouter, Request

from gateway.adapters.services import Bounds, Services
from gateway.entrypoints.alias_reading import AliasReading
from gateway.entrypoints.first_screen_schemas import FirstScreen, ScreenPeriod, ScreenUsage
from gateway.errors import ModelApiError
from gateway.identity.credential import Credential
from gateway.identity.credentials import Credentials
from gateway.surfaces.refusals import may_read_balance
from kit import logging
from kit.errors import UnauthenticatedError, UnavailableError
from kit.http import Problem

T = TypeVar("T")

log = logging.get(__name__)

PATHS: Final = ("/me", "/api/auth/me")
PATIENCE_S: Final = 3.0
"""A client waits for its first screen; what has not come by then is named as missing."""
_BOUNDS: Final = Bounds(total_s=10.0, most_bytes=1 << 20)


@dataclass(frozen=True, slots=True)
class Screens:
    """Composes with the caller's own token, so that each service decides what a role may see."""

    services: Services
    auth_url: str
    ledger_url: str
    reading: AliasReading
    patience_s: float = PATIENCE_S

    async def of(self, credential: Credential) -> FirstScreen:
        """Raises `UnavailableError` without auth; without the ledger the answer says what is missing."""
        who, used, stage = await asyncio.gather(
            self._ask(credential, f"{self.auth_url}/auth/me"),
            self._or_none(self.reading.current(credential)),
            self._or_none(self._ask(credential, f"{self.ledger_url}/ledger/onboarding")),
        )
        missing = ["onboarding"] if stage is None else []
        if used is None:
            missing += ["usage", "period", *(["balance"] if may_read_balance(credential.caller) else [])]
        return FirstScreen(
            **{name: who[name] for name in FirstScreen.model_fields if name in who},
            plan=stage["plan"] if stage else (used.plan if used else credential.caller.plan),
            balance=used.balance if used else None,
            usage=ScreenUsage(**{name: getattr(used, name) for name in ScreenUsage.model_fields}) if used else None,
            period=ScreenPeriod(start=used.period_start, end=used.period_end) if used else None,
            onboarding=stage["stage"] if stage else None,
            missing=sorted(missing),
        )

    async def _or_none(self, work: Coroutine[Any, Any, T]) -> T | None:
        """A part that the screen can do without for now."""
        try:
            async with asyncio.timeout(self.patience_s):
                return await work
        except (UnavailableError, ModelApiError, TimeoutError) as error:
            log.warning("gateway.first_screen_incomplete", reason=type(error).__name__)
            return None

    async def _ask(self, credential: Credential, url: str) -> Mapping[str, Any]:
        headers = [(b"authorization", b"Bearer " + credential.access_token.encode()), (b"accept", b"application/json")]
        answer = await self.services.ask("GET", url, headers=headers, body=b"", bounds=_BOUNDS)
        body = b"".join([part async for part in answer.parts()])
        if answer.status == 401:
            raise UnauthenticatedError("This credential is no longer good; sign in again.")
        if answer.status != 200:
            raise UnavailableError("A part of the answer is not to be had; try again.", retry_after_s=2)
        found: Mapping[str, Any] = orjson.loads(body)
        return found


def build_router(screens: Screens, credentials: Credentials) -> APIRouter:
    router = APIRouter(tags=["clients that exist"])

    async def first_screen(request: Request) -> FirstScreen:
        peer = request.client.host if request.client is not None else ""
        credential = await credentials.of(request.headers.raw, peer=peer)
        credential.check(request.url.path)
        return await screens.of(credential)

    for path in PATHS:
        router.add_api_route(
            path,
            first_screen,
            methods=["GET"],
            summary="Who is calling, with plan, balance, usage, period, onboarding: all of a first screen",
            operation_id=f"first_screen{path.replace('/', '_')}",
            responses={status: {"model": Problem} for status in (401, 403, 503)},
        )
    return router
