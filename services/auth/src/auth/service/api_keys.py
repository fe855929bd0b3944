"""API keys: made, listed, revoked, and resolved into access tokens for the gateway."""

import hmac
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from auth.adapters.signing import Issued, TokenSigner
from auth.domain.access import ACCESS_S, Access, ApiKey
from auth.domain.roles import allows
from auth.errors import RoleError, UnknownApiKeyError, UnknownProjectError
from auth.repository import accounts, api_keys
from auth.service import facts
from kit import apikeys, outbox
from kit.clock import Clock
from kit.ids import uuid7
from kit.tokens import Caller

LAST_USED_COARSE_S: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedKey:
    """What a caller asks for; without a project the key belongs to the default one."""

    name: str
    mode: apikeys.Mode
    project_id: UUID | None
    expires_in_days: int | None


@dataclass(frozen=True, slots=True)
class Resolved:
    """A key's token, bounded by the key."""

    key: ApiKey
    access: Access
    issued: Issued


async def make_key(session: AsyncSession, caller: Caller, wanted: WantedKey, *, clock: Clock) -> tuple[ApiKey, str]:
    """A new key and its text, which is not kept."""
    if not allows(caller.role, "make_key"):
        raise RoleError("Your role in this account may not make API keys.")
    project = await accounts.find_project(session, caller.account_id, wanted.project_id)
    if project is None:
        raise UnknownProjectError("This account has no such project.", field="project_id")
    now, text = clock.now(), apikeys.make(wanted.mode)
    key = ApiKey(
        id=uuid7(clock),
        account_id=caller.account_id,
        project_id=project.id,
        user_id=caller.user_id,
        name=wanted.name,
        mode=wanted.mode,
        key_sha256=apikeys.sha256_hex(text),
        prefix=f"fg_{wanted.mode}_",
        last4=text[-4:],
        scopes=(),
        state="active",
        expires_at=now + timedelta(days=wanted.expires_in_days) if wanted.expires_in_days else None,
        last_used_at=None,
        revoked_at=None,
        version=1,
        created_at=now,
    )
    await api_keys.insert_api_key(session, key)
    await outbox.add(session, facts.api_key_changed(key, now=now))
    return key, text


async def list_keys(session: AsyncSession, caller: Caller, *, before: UUID | None, limit: int) -> list[ApiKey]:
    """The account's keys for those who administer it, else the caller's own."""
    if not allows(caller.role, "list_own_keys"):
        raise RoleError("Your role in this account may not list API keys.")
    own = None if allows(caller.role, "list_all_keys") else caller.user_id
    return await api_keys.list_api_keys(session, caller.account_id, user_id=own, before=before, limit=limit)


async def revoke_key(session: AsyncSession, caller: Caller, key_id: UUID, *, now: datetime) -> ApiKey:
    """Revoke; a second time changes nothing."""
    key = await api_keys.lock_api_key(session, caller.account_id, key_id)
    if key is None or not _may_revoke(caller, key):
        raise UnknownApiKeyError("You have no such API key.")
    if key.state == "revoked":
        return key
    revoked = await api_keys.update_api_key_revoked(session, key_id, now=now)
    await outbox.add(session, facts.api_key_changed(revoked, now=now))
    return revoked


def _may_revoke(caller: Caller, key: ApiKey) -> bool:
    own = key.user_id == caller.user_id and allows(caller.role, "revoke_own_key")
    return own or allows(caller.role, "revoke_any_key")


async def resolve_key(session: AsyncSession, text: str, *, signer: TokenSigner, now: datetime) -> Resolved:
    """An access token for a key, no longer than the key itself; raises `UnknownApiKeyError` for whatever is wrong."""
    digest = apikeys.sha256_hex(text)
    key = await api_keys.find_api_key_by_hash(session, digest) if apikeys.well_formed(text) else None
    if key is None or not hmac.compare_digest(key.key_sha256, digest) or not key.usable(now):
        raise UnknownApiKeyError("There is no such API key.")
    access = await accounts.find_access(session, user_id=key.user_id, account_id=key.account_id)
    if access is None:
        raise UnknownApiKeyError("There is no such API key.")
    bounded = replace(access, api_key_id=key.id, project_id=key.project_id, scopes=key.scopes)
    issued = signer.access_token(bounded, now=now, lifetime_s=_lifetime_s(key, now))
    await api_keys.update_last_used(session, key.id, now=now, coarse_s=LAST_USED_COARSE_S)
    return Resolved(key, bounded, issued)


def _lifetime_s(key: ApiKey, now: datetime) -> int:
    return ACCESS_S if key.expires_at is None else max(1, min(ACCESS_S, int((key.expires_at - now).total_seconds())))
