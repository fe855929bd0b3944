"""Programs that operators registered, and what users allowed them."""

from uuid import UUID

from sqlalchemy import delete, insert, select, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncSession

from auth.domain.clients import Client
from auth.domain.grants import Consent
from auth.repository.rows import columns, find, listed, values
from auth.tables import ClientRow, ConsentRow


async def insert_client(session: AsyncSession, client: Client) -> None:
    given = {**values(client), "redirect_uris": list(client.redirect_uris), "scopes": list(client.scopes)}
    await session.execute(insert(ClientRow).values(given))


async def find_client(session: AsyncSession, client_id: str) -> Client | None:
    return await find(session, select(*columns(ClientRow, Client)).where(ClientRow.id == client_id), Client)


async def list_clients(session: AsyncSession, *, before: str | None, limit: int) -> list[Client]:
    """Newest first: ids grow with time."""
    statement = select(*columns(ClientRow, Client))
    if before is not None:
        statement = statement.where(ClientRow.id < before)
    return await listed(session, statement.order_by(ClientRow.id.desc()).limit(limit), Client)


async def update_client(session: AsyncSession, client_id: str, **changed: object) -> Client | None:
    statement = update(ClientRow).where(ClientRow.id == client_id).values(**changed)
    return await find(session, statement.returning(*columns(ClientRow, Client)), Client)


async def find_consent(session: AsyncSession, user_id: UUID, client_id: str) -> Consent | None:
    statement = select(*columns(ConsentRow, Consent)).where(
        ConsentRow.user_id == user_id, ConsentRow.client_id == client_id
    )
    return await find(session, statement, Consent)


async def list_consents(session: AsyncSession, user_id: UUID) -> list[Consent]:
    """All of them, by name: a user lets in a handful of programs."""
    statement = select(*columns(ConsentRow, Consent)).where(ConsentRow.user_id == user_id)
    return await listed(session, statement.order_by(ConsentRow.client_name, ConsentRow.client_id), Consent)


async def upsert_consent(session: AsyncSession, consent: Consent) -> None:
    given = values(consent)
    keys = ["user_id", "client_id"]
    changed = {name: value for name, value in given.items() if name not in keys}
    statement = postgresql.insert(ConsentRow).values(given)
    await session.execute(statement.on_conflict_do_update(index_elements=keys, set_=changed))


async def delete_consent(session: AsyncSession, user_id: UUID, client_id: str) -> bool:
    """Whether there was one."""
    statement = delete(ConsentRow).where(ConsentRow.user_id == user_id, ConsentRow.client_id == client_id)
    return (await session.execute(statement.returning(ConsentRow.client_id))).first() is not None


async def delete_consents(session: AsyncSession, user_id: UUID) -> None:
    await session.execute(delete(ConsentRow).where(ConsentRow.user_id == user_id))
