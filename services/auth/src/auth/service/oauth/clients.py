"""Programs: those of the configuration and those that operators register."""

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from auth.domain.audit import Actor
from auth.domain.clients import Client
from auth.domain.grants import hash_of, new_secret
from auth.errors import ClientInConfigurationError, UnknownClientError
from auth.repository import programs
from auth.service import audit
from kit.clock import Clock
from kit.ids import uuid7

SECRET_PREFIX: Final = "cs_"  # noqa: S105  # what a secret begins with

_CLIENT_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedClient:
    """What an operator asks for; `confidential` programs get a secret."""

    name: str
    redirect_uris: tuple[str, ...]
    scopes: tuple[str, ...]
    confidential: bool


@dataclass(frozen=True, slots=True)
class Programs:
    """Who may ask users for their consent. Those of the configuration come first and change with it only."""

    configured: Mapping[str, Client]

    async def find(self, session: AsyncSession, client_id: str) -> Client | None:
        """An active program."""
        if _CLIENT_ID.fullmatch(client_id) is None:
            return None
        found = self.configured.get(client_id) or await programs.find_client(session, client_id)
        return found if found is not None and found.state == "active" else None

    async def authenticate(self, session: AsyncSession, client_id: str, secret: str | None) -> Client | None:
        """The program that asks: one with a secret has to show it, one without has to have none."""
        client = await self.find(session, client_id)
        if client is None or (secret is None) != (client.secret_hash is None):
            return None
        if client.secret_hash is None or hmac.compare_digest(hash_of(secret or ""), client.secret_hash):
            return client
        return None

    async def list(self, session: AsyncSession, *, before: str | None, limit: int) -> list[Client]:
        """Those of the configuration on the first page, then the registered ones, newest first."""
        first = [] if before is not None else sorted(self.configured.values(), key=lambda one: one.id)
        return [*first, *await programs.list_clients(session, before=before, limit=limit)]

    async def register(
        self, session: AsyncSession, actor: Actor, wanted: WantedClient, *, reason: str, clock: Clock
    ) -> tuple[Client, str | None]:
        """A new program and, when it is confidential, its secret, which is not kept."""
        secret = new_secret(SECRET_PREFIX) if wanted.confidential else None
        client = Client(
            id=str(uuid7(clock)),
            name=wanted.name,
            redirect_uris=wanted.redirect_uris,
            scopes=wanted.scopes,
            secret_hash=hash_of(secret) if secret else None,
            state="active",
            created_at=clock.now(),
        )
        await programs.insert_client(session, client)
        await _told(session, actor, "program.registered", (None, client), reason=reason, clock=clock)
        return client, secret

    async def change(
        self,
        session: AsyncSession,
        actor: Actor,
        client_id: str,
        changed: Mapping[str, Any],
        *,
        reason: str,
        clock: Clock,
    ) -> Client:
        """Another name, other addresses or scopes, or another state; a disabled program gets no more tokens."""
        if client_id in self.configured:
            raise ClientInConfigurationError("This program stands in the configuration; change it there.")
        before = await programs.find_client(session, client_id)
        after = None if before is None else await programs.update_client(session, client_id, **changed)
        if before is None or after is None:
            raise UnknownClientError("There is no such program.")
        await _told(session, actor, "program.changed", (before, after), reason=reason, clock=clock)
        return after


async def _told(
    session: AsyncSession,
    actor: Actor,
    action: str,
    change: tuple[Client | None, Client],
    *,
    reason: str,
    clock: Clock,
) -> None:
    before, after = change
    await audit.record(
        session,
        action,
        by=actor,
        target=("program", UUID(after.id)),
        clock=clock,
        reason=reason,
        change=(_shown(before), _shown(after)),
    )


def _shown(client: Client | None) -> Mapping[str, Any] | None:
    if client is None:
        return None
    return {
        "name": client.name,
        "redirect_uris": list(client.redirect_uris),
        "scopes": list(client.scopes),
        "state": client.state,
    }
