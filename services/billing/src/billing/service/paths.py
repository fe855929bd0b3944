"""Which ways of paying are open, and the operator's changes to that, each with a reason on record."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from billing.domain.paths import EVERYONE, PATHS, OpenPaths, Path
from billing.errors import PathClosedError
from billing.repository import flags
from billing.repository import settings as repository
from kit.clock import Clock
from kit.ids import uuid7

Wanted = Literal["open", "closed", "unset"]


@dataclass(frozen=True, slots=True)
class Change:
    """What an operator wants of a path, for all accounts or for one."""

    path: Path
    state: Wanted
    account_id: UUID | None
    actor: str
    reason: str

    @property
    def scope(self) -> str:
        return EVERYONE if self.account_id is None else str(self.account_id)


@dataclass(frozen=True, slots=True)
class Flag:
    """A path's flag; `scope` is `*` or an account."""

    path: str
    scope: str
    state: Wanted


@dataclass(frozen=True, slots=True)
class Act:
    """What somebody changed."""

    id: UUID
    actor: str
    action: str
    target: str
    reason: str
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class Paths:
    """The flags; `configured` is what is open where no flag says anything."""

    configured: frozenset[str]
    clock: Clock

    async def of_account(self, session: AsyncSession, account_id: UUID) -> OpenPaths:
        rows = await flags.list_flags(session, (EVERYONE, str(account_id)))
        return OpenPaths(
            self.configured,
            for_all={row.path: row.is_open for row in rows if row.scope == EVERYONE},
            own={row.path: row.is_open for row in rows if row.scope != EVERYONE},
        )

    async def check_open(self, session: AsyncSession, account_id: UUID, path: Path) -> None:
        """Raise `PathClosedError`; only what begins is refused, what was begun goes on to its end."""
        if not (await self.of_account(session, account_id)).allows(path):
            raise PathClosedError(f"This way of paying ({path}) is not open for this account.")

    async def change(self, session: AsyncSession, wanted: Change) -> None:
        """Open or close a path, or leave it to the wider rule again."""
        now = self.clock.now()
        before = {row.path: row.is_open for row in await flags.list_flags(session, (wanted.scope,))}
        if wanted.state == "unset":
            await flags.delete_flag(session, wanted.path, scope=wanted.scope)
        else:
            await flags.save_flag(session, wanted.path, scope=wanted.scope, is_open=wanted.state == "open", now=now)
        await flags.insert_audit(
            session,
            id=uuid7(self.clock),
            actor=wanted.actor,
            action=f"path.{wanted.state}",
            target=f"{wanted.path}:{wanted.scope}",
            reason=wanted.reason,
            before={"is_open": before.get(wanted.path)},
            after={"is_open": None if wanted.state == "unset" else wanted.state == "open"},
            recorded_at=now,
        )
        if wanted.account_id is None:
            await repository.set_all_due(session, now)
        else:
            await repository.save_settings(session, wanted.account_id, due_at=now)

    async def shown(self, session: AsyncSession, *, limit: int) -> list[Flag]:
        """Every path for all accounts, then the flags of single ones."""
        rows = await flags.list_all_flags(session, limit=limit)
        general = {row.path: row.is_open for row in rows if row.scope == EVERYONE}
        found = [Flag(path, EVERYONE, _word(general.get(path, path in self.configured))) for path in PATHS]
        return found + [Flag(row.path, row.scope, _word(row.is_open)) for row in rows if row.scope != EVERYONE]

    async def acts(self, session: AsyncSession, *, before: UUID | None, limit: int) -> Sequence[Act]:
        rows = await flags.list_audit(session, before=before, limit=limit)
        return [Act(row.id, row.actor, row.action, row.target, row.reason, row.recorded_at) for row in rows]


def _word(is_open: bool) -> Wanted:  # noqa: FBT001  # one value into one word
    return "open" if is_open else "closed"
