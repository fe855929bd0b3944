"""Tokens between services are got once for all who need one, and asked for anew before they end."""

import asyncio

import httpx2
import pytest

from kit.clock import ManualClock
from kit.errors import UnavailableError
from kit.identity import ServiceTokens


class Auth:
    def __init__(self) -> None:
        self.asked = 0
        self.away = False

    async def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.asked += 1
        await asyncio.sleep(0.01)
        if self.away:
            raise httpx2.ConnectError("nobody listens")
        return httpx2.Response(200, json={"access_token": f"token-{self.asked}", "expires_in": 300})


async def test_a_crowd_shares_one_question_whether_it_is_answered_or_not() -> None:
    auth, clock = Auth(), ManualClock()
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(auth)) as http:
        tokens = ServiceTokens(service="gateway", secret="s", auth_url="http://auth", http=http, clock=clock)
        auth.away = True
        failed = await asyncio.gather(*(tokens.headers("auth") for _ in range(20)), return_exceptions=True)
        assert {type(one) for one in failed} == {UnavailableError}
        assert auth.asked == 1

        auth.away = False
        got = await asyncio.gather(*(tokens.headers("auth") for _ in range(20)))
        assert {one["authorization"] for one in got} == {"Bearer token-2"}
        assert await tokens.headers("ledger") == {"authorization": "Bearer token-3"}

        clock.advance(241)
        auth.away = True
        with pytest.raises(UnavailableError):
            await tokens.headers("auth")


async def test_a_caller_who_leaves_does_not_fail_the_others() -> None:
    auth, clock = Auth(), ManualClock()
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(auth)) as http:
        tokens = ServiceTokens(service="gateway", secret="s", auth_url="http://auth", http=http, clock=clock)
        first, second = asyncio.create_task(tokens.headers("auth")), asyncio.create_task(tokens.headers("auth"))
        await asyncio.sleep(0)
        first.cancel()
        assert await second == {"authorization": "Bearer token-1"}
