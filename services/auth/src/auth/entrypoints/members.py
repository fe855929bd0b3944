"""Members of the caller's account, and invitations to it."""

from uuid import UUID

from fastapi import APIRouter

from auth.adapters import addresses
from auth.domain.people import Invitation
from auth.entrypoints.parts import ActingDep, PartsDep, before_id, refusals
from auth.schemas.budgets import bodies_of, budgets_of
from auth.schemas.common import StatusAnswer
from auth.schemas.passwords import TokenRequest
from auth.schemas.teams import ChangeMemberRequest, InvitationAnswer, InvitationRequest, JoinedAnswer, MemberAnswer
from auth.service import inviting, memberships
from kit.paging import Cursor, Limit, Page, encode_cursor

router = APIRouter(prefix="/auth", tags=["members"])


@router.get("/members", summary="Members of the account", responses=refusals(401, 403))
async def list_members(
    parts: PartsDep, acting: ActingDep, limit: Limit = 50, cursor: Cursor = None
) -> Page[MemberAnswer]:
    async with parts.database.reading() as session:
        found = await memberships.list_members(session, acting, after=before_id(cursor), limit=limit + 1)
    items = [
        MemberAnswer(
            user_id=one.member.user_id,
            email=one.address,
            role=one.member.role,
            budgets=bodies_of(one.member.budgets),
        )
        for one in found[:limit]
    ]
    return Page(items=items, next_cursor=encode_cursor(str(items[-1].user_id)) if len(found) > limit else None)


@router.patch(
    "/members/{user_id}", summary="Give a member another role or budgets", responses=refusals(401, 403, 404, 409)
)
async def change_member(user_id: UUID, body: ChangeMemberRequest, parts: PartsDep, acting: ActingDep) -> MemberAnswer:
    """Effective everywhere within seconds, also for tokens that say otherwise."""
    budgets = None if body.budgets is None else budgets_of(body.budgets)
    async with parts.database.transaction() as session:
        member = await memberships.change_member(
            session, acting, user_id, role=body.role, budgets=budgets, clock=parts.clock
        )
    return MemberAnswer(user_id=member.user_id, email=None, role=member.role, budgets=bodies_of(member.budgets))


@router.delete("/members/{user_id}", summary="Remove a member, or leave", responses=refusals(401, 403, 404, 409))
async def remove_member(user_id: UUID, parts: PartsDep, acting: ActingDep) -> StatusAnswer:
    """Their API keys in this account are revoked. The last owner cannot leave."""
    async with parts.database.transaction() as session:
        await memberships.remove_member(session, acting, user_id, clock=parts.clock)
    return StatusAnswer()


@router.post(
    "/invitations", status_code=201, summary="Invite an address to the team", responses=refusals(401, 403, 409, 429)
)
async def invite(body: InvitationRequest, parts: PartsDep, acting: ActingDep) -> InvitationAnswer:
    """The mail's link lasts 7 days, works once, and only for the user who has this address."""
    address = addresses.parse(body.email, reserved_names=parts.reserved_names)
    async with parts.database.transaction() as session:
        invitation = await inviting.invite(
            session, acting, address=address, role=body.role, limits=parts.limits, clock=parts.clock
        )
    return _invitation(invitation)


@router.get("/invitations", summary="Invitations that are open", responses=refusals(401, 403))
async def list_invitations(
    parts: PartsDep, acting: ActingDep, limit: Limit = 50, cursor: Cursor = None
) -> Page[InvitationAnswer]:
    async with parts.database.reading() as session:
        found = await inviting.list_invitations(
            session, acting, before=before_id(cursor), limit=limit + 1, clock=parts.clock
        )
    items = [_invitation(one) for one in found[:limit]]
    return Page(items=items, next_cursor=encode_cursor(str(items[-1].id)) if len(found) > limit else None)


@router.delete("/invitations/{invitation_id}", summary="Take an invitation back", responses=refusals(401, 403, 404))
async def revoke_invitation(invitation_id: UUID, parts: PartsDep, acting: ActingDep) -> StatusAnswer:
    async with parts.database.transaction() as session:
        await inviting.revoke_invitation(session, acting, invitation_id, clock=parts.clock)
    return StatusAnswer()


@router.post("/invitations/accept", summary="Join with a link's token", responses=refusals(401, 403, 404))
async def accept(body: TokenRequest, parts: PartsDep, acting: ActingDep) -> JoinedAnswer:
    async with parts.database.transaction() as session:
        member = await inviting.accept_signed_in(session, acting, body.token.get_secret_value(), clock=parts.clock)
    return JoinedAnswer(account_id=member.account_id, role=member.role)


def _invitation(invitation: Invitation) -> InvitationAnswer:
    return InvitationAnswer(
        id=invitation.id,
        email=invitation.address,
        role=invitation.role,
        invited_by=invitation.invited_by,
        created_at=invitation.created_at,
        expires_at=invitation.expires_at,
    )
