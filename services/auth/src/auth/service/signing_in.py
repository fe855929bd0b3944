"""Signing in with a password, in two transactions: none is open while argon2 works."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from auth.adapters.passwords import Verdict
from auth.adapters.signing import TokenSigner
from auth.errors import WrongCredentialsError
from auth.repository import accounts, users
from auth.service.limits import Limits
from auth.service.sessions import SignedIn, open_session
from kit.clock import Clock


@dataclass(frozen=True, slots=True)
class Attempt:
    """A sign-in that is under way; user and hash are None for an unknown address, which must cost the same."""

    address: str
    network: str
    user_id: UUID | None
    password_hash: str | None


async def begin_sign_in(session: AsyncSession, address: str, *, network: str, limits: Limits, now: datetime) -> Attempt:
    """Count the attempt and find what the password is to be compared with."""
    await limits.count_sign_in(session, address=address, network=network, now=now)
    user = await users.find_user_by_address(session, address)
    if user is None or user.state != "active":
        return Attempt(address, network, None, None)
    return Attempt(address, network, user.id, await users.find_password_hash(session, user.id))


async def finish_sign_in(
    session: AsyncSession,
    attempt: Attempt,
    verdict: Verdict,
    *,
    device: str,
    limits: Limits,
    signer: TokenSigner,
    clock: Clock,
) -> SignedIn:
    """Open a session when the password was right; one answer for everything that was not."""
    if attempt.user_id is None or attempt.password_hash is None or not verdict.right:
        raise WrongCredentialsError("Address or password is wrong.")
    account_id = await accounts.find_home(session, attempt.user_id)
    if account_id is None:
        raise WrongCredentialsError("Address or password is wrong.")
    if verdict.renewed is not None:
        await users.replace_password_hash(session, attempt.user_id, old=attempt.password_hash, new=verdict.renewed)
    await limits.refund_sign_in(session, address=attempt.address, network=attempt.network)
    return await open_session(
        session,
        user_id=attempt.user_id,
        account_id=account_id,
        device=device,
        network=attempt.network,
        signer=signer,
        clock=clock,
    )
