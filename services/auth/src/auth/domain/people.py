"""Users, accounts, members and projects as they are now."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from contracts.auth import Role
from contracts.money import AccountState
from contracts.terms import Budget

UserState = Literal["active", "disabled", "deleted"]


@dataclass(frozen=True, slots=True)
class User:
    """A person. `address` is as it was given, `address_normal` is what must be unique."""

    id: UUID
    address: str
    address_normal: str
    locale: str | None
    state: UserState
    operator: bool
    verified_at: datetime | None
    deletion_due_at: datetime | None
    version: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class EmailChange:
    """A new address, and who has confirmed it."""

    id: UUID
    user_id: UUID
    address: str
    address_normal: str
    old_confirmed_at: datetime | None
    new_confirmed_at: datetime | None
    expires_at: datetime
    created_at: datetime

    @property
    def confirmed(self) -> bool:
        return self.old_confirmed_at is not None and self.new_confirmed_at is not None


@dataclass(frozen=True, slots=True)
class UserStanding:
    """A user's row as far as it says something about tokens."""

    id: UUID
    state: UserState
    operator: bool
    version: int


@dataclass(frozen=True, slots=True)
class Account:
    """A paying party."""

    id: UUID
    kind: Literal["personal", "team"]
    state: AccountState
    activated_at: datetime | None
    version: int
    created_at: datetime
    name: str | None = None
    budgets: tuple[Budget, ...] = ()


@dataclass(frozen=True, slots=True)
class Member:
    """A user's role in an account."""

    account_id: UUID
    user_id: UUID
    role: Role
    state: Literal["active", "removed"]
    version: int
    budgets: tuple[Budget, ...] = ()


@dataclass(frozen=True, slots=True)
class NamedMember:
    """A member as lists show them; the address is not for everybody."""

    member: Member
    address: str | None


@dataclass(frozen=True, slots=True)
class Invitation:
    """Somebody, known by an address only, who may join an account."""

    id: UUID
    account_id: UUID
    address: str
    address_normal: str
    role: Role
    state: Literal["open", "accepted", "revoked"]
    invited_by: UUID
    expires_at: datetime
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Project:
    """A scope inside an account; each account has one that is the default."""

    id: UUID
    account_id: UUID
    name: str
    is_default: bool
    state: Literal["active", "archived"]
    version: int
    created_at: datetime
    budgets: tuple[Budget, ...] = ()


@dataclass(frozen=True, slots=True)
class Membership:
    """An account as one of its members sees it. `plan` is for display only."""

    account: Account
    role: Role
    plan: str | None
    projects: tuple[Project, ...]
