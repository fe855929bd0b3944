"""The end of a sign-in whose first proof was something else than a password."""

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from auth import metrics
from auth.adapters.signing import TokenSigner
from auth.domain.audit import Actor
from auth.errors import WrongCredentialsError
from auth.repository import accounts
from auth.service import audit
from auth.service.second_factors import SecondFactors
from auth.service.sessions import SignedIn, open_session
from auth.service.signing_in import CodeRefused
from kit.clock import Clock

Way = Literal["magic-link", "identity", "passkey"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """Who has given the first proof, by which way, and from where."""

    user_id: UUID
    way: Way
    device: str
    network: str


async def finish_arrival(
    session: AsyncSession,
    arrival: Arrival,
    *,
    code: str | None,
    second_factors: SecondFactors,
    signer: TokenSigner,
    clock: Clock,
) -> SignedIn | CodeRefused:
    """Open a session, after the second factor where there is one; a passkey is two factors by itself."""
    account_id = await accounts.find_home(session, arrival.user_id)
    if account_id is None:
        raise WrongCredentialsError("This user cannot sign in.")
    if arrival.way != "passkey":
        outcome = await second_factors.judge(session, arrival.user_id, code, clock=clock)
        if outcome != "passed":
            metrics.SIGN_INS.labels(f"code_{outcome}").inc()
            return CodeRefused(needed=outcome == "needed")
    metrics.SIGN_INS.labels("opened").inc()
    actor, target = Actor(kind="user", user_id=arrival.user_id, network=arrival.network), ("user", arrival.user_id)
    way = (None, {"way": arrival.way})
    await audit.record(session, "user.signed_in", by=actor, target=target, clock=clock, change=way)
    return await open_session(
        session,
        user_id=arrival.user_id,
        account_id=account_id,
        device=arrival.device,
        network=arrival.network,
        way=arrival.way,
        signer=signer,
        clock=clock,
    )
