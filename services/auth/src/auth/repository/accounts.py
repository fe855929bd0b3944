"""Accounts, members, projects, and the plans that tokens show."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Select, and_, any_, bindparam, exists, func, insert, select, tuple_, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import aggregate_order_by, array
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from auth.domain.access import Access
from auth.domain.people import Account, Member, Membership, Project, User
from auth.repository.members import MACHINES
from auth.repository.rows import columns, find, listed, made, named, values
from auth.tables import AccountRow, MemberRow, ProjectRow, SubscriptionRow, TotpRow, UserRow
from contracts.auth import Role
from contracts.billing import SubscriptionChanged

_PAYING: Final = ("trialing", "active", "past_due")


async def insert_account(session: AsyncSession, account: Account, *, owner: Member, project: Project) -> None:
    """An account, its owner and its default project."""
    await session.execute(insert(AccountRow).values(values(account)))
    await session.execute(insert(MemberRow).values(values(owner)))
    await session.execute(insert(ProjectRow).values(values(project)))


async def find_account(session: AsyncSession, account_id: UUID) -> Account | None:
    return await find(session, select(*columns(AccountRow, Account)).where(AccountRow.id == account_id), Account)


async def activate_owned(session: AsyncSession, user_id: UUID, *, now: datetime) -> list[UUID]:
    """Activate the user's own accounts that are not active yet; returns which."""
    owned = select(MemberRow.account_id).where(
        MemberRow.user_id == user_id, MemberRow.role == "owner", MemberRow.state == "active"
    )
    statement = (
        update(AccountRow)
        .where(AccountRow.id.in_(owned), AccountRow.activated_at.is_(None))
        .values(activated_at=now)
        .returning(AccountRow.id)
    )
    return list(await session.scalars(statement))


async def find_home(session: AsyncSession, user_id: UUID) -> UUID | None:
    """The account that a sign-in starts in: the user's personal one, else the first."""
    found: UUID | None = await session.scalar(_HOME, {"of_user": user_id})
    return found


_HOME: Final = (
    select(MemberRow.account_id)
    .join(AccountRow, AccountRow.id == MemberRow.account_id)
    .where(MemberRow.user_id == bindparam("of_user"), MemberRow.state == "active", AccountRow.state != "closed")
    .order_by(AccountRow.kind, AccountRow.id)
    .limit(1)
)


async def list_owned_alone(session: AsyncSession, user_id: UUID) -> list[UUID]:
    """Teams that would be without an owner, but not without members, if this user went."""
    other = aliased(MemberRow)
    others = and_(
        other.account_id == MemberRow.account_id,
        other.user_id != user_id,
        other.state == "active",
        other.user_id.not_in(MACHINES),
    )
    statement = (
        select(MemberRow.account_id)
        .join(AccountRow, AccountRow.id == MemberRow.account_id)
        .where(
            MemberRow.user_id == user_id,
            MemberRow.role == "owner",
            MemberRow.state == "active",
            AccountRow.kind == "team",
            exists(select(1).where(others)),
            ~exists(select(1).where(others, other.role == "owner")),
        )
    )
    return list(await session.scalars(statement))


def _only_theirs(user_id: UUID) -> Any:
    """What only this user is in: the personal account, and teams without anybody else."""
    other = aliased(MemberRow)
    others = select(1).where(
        other.account_id == MemberRow.account_id,
        other.user_id != user_id,
        other.state == "active",
        other.user_id.not_in(MACHINES),
    )
    return select(MemberRow.account_id).where(
        MemberRow.user_id == user_id, MemberRow.state == "active", ~exists(others)
    )


async def close_personal(session: AsyncSession, user_id: UUID) -> list[Account]:
    """Close what only this user is in."""
    statement = (
        update(AccountRow)
        .where(AccountRow.id.in_(_only_theirs(user_id)), AccountRow.state != "closed")
        .values(state="closed", version=AccountRow.version + 1)
        .returning(*columns(AccountRow, Account))
    )
    return await listed(session, statement, Account)


async def pays_on_alone(session: AsyncSession, user_id: UUID) -> bool:
    """Whether something that would close with this user has a subscription that nobody has cancelled."""
    return await _pays_on(session, SubscriptionRow.account_id.in_(_only_theirs(user_id)))


async def pays_on(session: AsyncSession, account_id: UUID) -> bool:
    return await _pays_on(session, SubscriptionRow.account_id == account_id)


async def _pays_on(session: AsyncSession, condition: Any) -> bool:
    statement = select(SubscriptionRow.id).where(
        condition, SubscriptionRow.status.in_(_PAYING), SubscriptionRow.cancel_at_period_end.is_(False)
    )
    return await session.scalar(statement.limit(1)) is not None


async def remove_everywhere(session: AsyncSession, user_id: UUID) -> list[Member]:
    statement = (
        update(MemberRow)
        .where(MemberRow.user_id == user_id, MemberRow.state == "active")
        .values(state="removed", version=MemberRow.version + 1)
        .returning(*columns(MemberRow, Member))
    )
    return await listed(session, statement, Member)


async def list_members(session: AsyncSession, pairs: Sequence[tuple[UUID, UUID]]) -> list[Member]:
    """The memberships of these accounts and users."""
    statement = select(*columns(MemberRow, Member)).where(
        tuple_(MemberRow.account_id, MemberRow.user_id).in_(list(pairs))
    )
    return await listed(session, statement, Member)


