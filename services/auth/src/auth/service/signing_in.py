"""Signing in with a password, in two transactions: none is open while argon2 works."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from auth import metrics
from auth.adapters.passwords import Verdict
from auth.adapters.signing import TokenSigner
from auth.errors import WrongCredentialsError
from auth.repository import accounts, users
from auth.service.limits import Limits
from auth.service.second_factors import SecondFactors
from auth.service.sessions import SignedIn, open_session
from kit import logging
from kit.clock import Clock

log = logging.get(__name__)


@dataclass(frozen=True, slots=True)
class Attempt:
    """A sign-in that is under way; user and hash are None for an unknown address, which must cost the same."""

    address: str
    network: str
    user_id: UUID | None
    password_hash: str | None


@dataclass(frozen=True, slots=True)
class CodeRefused:
    """The password was right, the code is missing or wrong; what was counted must be committed."""

    needed: bool


async def begin_sign_in(session: AsyncSession, address: str, *, network: str, limits: Limits, now: datetime) -> Attempt:
    """Count the attempt and find what the password is to be compared with."""
    await limits.count_sign_in(session, address=address, network=network, now=now)
    found = await users.find_credentials(session, address_normal=address)
    if found is None or found.state != "active":
        return Attempt(address, network, None, None)
    return Attempt(address, network, found.user_id, found.password_hash)


async def finish_sign_in(
    session: AsyncSession,
    attempt: Attempt,
    verdict: Verdict,
    *,
    device: str,
    code: str | None,
    second_factors: SecondFactors,
    signer: TokenSigner,
    clock: Clock,
) -> SignedIn | CodeRefused:
    """Open a session when the password was right; one answer for everything that was not."""
    if attempt.user_id is None or attempt.password_hash is None or not verdict.right:
        raise _refused(attempt, "wrong_credentials")
    account_id = await accounts.find_home(session, attempt.user_id)
    if account_id is None:
        raise _refused(attempt, "no_account")
    if verdict.renewed is not None:
        await users.replace_password_hash(session, attempt.user_id, old=attempt.password_hash, new=verdict.renewed)
    outcome = await second_factors.judge(session, attempt.user_id, code, clock=clock)
    if outcome != "wrong":
        await second_factors.limits.refund_sign_in(session, address=attempt.address, network=attempt.network)
    if outcome != "passed":
        _refused(attempt, f"code_{outcome}")
        return CodeRefused(needed=outcome == "needed")
    metrics.SIGN_INS.labels("opened").inc()
    return await open_session(
        session,
        user_id=attempt.user_id,
        account_id=account_id,
        device=device,
        network=attempt.network,
        way="password",
        signer=signer,
        clock=clock,
    )


def _refused(attempt: Attempt, outcome: str) -> WrongCredentialsError:
    """Counted and logged by user, when there is one; what the answer says is the same for all."""
    metrics.SIGN_INS.labels(outcome).inc()
    log.info("auth.sign_in_refused", user_id=str(attempt.user_id) if attempt.user_id else None, outcome=outcome)
    return WrongCredentialsError("Address or password is wrong.")
