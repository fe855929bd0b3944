"""Who may spend an account's money, and what the routes that do share."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request

from billing.errors import RoleMayNotBuyError
from billing.service.once import Write
from kit.database import Database
from kit.identity import CallerDep
from kit.tokens import Caller

BUYERS = ("owner", "admin")


async def _buyer(caller: CallerDep) -> Caller:
    if caller.role not in BUYERS:
        raise RoleMayNotBuyError("Only an owner or admin of the account may do this.")
    return caller


async def _database(request: Request) -> Database:
    database: Database = request.app.state.database
    return database


BuyerDep = Annotated[Caller, Depends(_buyer)]
DatabaseDep = Annotated[Database, Depends(_database)]


def write_of(request: Request, account_id: UUID, key: str, **body: object) -> Write:
    """One use of a key: by this request."""
    path = request.scope["route"].path
    return Write(account_id, f"{request.method} {path}", key, body)
