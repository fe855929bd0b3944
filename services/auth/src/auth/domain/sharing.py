"""A project that is shared with another account's project."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

ShareAccess = Literal["read", "use"]


@dataclass(frozen=True, slots=True)
class ProjectShare:
    """What one account lets a project of another one do: see a project's usage, and with `use` call at its cost."""

    id: UUID
    account_id: UUID
    project_id: UUID
    with_account_id: UUID
    with_project_id: UUID
    access: ShareAccess
    state: Literal["active", "revoked"]
    version: int
    created_at: datetime
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class NamedShare:
    """A share as lists show it."""

    share: ProjectShare
    project_name: str
