"""Signing keys change while tokens are made and checked everywhere, and no call fails."""

import asyncio
from datetime import timedelta

import jwt

from auth.adapters.sealing import Sealer
from auth.service import keys
from kit.tokens import JwksClient, TokenVerifier

CLIENTS = 8
STEPS = 60
STEP_S = 30


async def test_keys_rotate_under_load_and_no_service_refuses_a_token(running):
    """Half an hour and a rotation in it: eight clients refresh, three services check what they got and had before.

    The services' key sets are of different ages, as those of processes that started at different times.
    """
    async with running() as auth:
        sealer, failed, seen = Sealer(auth.settings.encryption_key), [], set()
        clients = [await auth.signed_in() for _ in range(CLIENTS)]
        services = []

        async def call(place: int, service: TokenVerifier) -> None:
            before = clients[place]
            answer = await auth.refresh(before["refresh_token"])
            if answer.status_code != 200:
                failed.append(answer.text)
                return
            clients[place] = answer.json()
            seen.add(jwt.get_unverified_header(clients[place]["access_token"])["kid"])
            for token in (before["access_token"], clients[place]["access_token"]):
                await service.caller(token)

        for step in range(STEPS):
            if step < 3:
                key_set = JwksClient("http://auth/auth/jwks.json", http=auth.http, clock=auth.clock)
                services.append(TokenVerifier(key_set, issuer=auth.settings.public_url, clock=auth.clock, cached=0))
            if step == STEPS // 4:
                async with auth.database.transaction() as session:
                    await keys.rotate_key(session, sealer, now=auth.clock.now())
            async with auth.database.transaction() as session:
                await keys.rotate_if_due(session, sealer, after=timedelta(days=1), now=auth.clock.now())
            await asyncio.gather(*(call(place, services[place % len(services)]) for place in range(CLIENTS)))
            auth.clock.advance(STEP_S)

        assert failed == []
        assert len(seen) == 2
