"""Users that are machines: they belong to one account, have API keys, and cannot sign in."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from contracts.auth import Role
from contracts.terms import Budget

MachineRole = Literal["admin", "developer", "user"]

MACHINE_DOMAIN: Final = "service.invalid"
"""Their rows have an address that no mail reaches (RFC 2606), for every user has one."""


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """A machine's row."""

    id: UUID
    account_id: UUID
    name: str
    created_by: UUID
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Machine:
    """A service account with what its account lets it do."""

    account: ServiceAccount
    role: Role
    state: Literal["active", "disabled", "deleted"]
    budgets: tuple[Budget, ...] = ()


def machine_address(user_id: UUID) -> str:
    return f"{user_id.hex}@{MACHINE_DOMAIN}"
