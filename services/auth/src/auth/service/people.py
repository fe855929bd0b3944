"""Reading users and accounts, and the platform's operators."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from auth.domain.audit import COMMAND
from auth.domain.people import Membership, User
from auth.errors import UnknownUserError
from auth.repository import accounts, users
from auth.service import audit, facts
from contracts.auth import Role
from contracts.billing import SubscriptionChanged
from kit import outbox
from kit.clock import Clock
from kit.errors import MissingReferentError


@dataclass(frozen=True, slots=True)
class Profile:
    """A user with all their accounts."""

    user: User
    memberships: list[Membership]
    second_factor: bool


async def get_profile(session: AsyncSession, user_id: UUID) -> Profile:
    """In one statement, which needs no transaction around it."""
    found = await accounts.find_profile(session, user_id)
    if found is None:
        raise UnknownUserError("There is no such user.")
    user, second_factor, memberships = found
    return Profile(user, memberships, second_factor)


async def list_recipients(session: AsyncSession, account_id: UUID, *, role: Role) -> list[User]:
    return await accounts.list_recipients(session, account_id, role=role)


async def find_user(session: AsyncSession, address_normal: str) -> User | None:
    return await users.find_user_by_address(session, address_normal)


async def set_operator(session: AsyncSession, user_id: UUID, *, operator: bool, clock: Clock) -> bool:
    """Give or take the platform role; False when it was so already."""
    changed = await users.update_operator(session, user_id, operator=operator)
    if changed is None:
        return False
    await outbox.add(session, facts.user_changed(changed, now=clock.now()))
    action = "operator.added" if operator else "operator.removed"
    await audit.record(session, action, by=COMMAND, target=("user", user_id), clock=clock)
    return True


async def list_operators(session: AsyncSession) -> list[User]:
    return await users.list_operators(session)


async def record_subscription(session: AsyncSession, event: SubscriptionChanged) -> None:
    """Keep the plan that tokens show; an older version changes nothing."""
    if await accounts.find_account(session, event.account_id) is None:
        raise MissingReferentError(f"account:{event.account_id}")
    await accounts.upsert_subscription(session, event)
