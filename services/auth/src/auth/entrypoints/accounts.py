"""The caller's account: teams made, changed, handed over, closed; and which account the session works in."""

from fastapi import APIRouter

from auth.domain.people import Account
from auth.entrypoints.parts import ActingDep, PartsDep, refusals
from auth.entrypoints.proving import prove
from auth.schemas.budgets import bodies_of, budgets_of
from auth.schemas.common import StatusAnswer
from auth.schemas.passwords import Proof
from auth.schemas.teams import (
    ChangeAccountRequest,
    MemberAnswer,
    OwnAccountAnswer,
    SwitchAnswer,
    SwitchRequest,
    TeamRequest,
    TransferRequest,
)
from auth.service import memberships, teams

router = APIRouter(prefix="/auth", tags=["accounts"])


@router.post("/accounts", status_code=201, summary="Make a team", responses=refusals(401, 403, 409))
async def make_team(body: TeamRequest, parts: PartsDep, acting: ActingDep) -> OwnAccountAnswer:
    """The caller owns it; switch to it to work in it. It has no trial of its own."""
    async with parts.database.transaction() as session:
        account = await teams.make_team(session, acting, body.name, clock=parts.clock)
    return _account(account)


@router.patch("/account", summary="Rename the account, or set its budgets", responses=refusals(401, 403, 409))
async def change_account(body: ChangeAccountRequest, parts: PartsDep, acting: ActingDep) -> OwnAccountAnswer:
    budgets = None if body.budgets is None else budgets_of(body.budgets)
    async with parts.database.transaction() as session:
        account = await teams.change_account(session, acting, name=body.name, budgets=budgets, clock=parts.clock)
    return _account(account)


@router.post(
    "/account/transfer", summary="Hand the account over to a member", responses=refusals(401, 403, 404, 429, 503)
)
async def transfer(body: TransferRequest, parts: PartsDep, acting: ActingDep) -> MemberAnswer:
    """The member becomes an owner, the caller an admin."""
    await prove(parts, acting, body)
    async with parts.database.transaction() as session:
        owner = await memberships.transfer_ownership(session, acting, body.user_id, clock=parts.clock)
    return MemberAnswer(user_id=owner.user_id, email=None, role=owner.role, budgets=bodies_of(owner.budgets))


@router.post("/account/close", summary="Close the team for good", responses=refusals(401, 403, 409, 429, 503))
async def close_team(body: Proof, parts: PartsDep, acting: ActingDep) -> StatusAnswer:
    """Its keys are revoked, its books stay. Sessions in it go on in their user's own account."""
    await prove(parts, acting, body)
    async with parts.database.transaction() as session:
        await teams.close_team(session, acting, clock=parts.clock)
    return StatusAnswer()


@router.post("/switch", summary="Work in another of the caller's accounts", responses=refusals(401, 403, 404))
async def switch(body: SwitchRequest, parts: PartsDep, acting: ActingDep) -> SwitchAnswer:
    signer = await parts.ring.signer()
    async with parts.database.transaction() as session:
        issued = await teams.switch_account(session, acting, body.account_id, signer=signer, clock=parts.clock)
    return SwitchAnswer(access_token=issued.token, expires_in=issued.expires_in_s, account_id=body.account_id)


def _account(account: Account) -> OwnAccountAnswer:
    return OwnAccountAnswer(
        id=account.id,
        kind=account.kind,
        name=account.name,
        state=account.state,
        budgets=bodies_of(account.budgets),
        created_at=account.created_at,
    )
