"""Changing and resetting passwords. Argon2 runs between two transactions, never inside one."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from auth.adapters.passwords import Verdict
from auth.domain.audit import Acting, Actor
from auth.errors import LinkUsedError, WrongPasswordError
from auth.repository import messages, users
from auth.service import audit, sessions
from auth.service.limits import Limits
from auth.service.messages import mark_verified, request_message, token_hash, use_link
from auth.service.permissions import refuse_programs
from auth.service.second_factors import Outcome, SecondFactors
from auth.service.signing_in import Attempt
from contracts.auth import SessionRevoked
from kit.clock import Clock


@dataclass(frozen=True, slots=True)
class ResetLink:
    """Whose password a link would set."""

    user_id: UUID
    address_normal: str


async def request_reset(session: AsyncSession, address_normal: str, *, limits: Limits, clock: Clock) -> None:
    """Ask for the mail when there is such a user; who asks does not learn that."""
    # Counted for every address alike, so that the counter tells no more than the answer.
    if await limits.wait_for_mail_s(session, address=address_normal, purpose="reset", now=clock.now()):
        return
    user = await users.find_user_by_address(session, address_normal)
    if user is not None and user.state == "active":
        await request_message(session, "reset-password", user_id=user.id, clock=clock)


async def peek_reset(session: AsyncSession, token: str, *, now: datetime) -> ResetLink:
    """Whose link this is, before anything costly is done for it."""
    message = await messages.find_link(session, token_hash(token), kind="reset-password", now=now)
    if message is None or message.user_id is None:
        raise LinkUsedError("This link was used already, or it has expired.")
    user = await users.get_user(session, message.user_id)
    return ResetLink(user.id, user.address_normal)


async def reset_password(
    session: AsyncSession, token: str, *, password_hash: str, network: str, clock: Clock
) -> list[SessionRevoked]:
    """Set the password, end every session. The link also proves the address."""
    now = clock.now()
    # The user first, then the links: two links of one user would else wait for each other.
    user = await users.lock_user(session, (await peek_reset(session, token, now=now)).user_id)
    await use_link(session, token, kinds=("reset-password",), now=now)
    if user.state != "active":
        raise LinkUsedError("This link was used already, or it has expired.")
    await mark_verified(session, user.id, now=now)
    actor = Actor(kind="user", user_id=user.id, network=network)
    await audit.record(session, "password.reset", by=actor, target=("user", user.id), clock=clock)
    await _replace(session, user.id, password_hash=password_hash, clock=clock)
    return await sessions.end_all_sessions(session, user.id, now=now, reason="password")


async def change_password(
    session: AsyncSession, acting: Acting, *, password_hash: str, clock: Clock
) -> list[SessionRevoked]:
    """Set the password of a user who has just proved the old one; every other session ends."""
    await audit.record(session, "password.changed", by=acting.actor, target=("user", acting.user_id), clock=clock)
    await _replace(session, acting.user_id, password_hash=password_hash, clock=clock)
    return await sessions.end_all_sessions(
        session, acting.user_id, now=clock.now(), reason="password", but=acting.session_id
    )


async def _replace(session: AsyncSession, user_id: UUID, *, password_hash: str, clock: Clock) -> None:
    await users.upsert_password(session, user_id, password_hash=password_hash, now=clock.now())
    await messages.use_up_links(session, user_id, kind="reset-password", now=clock.now())
    await request_message(session, "password-changed", user_id=user_id, clock=clock)


async def begin_proof(session: AsyncSession, acting: Acting, *, limits: Limits, now: datetime) -> Attempt:
    """Count an attempt to prove the password once more, and find what it is compared with."""
    refuse_programs(acting)
    found = await users.find_credentials(session, user_id=acting.user_id)
    if found is None or found.state != "active":
        raise WrongPasswordError("The password is wrong.", field="password")
    await limits.count_sign_in(session, address=found.address_normal, network=acting.network, now=now)
    return Attempt(found.address_normal, acting.network, found.user_id, found.password_hash)


async def finish_proof(
    session: AsyncSession,
    attempt: Attempt,
    verdict: Verdict,
    code: str | None,
    *,
    second_factors: SecondFactors,
    clock: Clock,
) -> Outcome:
    """Raises `WrongPasswordError`; what else comes out, the caller commits and then tells."""
    if not verdict.right or attempt.user_id is None:
        raise WrongPasswordError("The password is wrong.", field="password")
    outcome = await second_factors.judge(session, attempt.user_id, code, clock=clock)
    if outcome != "wrong":
        await second_factors.limits.refund_sign_in(session, address=attempt.address, network=attempt.network)
    return outcome