async def find_project(session: AsyncSession, account_id: UUID, project_id: UUID | None) -> Project | None:
    """An active project of the account; the default one for None."""
    chosen = ProjectRow.is_default if project_id is None else ProjectRow.id == project_id
    statement = select(*columns(ProjectRow, Project)).where(
        ProjectRow.account_id == account_id, ProjectRow.state == "active", chosen
    )
    return await find(session, statement, Project)


async def find_access(session: AsyncSession, *, user_id: UUID, account_id: UUID) -> Access | None:
    """What a token may say now, in one query; None when user, membership or account do not allow any token."""
    row = (await session.execute(_ACCESS, {"of_user": user_id, "in_account": account_id})).one_or_none()
    return None if row is None else made_access(row, user_id=user_id, account_id=account_id)


def made_access(row: Any, *, user_id: UUID, account_id: UUID) -> Access:
    """Out of a row that has the columns of `access_of`."""
    return Access(
        user_id=user_id,
        account_id=account_id,
        role=row.role,
        operator=row.operator,
        plan=row.plan,
        projects=tuple(row.projects or ()),
    )


async def find_profile(session: AsyncSession, user_id: UUID) -> tuple[User, bool, list[Membership]] | None:
    """The user, whether a second factor is asked of them, and their accounts with role, plan and active projects."""
    rows = (await session.execute(_PROFILE, {"of_user": user_id})).all()
    if not rows:
        return None
    held: dict[UUID, Any] = {row.account_id: row for row in rows if row.account_id is not None}
    projects: dict[UUID, list[Project]] = defaultdict(list)
    for row in rows:
        if row.project_id is not None:
            projects[row.account_id].append(made(Project, row, prefix="project_"))
    memberships = [
        Membership(made(Account, row, prefix="account_"), row.role, row.plan, tuple(projects[account_id]))
        for account_id, row in held.items()
    ]
    return made(User, rows[0], prefix="user_"), rows[0].confirmed_at is not None, memberships


def _plan() -> Any:
    return (
        select(SubscriptionRow.plan_id)
        # An IN would be written anew at each execution.
        .where(SubscriptionRow.account_id == AccountRow.id, SubscriptionRow.status == any_(array(_PAYING)))
        .order_by(SubscriptionRow.period_end.desc())
        .limit(1)
        .correlate(AccountRow)
        .scalar_subquery()
    )


def _profile() -> Select[Any]:
    own = and_(MemberRow.user_id == UserRow.id, MemberRow.state == "active")
    works = and_(AccountRow.id == MemberRow.account_id, AccountRow.state != "closed")
    active = and_(ProjectRow.account_id == AccountRow.id, ProjectRow.state == "active")
    return (
        select(
            *named(UserRow, User, prefix="user_"),
            *named(AccountRow, Account, prefix="account_"),
            *named(ProjectRow, Project, prefix="project_"),
            TotpRow.confirmed_at,
            MemberRow.role,
            _plan().label("plan"),
        )
        .select_from(UserRow)
        .outerjoin(TotpRow, TotpRow.user_id == UserRow.id)
        .outerjoin(MemberRow, own)
        .outerjoin(AccountRow, works)
        .outerjoin(ProjectRow, active)
        .where(UserRow.id == bindparam("of_user"))
        .order_by(AccountRow.kind, AccountRow.id, ProjectRow.id)
    )


_PROFILE: Final = _profile()
"""Built once, as what follows: a client's first screen begins with it."""


def access_of(user_id: Any, account_id: Any) -> Select[Any]:
    """What a token may say, for a user and an account that may be columns of another statement."""
    projects = (
        select(func.array_agg(aggregate_order_by(ProjectRow.id, ProjectRow.id)))
        .where(ProjectRow.account_id == AccountRow.id, ProjectRow.state == "active")
        .correlate(AccountRow)
        .scalar_subquery()
    )
    return (
        select(UserRow.operator, MemberRow.role, _plan().label("plan"), projects.label("projects"))
        .select_from(MemberRow)
        .join(UserRow, UserRow.id == MemberRow.user_id)
        .join(AccountRow, AccountRow.id == MemberRow.account_id)
        .where(
            MemberRow.user_id == user_id,
            MemberRow.account_id == account_id,
            MemberRow.state == "active",
            UserRow.state == "active",
            AccountRow.state != "closed",
        )
    )


_ACCESS: Final = access_of(bindparam("of_user"), bindparam("in_account"))
"""Every token that auth makes begins with it."""


async def list_recipients(session: AsyncSession, account_id: UUID, *, role: Role) -> list[User]:
    """Active users who hold the role in the account."""
    statement = (
        select(*columns(UserRow, User))
        .join(MemberRow, MemberRow.user_id == UserRow.id)
        .where(
            MemberRow.account_id == account_id,
            MemberRow.role == role,
            MemberRow.state == "active",
            UserRow.state == "active",
            UserRow.id.not_in(MACHINES),
        )
        .order_by(UserRow.id)
    )
    return await listed(session, statement, User)


async def upsert_subscription(session: AsyncSession, event: SubscriptionChanged) -> None:
    """Keep the newest version of a subscription; an older one changes nothing."""
    values = {
        "version": event.version,
        "plan_id": event.plan_id,
        "status": event.status,
        "period_end": event.current_period_end,
        "cancel_at_period_end": event.cancel_at_period_end,
    }
    statement = postgresql.insert(SubscriptionRow).values(
        id=event.subscription_id, account_id=event.account_id, **values
    )
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=["id"], set_=values, where=SubscriptionRow.version < event.version
        )
    )
