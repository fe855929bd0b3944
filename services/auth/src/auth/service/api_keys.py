"""API keys: made, changed, rotated, revoked, and resolved into access tokens for the gateway."""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from auth.adapters.signing import Issued, TokenSigner
from auth.domain.access import ACCESS_S, Access, ApiKey
from auth.domain.audit import Acting, Actor
from auth.domain.people import Member
from auth.domain.roles import allows
from auth.domain.sharing import ProjectShare
from auth.errors import (
    KeyNotActiveError,
    RoleError,
    ShareReadsOnlyError,
    TooManyKeysError,
    UnknownApiKeyError,
    UnknownProjectError,
    UnknownServiceAccountError,
    UnknownShareError,
)
from auth.repository import accounts, api_keys, projects, service_accounts, sharing
from auth.service import audit, facts
from auth.service.permissions import membership, require
from contracts.terms import Budget
from kit import apikeys, outbox
from kit.clock import Clock
from kit.ids import uuid7

LAST_USED_COARSE_S: Final = 60.0
KEYS_MOST: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedKey:
    """What a caller asks for; without a project the key belongs to the default one."""

    name: str
    mode: Literal["live", "test"]
    project_id: UUID | None
    expires_in_days: int | None
    scopes: tuple[str, ...] = ()
    budgets: tuple[Budget, ...] = ()
    allowed_networks: tuple[str, ...] = ()
    service_account_id: UUID | None = None
    share_id: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Whose key it becomes, in which project, and at whose cost when that is shared."""

    user_id: UUID
    project_id: UUID
    share: ProjectShare | None = None


@dataclass(frozen=True, slots=True)
class Resolved:
    """A key's token, bounded by the key."""

    key: ApiKey
    access: Access
    issued: Issued


async def make_key(session: AsyncSession, acting: Acting, wanted: WantedKey, *, clock: Clock) -> tuple[ApiKey, str]:
    """A new key and its text, which is not kept."""
    mine = await require(session, acting, "make_key")
    await projects.lock_account(session, acting.account_id)
    place = await _place(session, mine, wanted)
    if await api_keys.count_active(session, acting.account_id) >= KEYS_MOST:
        raise TooManyKeysError(f"An account has at most {KEYS_MOST} active API keys; revoke some.")
    now, text = clock.now(), apikeys.make(wanted.mode)
    key = ApiKey(
        id=uuid7(clock),
        account_id=acting.account_id,
        project_id=place.project_id,
        user_id=place.user_id,
        name=wanted.name,
        mode=wanted.mode,
        key_sha256=apikeys.sha256_hex(text),
        prefix=f"fg_{wanted.mode}_",
        last4=text[-4:],
        scopes=wanted.scopes,
        state="active",
        expires_at=now + timedelta(days=wanted.expires_in_days) if wanted.expires_in_days else None,
        last_used_at=None,
        revoked_at=None,
        version=1,
        created_at=now,
        budgets=wanted.budgets,
        allowed_networks=wanted.allowed_networks,
        share_id=place.share.id if place.share else None,
        for_account_id=place.share.account_id if place.share else None,
        for_project_id=place.share.project_id if place.share else None,
    )
    await _insert(session, key, acting.actor, "key.made", clock=clock)
    return key, text


async def _place(session: AsyncSession, mine: Member, wanted: WantedKey) -> _Place:
    user_id, project_id, share = mine.user_id, wanted.project_id, None
    if wanted.service_account_id is not None:
        if not allows(mine.role, "manage_service_accounts"):
            raise RoleError(f"The role {mine.role} may not make keys for service accounts.")
        if await service_accounts.lock_machine(session, mine.account_id, wanted.service_account_id) is None:
            raise UnknownServiceAccountError("This account has no such service account.", field="service_account_id")
        user_id = wanted.service_account_id
    if wanted.share_id is not None:
        share = await _usable_share(session, mine.account_id, wanted.share_id)
        if project_id not in (None, share.with_project_id):
            raise UnknownProjectError("This share is with another project.", field="project_id")
        project_id = share.with_project_id
    project = await accounts.find_project(session, mine.account_id, project_id)
    if project is None:
        raise UnknownProjectError("This account has no such project.", field="project_id")
    return _Place(user_id=user_id, project_id=project.id, share=share)


