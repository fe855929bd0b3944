"""Programs on devices without a browser: they wait with a code until their user says yes somewhere else (RFC 8628)."""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from auth.domain.audit import Acting
from auth.domain.clients import Client
from auth.domain.grants import DEVICE_S, INTERVAL_S, DeviceCode, hash_of, new_secret, new_user_code, plain_user_code
from auth.errors import OAuthError
from auth.repository import grants
from auth.service import audit
from auth.service.limits import Limits
from auth.service.oauth.clients import Programs
from auth.service.oauth.consents import record_consent
from kit.clock import Clock

DEVICE_PREFIX: Final = "fgd_"


@dataclass(frozen=True, slots=True)
class Waiting:
    """A program that waits, for its user to look at."""

    device: DeviceCode
    client: Client


async def begin(
    session: AsyncSession, client: Client, asked_scope: str, *, network: str, limits: Limits, clock: Clock
) -> tuple[DeviceCode, str]:
    """A program begins to wait: its row, and the code that it polls with."""
    scope = client.granted(asked_scope)
    if scope is None:
        raise OAuthError("invalid_scope", f"This program may ask for: {' '.join(client.scopes)}.")
    now, code = clock.now(), new_secret(DEVICE_PREFIX)
    await limits.take_device(session, network=network, now=now)
    device = DeviceCode(
        code_hash=hash_of(code),
        user_code=new_user_code(),
        client_id=client.id,
        scope=scope,
        asked_from=network,
        state="waiting",
        user_id=None,
        account_id=None,
        interval_s=INTERVAL_S,
        polled_at=None,
        expires_at=now + timedelta(seconds=DEVICE_S),
        session_id=None,
    )
    while not await grants.insert_device(session, device):
        device = replace(device, user_code=new_user_code())
    return device, code


async def look(
    session: AsyncSession, acting: Acting, user_code: str, *, known: Programs, limits: Limits, clock: Clock
) -> Waiting | None:
    """What waits under a code; None, with the guess counted, when nothing does."""
    await limits.count_user_code(session, user_id=acting.user_id, now=clock.now())
    device = await grants.find_waiting(session, plain_user_code(user_code), now=clock.now())
    client = None if device is None else await known.find(session, device.client_id)
    if device is None or client is None:
        return None
    await limits.refund_user_code(session, user_id=acting.user_id)
    return Waiting(device, client)


async def decide(
    session: AsyncSession,
    acting: Acting,
    user_code: str,
    *,
    account_id: UUID | None,
    known: Programs,
    limits: Limits,
    clock: Clock,
) -> Client | None:
    """Allow the program to work in one of the user's accounts, or deny it with None for the account.

    None when nothing waits under this code any more; the guess is counted then.
    """
    found = await look(session, acting, user_code, known=known, limits=limits, clock=clock)
    device = None
    if found is not None:
        device = await grants.find_waiting(session, found.device.user_code, now=clock.now(), lock=True)
    if found is None or device is None:
        return None
    if account_id is None:
        await grants.update_device(session, device.code_hash, state="denied")
        await _denied(session, acting, found.client, clock=clock)
    else:
        await record_consent(session, acting, found.client, device.scope, account_id=account_id, clock=clock)
        await grants.update_device(
            session, device.code_hash, state="allowed", user_id=acting.user_id, account_id=account_id
        )
    return found.client


async def _denied(session: AsyncSession, acting: Acting, client: Client, *, clock: Clock) -> None:
    await audit.record(
        session,
        "program.denied",
        by=acting.actor,
        target=("user", acting.user_id),
        clock=clock,
        change=(None, {"program": client.id}),
    )
