"""The account's endpoints: Standard Webhooks of its own, and Slack, Discord and Teams."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends

from kit.identity import CallerDep
from kit.paging import Cursor, Limit, Page
from kit.tokens import Caller
from notifier.entrypoints.paging import next_cursor, position
from notifier.entrypoints.parts import PartsDep, refusals
from notifier.errors import RoleError
from notifier.schemas.endpoints import (
    EndpointAnswer,
    EndpointChange,
    EndpointDelivery,
    EndpointRequest,
    EndpointsAnswer,
    NewSecretAnswer,
    QueuedAnswer,
    ReplayRequest,
    RotateRequest,
)
from notifier.service.endpoints import list_endpoints as endpoints_of

router = APIRouter(prefix="/notifications/endpoints", tags=["endpoints"])


async def _manager(caller: CallerDep) -> Caller:
    if caller.role not in ("owner", "admin"):
        raise RoleError(f"The role {caller.role} does not manage endpoints.")
    return caller


ManagerDep = Annotated[Caller, Depends(_manager)]


@router.post("", summary="Make an endpoint", status_code=201, responses=refusals(403, 409))
async def make_endpoint(body: EndpointRequest, parts: PartsDep, caller: ManagerDep) -> NewSecretAnswer:
    """The signing secret is shown this once."""
    async with parts.database.transaction() as session:
        made, secret = await parts.endpoints.make(session, caller.account_id, body.wanted())
    return NewSecretAnswer.with_secret(made, secret)


@router.get("", summary="The account's endpoints", responses=refusals(403))
async def list_endpoints(parts: PartsDep, caller: ManagerDep) -> EndpointsAnswer:
    async with parts.database.reading() as session:
        found = await endpoints_of(session, caller.account_id)
    return EndpointsAnswer(endpoints=[EndpointAnswer.of(one) for one in found])


@router.get("/{endpoint_id}", summary="One endpoint", responses=refusals(403, 404))
async def get_endpoint(endpoint_id: UUID, parts: PartsDep, caller: ManagerDep) -> EndpointAnswer:
    async with parts.database.reading() as session:
        return EndpointAnswer.of(await parts.endpoints.get(session, endpoint_id, account_id=caller.account_id))


@router.patch("/{endpoint_id}", summary="Change an endpoint, or switch it on or off", responses=refusals(403, 404))
async def change_endpoint(
    endpoint_id: UUID, body: EndpointChange, parts: PartsDep, caller: ManagerDep
) -> EndpointAnswer:
    async with parts.database.transaction() as session:
        changed = await parts.endpoints.change(
            session, endpoint_id, account_id=caller.account_id, changes=body.changes()
        )
    return EndpointAnswer.of(changed)


@router.delete("/{endpoint_id}", summary="Remove an endpoint", status_code=204, responses=refusals(403, 404))
async def remove_endpoint(endpoint_id: UUID, parts: PartsDep, caller: ManagerDep) -> None:
    async with parts.database.transaction() as session:
        await parts.endpoints.remove(session, endpoint_id, account_id=caller.account_id)


@router.post("/{endpoint_id}/secret", summary="Make a new signing secret", responses=refusals(403, 404))
async def rotate_secret(endpoint_id: UUID, body: RotateRequest, parts: PartsDep, caller: ManagerDep) -> NewSecretAnswer:
    """Until the overlap ends, requests carry a signature by the old secret as well."""
    async with parts.database.transaction() as session:
        changed, secret = await parts.endpoints.rotate(
            session, endpoint_id, account_id=caller.account_id, overlap_s=body.overlap_s
        )
    return NewSecretAnswer.with_secret(changed, secret)


@router.post("/{endpoint_id}/test", summary="Send a test", responses=refusals(403, 404))
async def test_endpoint(endpoint_id: UUID, parts: PartsDep, caller: ManagerDep) -> QueuedAnswer:
    """How it ended stands in the endpoint's deliveries."""
    async with parts.database.transaction() as session:
        await parts.endpoints.test(session, endpoint_id, account_id=caller.account_id)
    parts.wake()
    return QueuedAnswer(queued=1)


@router.post("/{endpoint_id}/replay", summary="Send again what was missed", responses=refusals(403, 404))
async def replay(endpoint_id: UUID, body: ReplayRequest, parts: PartsDep, caller: ManagerDep) -> QueuedAnswer:
    """With the same ids, so that receivers tell what they have already."""
    async with parts.database.transaction() as session:
        queued = await parts.endpoints.replay(
            session,
            endpoint_id,
            account_id=caller.account_id,
            since=body.since,
            until=body.until,
            failed_only=not body.all,
        )
    parts.wake()
    return QueuedAnswer(queued=queued)


@router.get("/{endpoint_id}/deliveries", summary="What went to an endpoint, and how", responses=refusals(403, 404))
async def list_deliveries(
    endpoint_id: UUID, parts: PartsDep, caller: ManagerDep, *, limit: Limit = 50, cursor: Cursor = None
) -> Page[EndpointDelivery]:
    async with parts.database.reading() as session:
        found = await parts.endpoints.list_deliveries(
            session, endpoint_id, account_id=caller.account_id, after=position(cursor), limit=limit + 1
        )
    return Page(items=[EndpointDelivery.of(one) for one in found[:limit]], next_cursor=next_cursor(found, limit))
