"""What users allowed programs: remembered, listed, taken back."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from auth.domain.audit import Acting
from auth.domain.clients import SCOPES, Client
from auth.domain.grants import Consent
from auth.errors import UnknownAccountError, UnknownConsentError
from auth.repository import accounts, programs
from auth.service import audit
from auth.service.sessions import end_program_sessions
from contracts.auth import SessionRevoked
from kit.clock import Clock


async def record_consent(
    session: AsyncSession, acting: Acting, client: Client, scope: str, *, account_id: UUID, clock: Clock
) -> None:
    """Remember it, with what was allowed before; raises `UnknownAccountError` for an account that is not theirs."""
    if await accounts.find_access(session, user_id=acting.user_id, account_id=account_id) is None:
        raise UnknownAccountError("You have no such account.", field="account_id")
    known = await programs.find_consent(session, acting.user_id, client.id)
    both = {*scope.split(), *(known.scope.split() if known else ())}
    kept = " ".join(one for one in SCOPES if one in both)
    await programs.upsert_consent(session, Consent(acting.user_id, client.id, client.name, kept, clock.now()))
    await audit.record(
        session,
        "program.allowed",
        by=acting.actor,
        target=("user", acting.user_id),
        account_id=account_id,
        clock=clock,
        change=(None, {"program": client.id, "scope": scope}),
    )


async def list_consents(session: AsyncSession, user_id: UUID) -> list[Consent]:
    return await programs.list_consents(session, user_id)


async def revoke_consent(
    session: AsyncSession, acting: Acting, client_id: str, *, clock: Clock
) -> list[SessionRevoked]:
    """Forget the consent and end everything that the program holds of this user."""
    if not await programs.delete_consent(session, acting.user_id, client_id):
        raise UnknownConsentError("You have allowed no such program.")
    await audit.record(
        session,
        "program.disallowed",
        by=acting.actor,
        target=("user", acting.user_id),
        clock=clock,
        change=({"program": client_id}, None),
    )
    return await end_program_sessions(session, acting.user_id, client_id, now=clock.now())
