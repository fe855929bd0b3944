"""Exchanging a refresh token: shared by the JSON route, programs, pages and their scripts."""

from auth.entrypoints.parts import Parts, forget_sessions
from auth.service.sessions import Refreshing, Refused, SignedIn


async def refresh(parts: Parts, token: str, *, client_id: str | None = None) -> SignedIn | Refused:
    """The storm of one client waits for itself; what a reuse has ended is committed and forgotten here."""
    asked = Refreshing(
        token=token,
        client_id=client_id,
        keyed=parts.refresh_keyed,
        signer=await parts.ring.signer(),
        clock=parts.clock,
    )
    async with parts.refreshing.lock(token):
        async with parts.database.statement() as session:
            rotated = await asked.rotate(session)
        if rotated is not None:
            return rotated
        async with parts.database.transaction() as session:
            outcome = await asked.refresh(session)
    if isinstance(outcome, Refused):
        forget_sessions(parts, outcome.ended)
    return outcome
