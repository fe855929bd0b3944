"""Machines of the caller's account."""

from uuid import UUID

from fastapi import APIRouter

from auth.domain.machines import Machine
from auth.entrypoints.parts import ActingDep, PartsDep, before_id, forget_key, refusals
from auth.schemas.budgets import bodies_of, budgets_of
from auth.schemas.common import StatusAnswer
from auth.schemas.machines import ChangeServiceAccountRequest, ServiceAccountAnswer, ServiceAccountRequest
from auth.service import service_accounts
from auth.service.service_accounts import MachineChange
from kit.paging import Cursor, Limit, Page, encode_cursor

router = APIRouter(prefix="/auth/service-accounts", tags=["service accounts"])


@router.post("", status_code=201, summary="Make a service account", responses=refusals(401, 403, 409))
async def make_machine(body: ServiceAccountRequest, parts: PartsDep, acting: ActingDep) -> ServiceAccountAnswer:
    async with parts.database.transaction() as session:
        machine = await service_accounts.make_machine(
            session, acting, name=body.name, role=body.role, budgets=budgets_of(body.budgets), clock=parts.clock
        )
    return _shown(machine)


@router.get("", summary="Service accounts, newest first", responses=refusals(401, 403))
async def list_machines(
    parts: PartsDep, acting: ActingDep, limit: Limit = 50, cursor: Cursor = None
) -> Page[ServiceAccountAnswer]:
    async with parts.database.reading() as session:
        found = await service_accounts.list_machines(session, acting, before=before_id(cursor), limit=limit + 1)
    items = [_shown(one) for one in found[:limit]]
    return Page(items=items, next_cursor=encode_cursor(str(items[-1].id)) if len(found) > limit else None)


@router.patch("/{machine_id}", summary="Rename, disable, give another role", responses=refusals(401, 403, 404))
async def change_machine(
    machine_id: UUID, body: ChangeServiceAccountRequest, parts: PartsDep, acting: ActingDep
) -> ServiceAccountAnswer:
    wanted = MachineChange(
        name=body.name,
        role=body.role,
        state=body.state,
        budgets=None if body.budgets is None else budgets_of(body.budgets),
    )
    async with parts.database.transaction() as session:
        machine = await service_accounts.change_machine(session, acting, machine_id, wanted, clock=parts.clock)
    return _shown(machine)


@router.delete("/{machine_id}", summary="Delete a service account and its keys", responses=refusals(401, 403, 404))
async def delete_machine(machine_id: UUID, parts: PartsDep, acting: ActingDep) -> StatusAnswer:
    async with parts.database.transaction() as session:
        keys = await service_accounts.delete_machine(session, acting, machine_id, clock=parts.clock)
    for key_id in keys:
        forget_key(parts, key_id)
    return StatusAnswer()


def _shown(machine: Machine) -> ServiceAccountAnswer:
    account = machine.account
    return ServiceAccountAnswer(
        id=account.id,
        name=account.name,
        role=machine.role,
        state=machine.state,
        budgets=bodies_of(machine.budgets),
        created_by=account.created_by,
        created_at=account.created_at,
    )
