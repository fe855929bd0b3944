"""A key that somebody found where it should not be: revoked, and its owner told."""

from sqlalchemy.ext.asyncio import AsyncSession

from auth import metrics
from auth.domain.access import ApiKey
from auth.domain.audit import Actor
from auth.service import session_keys
from auth.service.api_keys import revoke_leaked
from auth.service.limits import Limits
from auth.service.messages import request_message
from contracts.auth import SessionRevoked
from kit.clock import Clock


async def report(session: AsyncSession, text: str, *, actor: Actor, limits: Limits, clock: Clock) -> ApiKey | None:
    """The key, when it is one of ours; its owner is told once."""
    await limits.take_leak_report(session, network=actor.network or "unknown", now=clock.now())
    key, is_new = await revoke_leaked(session, text, actor=actor, clock=clock)
    if key is not None and is_new:
        metrics.KEYS_LEAKED.inc()
        await request_message(session, "key-leaked", user_id=key.user_id, subject_id=key.id, clock=clock)
    return key


async def report_session_key(
    session: AsyncSession, text: str, *, actor: Actor, limits: Limits, clock: Clock
) -> tuple[bool, list[SessionRevoked]]:
    """Whether it is a session key of ours, and what has ended with it; its owner is told once."""
    await limits.take_leak_report(session, network=actor.network or "unknown", now=clock.now())
    owner = await session_keys.find_owner(session, text)
    ended = await session_keys.end_by_key(session, text, by=actor, clock=clock)
    if owner is not None and ended:
        metrics.KEYS_LEAKED.inc()
        await request_message(session, "key-leaked", user_id=owner.user_id, subject_id=owner.id, clock=clock)
    return owner is not None, ended