async def _usable_share(session: AsyncSession, account_id: UUID, share_id: UUID) -> ProjectShare:
    share = await sharing.find_share(session, share_id, with_account_id=account_id)
    if share is None:
        raise UnknownShareError("Nothing is shared with this account like that.", field="share_id")
    if share.access != "use":
        raise ShareReadsOnlyError("This share lets you see the project's usage, not use it.", field="share_id")
    return share


async def list_keys(session: AsyncSession, acting: Acting, *, before: UUID | None, limit: int) -> list[ApiKey]:
    """The account's keys for those who administer it, else the caller's own."""
    mine = await require(session, acting, "list_own_keys")
    own = None if allows(mine.role, "list_all_keys") else acting.user_id
    return await api_keys.list_api_keys(session, acting.account_id, user_id=own, before=before, limit=limit)


async def change_key(
    session: AsyncSession,
    acting: Acting,
    key_id: UUID,
    *,
    name: str | None,
    budgets: tuple[Budget, ...] | None,
    clock: Clock,
) -> ApiKey:
    """Another name or other budgets. Scopes and networks stay as they were made: gateways hold them for minutes."""
    before = _active(await _lock(session, acting, key_id))
    given = {field: value for field, value in {"name": name, "budgets": budgets}.items() if value is not None}
    if not given:
        return before
    key = await api_keys.update_api_key(session, key_id, **given)
    await _told(session, key, acting.actor, "key.changed", clock=clock, before=before)
    return key


async def rotate_key(
    session: AsyncSession, acting: Acting, key_id: UUID, *, overlap_s: int, clock: Clock
) -> tuple[ApiKey, str]:
    """A new key with the same bounds; the old one works on for the overlap and is revoked then, or at once for 0."""
    await require(session, acting, "make_key")
    old, now = _active(await _lock(session, acting, key_id)), clock.now()
    if old.rotated_at is not None:
        raise KeyNotActiveError("This API key was rotated already.")
    text = apikeys.make(old.mode)
    key = replace(
        old,
        id=uuid7(clock),
        user_id=old.user_id if await service_accounts.is_machine(session, old.user_id) else acting.user_id,
        key_sha256=apikeys.sha256_hex(text),
        last4=text[-4:],
        expires_at=now + (old.expires_at - old.created_at) if old.expires_at else None,
        last_used_at=None,
        rotated_at=None,
        version=1,
        created_at=now,
    )
    await _insert(session, key, acting.actor, "key.made", clock=clock)
    if overlap_s == 0:
        await _revoke(session, old, acting.actor, "key.rotated", clock=clock)
    else:
        ends_at = now + timedelta(seconds=overlap_s)
        ends_at = min(ends_at, old.expires_at) if old.expires_at else ends_at
        ending = await api_keys.update_api_key(session, old.id, expires_at=ends_at, rotated_at=now)
        await _told(session, ending, acting.actor, "key.rotated", clock=clock, before=old)
    return key, text


async def revoke_key(session: AsyncSession, acting: Acting, key_id: UUID, *, clock: Clock) -> ApiKey:
    """Revoke; a second time changes nothing."""
    key = await _lock(session, acting, key_id)
    if key.state == "revoked":
        return key
    return await _revoke(session, key, acting.actor, "key.revoked", clock=clock)


async def revoke_replaced(session: AsyncSession, *, actor: Actor, clock: Clock) -> int:
    """Revoke keys whose overlap is over, so that no gateway goes on with what it remembers; returns how many."""
    over = await api_keys.lock_replaced(session, now=clock.now())
    for key in over:
        await _revoke(session, key, actor, "key.revoked", clock=clock)
    return len(over)


async def revoke_leaked(session: AsyncSession, text: str, *, actor: Actor, clock: Clock) -> tuple[ApiKey | None, bool]:
    """Revoke a key that somebody found, None when it is none of ours; and whether it was not revoked before."""
    key = await api_keys.lock_by_hash(session, apikeys.sha256_hex(text)) if apikeys.well_formed(text) else None
    if key is None or key.state == "revoked":
        return key, False
    return await _revoke(session, key, actor, "key.leaked", clock=clock), True


