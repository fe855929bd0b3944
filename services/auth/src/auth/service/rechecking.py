"""What has become of credentials that a gateway has in use, for when it cannot read the topics (money.md 28)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from auth.domain.people import Member, UserStanding
from auth.repository import accounts, api_keys, sessions, sharing, users


@dataclass(frozen=True, slots=True, kw_only=True)
class InUse:
    """What credentials stand on; a member is an account and a user."""

    api_keys: Sequence[UUID]
    sessions: Sequence[UUID]
    users: Sequence[UUID]
    members: Sequence[tuple[UUID, UUID]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rechecked:
    """What speaks against them. A row as it was made says nothing against a token, a missing one has ended."""

    api_keys: list[UUID]
    sessions: list[UUID]
    users: list[UserStanding]
    members: list[Member]


async def recheck(session: AsyncSession, in_use: InUse, *, now: datetime) -> Rechecked:
    return Rechecked(
        api_keys=_without(in_use.api_keys, await api_keys.list_usable(session, in_use.api_keys, now=now)),
        sessions=_without(in_use.sessions, await sessions.list_running(session, in_use.sessions)),
        users=await _changed_users(session, in_use.users),
        members=await _changed_members(session, in_use.members),
    )


async def _changed_users(session: AsyncSession, ids: Sequence[UUID]) -> list[UserStanding]:
    found = await users.list_standings(session, ids)
    missing = [UserStanding(id=one, state="deleted", operator=False, version=0) for one in _without(ids, _ids(found))]
    return missing + [one for one in found if one.version > 1 or one.state != "active"]


async def _changed_members(session: AsyncSession, pairs: Sequence[tuple[UUID, UUID]]) -> list[Member]:
    found = await accounts.list_members(session, pairs) if pairs else []
    known = {(one.account_id, one.user_id) for one in found}
    missing = set(pairs) - known
    # Who calls with a share's key is no member of the account that pays.
    guests = await sharing.list_guests(session, list(missing)) if missing else set()
    gone = [Member(*pair, role="user", state="removed", version=0) for pair in missing - guests]
    return gone + [one for one in found if one.version > 1 or one.state != "active"]


def _ids(found: Iterable[UserStanding]) -> list[UUID]:
    return [one.id for one in found]


def _without(asked: Sequence[UUID], good: Iterable[UUID]) -> list[UUID]:
    return list(set(asked) - set(good))
