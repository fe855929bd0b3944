"""Programs, as operators keep them."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path

from auth.entrypoints.operators import ActorDep
from auth.entrypoints.parts import PartsDep, before_id, refusals
from auth.schemas.oauth import ChangeClientRequest, ClientAnswer, RegisterClientRequest, RegisteredClientAnswer
from auth.service.oauth.clients import WantedClient
from kit.identity import OperatorDep
from kit.paging import Cursor, Limit, Page, encode_cursor

router = APIRouter(prefix="/auth/operator/clients", tags=["operators"])


@router.get("", summary="Programs: the configured ones, then the registered ones", responses=refusals(401, 403))
async def list_clients(
    parts: PartsDep, _operator: OperatorDep, limit: Limit = 50, cursor: Cursor = None
) -> Page[ClientAnswer]:
    before = before_id(cursor)
    async with parts.database.reading() as session:
        found = await parts.programs.list(session, before=str(before) if before else None, limit=limit + 1)
    configured = parts.programs.configured
    registered = [one for one in found if one.id not in configured]
    shown = [*(one for one in found if one.id in configured), *registered[:limit]]
    return Page(
        items=[ClientAnswer.of(one, configured=one.id in configured) for one in shown],
        next_cursor=encode_cursor(registered[limit - 1].id) if len(registered) > limit else None,
    )


@router.post("", status_code=201, summary="Register a program", responses=refusals(401, 403))
async def register_client(body: RegisterClientRequest, parts: PartsDep, actor: ActorDep) -> RegisteredClientAnswer:
    """A confidential program's secret is in this answer only."""
    wanted = WantedClient(
        name=body.name, redirect_uris=body.redirect_uris, scopes=body.scopes, confidential=body.confidential
    )
    async with parts.database.transaction() as session:
        client, secret = await parts.programs.register(session, actor, wanted, reason=body.reason, clock=parts.clock)
    shown = ClientAnswer.of(client, configured=False).model_dump()
    return RegisteredClientAnswer(**shown, client_secret=secret)


@router.patch("/{client_id}", summary="Change or disable a program", responses=refusals(401, 403, 404, 409))
async def change_client(
    client_id: Annotated[UUID, Path()], body: ChangeClientRequest, parts: PartsDep, actor: ActorDep
) -> ClientAnswer:
    """A disabled program gets no more tokens; those that it has end with `state`, at the latest after 10 minutes."""
    fields = {"name": body.name, "redirect_uris": body.redirect_uris, "scopes": body.scopes, "state": body.state}
    changed = {name: list(value) if isinstance(value, tuple) else value for name, value in fields.items() if value}
    async with parts.database.transaction() as session:
        client = await parts.programs.change(
            session, actor, str(client_id), changed, reason=body.reason, clock=parts.clock
        )
    return ClientAnswer.of(client, configured=False)