async def _lock(session: AsyncSession, acting: Acting, key_id: UUID) -> ApiKey:
    mine = await membership(session, acting)
    key = await api_keys.lock_api_key(session, acting.account_id, key_id)
    if key is None or not _may_change(mine, key):
        raise UnknownApiKeyError("You have no such API key.")
    return key


def _may_change(mine: Member, key: ApiKey) -> bool:
    own = key.user_id == mine.user_id and allows(mine.role, "change_own_key")
    return own or allows(mine.role, "change_any_key")


def _active(key: ApiKey) -> ApiKey:
    if key.state != "active":
        raise KeyNotActiveError("This API key has been revoked.")
    return key


async def _revoke(session: AsyncSession, key: ApiKey, actor: Actor, action: str, *, clock: Clock) -> ApiKey:
    revoked = await api_keys.update_api_key_revoked(session, key.id, now=clock.now())
    await _told(session, revoked, actor, action, clock=clock, before=key)
    return revoked


async def _insert(session: AsyncSession, key: ApiKey, actor: Actor, action: str, *, clock: Clock) -> None:
    await api_keys.insert_api_key(session, key)
    await _told(session, key, actor, action, clock=clock, before=None)


async def _told(
    session: AsyncSession, key: ApiKey, actor: Actor, action: str, *, clock: Clock, before: ApiKey | None
) -> None:
    """Publish the key's row and write into the log what became of it."""
    await outbox.add(session, facts.api_key_changed(key, now=clock.now()))
    await audit.record(
        session,
        action,
        by=actor,
        target=("api_key", key.id),
        account_id=key.account_id,
        clock=clock,
        change=(_shown(before), _shown(key)),
    )


def _shown(key: ApiKey | None) -> Mapping[str, Any] | None:
    if key is None:
        return None
    return {
        "name": key.name,
        "state": key.state,
        "scopes": list(key.scopes),
        "allowed_networks": list(key.allowed_networks),
        "budgets": [one.model_dump(mode="json") for one in key.budgets],
        "expires_at": key.expires_at.isoformat() if key.expires_at else None,
    }


async def resolve_key(session: AsyncSession, text: str, *, signer: TokenSigner, now: datetime) -> Resolved:
    """An access token for a key, no longer than the key itself; raises `UnknownApiKeyError` for whatever is wrong."""
    digest = apikeys.sha256_hex(text)
    key = await api_keys.find_api_key_by_hash(session, digest) if apikeys.well_formed(text) else None
    if key is None or not hmac.compare_digest(key.key_sha256, digest) or not key.usable(now):
        raise UnknownApiKeyError("There is no such API key.")
    access = await accounts.find_access(session, user_id=key.user_id, account_id=key.account_id)
    if access is None or (key.project_id is not None and key.project_id not in access.projects):
        raise UnknownApiKeyError("There is no such API key.")
    if key.for_account_id is not None and key.for_project_id is not None:
        access = await _as_guest(session, access, key.for_account_id, key.for_project_id)
    project_id = key.for_project_id or key.project_id
    reach = access.projects if project_id is None else (project_id,)
    bounded = replace(access, api_key_id=key.id, project_id=project_id, projects=reach, scopes=key.scopes)
    issued = signer.access_token(bounded, now=now, lifetime_s=_lifetime_s(key, now))
    await api_keys.update_last_used(session, key.id, now=now, coarse_s=LAST_USED_COARSE_S)
    return Resolved(key, bounded, issued)


async def _as_guest(session: AsyncSession, access: Access, account_id: UUID, project_id: UUID) -> Access:
    """In the account that shares: who calls there and sees their own calls, nothing more.

    Whether that account is open is for admission to say; that the holder's is, nobody else would ask.
    """
    holder = await accounts.find_account(session, access.account_id)
    project = await accounts.find_project(session, account_id, project_id)
    if project is None or holder is None or holder.state != "open":
        raise UnknownApiKeyError("There is no such API key.")
    return replace(access, account_id=account_id, role="user", operator=False, plan=None)


def _lifetime_s(key: ApiKey, now: datetime) -> int:
    return ACCESS_S if key.expires_at is None else max(1, min(ACCESS_S, int((key.expires_at - now).total_seconds())))
