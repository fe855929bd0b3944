"""Whether somebody may do something in their account, by the row as it is now and not by their token."""

from sqlalchemy.ext.asyncio import AsyncSession

from auth.domain.audit import Acting
from auth.domain.people import Member
from auth.domain.roles import Action, allows
from auth.errors import ProgramForbiddenError, RoleError
from auth.repository import accounts


def refuse_programs(acting: Acting) -> None:
    """Raises `ProgramForbiddenError` when a program acts for the user: this is for the user alone."""
    if acting.client_id is not None:
        raise ProgramForbiddenError("A program may not do this for you; sign in yourself.")


async def membership(session: AsyncSession, acting: Acting) -> Member:
    """The caller's membership; raises `RoleError` when there is none any more."""
    found = await accounts.list_members(session, [(acting.account_id, acting.user_id)])
    if not found or found[0].state != "active":
        raise RoleError("You are no longer a member of this account.")
    return found[0]


async def require(session: AsyncSession, acting: Acting, action: Action) -> Member:
    """The caller's membership; raises `RoleError` when its role does not allow this."""
    member = await membership(session, acting)
    if not allows(member.role, action):
        raise RoleError(f"The role {member.role} may not do this in this account.")
    return member
