"""A short token for what needs a fresh proof of who is calling."""

from dataclasses import replace
from typing import Final, Literal

from sqlalchemy.ext.asyncio import AsyncSession

from auth.adapters.signing import Issued, TokenSigner
from auth.domain.audit import Acting
from auth.errors import NoSecondFactorError, RoleError
from auth.repository import accounts, second_factors, sessions
from auth.service import audit
from auth.service.permissions import refuse_programs
from kit.clock import Clock

STEP_UP_S: Final = 300
ProvedBy = Literal["password", "passkey"]


async def step_up(
    session: AsyncSession,
    acting: Acting,
    *,
    proved_by: ProvedBy,
    signer: TokenSigner,
    factor_needed: bool,
    clock: Clock,
) -> Issued:
    """For a session whose user has just proved who it is; operators need a second factor, which a passkey is."""
    refuse_programs(acting)
    access = await accounts.find_access(session, user_id=acting.user_id, account_id=acting.account_id)
    if access is None:
        raise RoleError("You are no longer a member of this account.")
    totp = await second_factors.find_totp(session, acting.user_id)
    lacks_factor = proved_by == "password" and (totp is None or totp.confirmed_at is None)
    if factor_needed and access.operator and lacks_factor:
        raise NoSecondFactorError("Operators need a second factor or a passkey; set one up first.")
    now = clock.now()
    stepped_up = replace(access, session_id=acting.session_id, stepped_up_at=now)
    issued = signer.access_token(stepped_up, now=now, lifetime_s=STEP_UP_S)
    await sessions.update_session_account(
        session, acting.session_id, account_id=acting.account_id, now=now, access_until=issued.expires_at
    )
    proof, target = (None, {"proved_by": proved_by}), ("user", acting.user_id)
    await audit.record(session, "session.stepped_up", by=acting.actor, target=target, clock=clock, change=proof)
    return issued
