"""API keys of the caller's account."""

from typing import Any
from uuid import UUID

from fastapi import APIRouter

from auth.domain.access import ApiKey
from auth.entrypoints.parts import ActingDep, PartsDep, before_id, forget_key, refusals
from auth.schemas.budgets import bodies_of, budgets_of
from auth.schemas.keys import ApiKeyAnswer, ApiKeyRequest, ChangeKeyRequest, MadeApiKeyAnswer, RotateRequest
from auth.service import api_keys
from auth.service.api_keys import WantedKey
from kit.paging import Cursor, Limit, Page, encode_cursor

router = APIRouter(prefix="/auth/api-keys", tags=["api keys"])


@router.post("", status_code=201, summary="Make an API key; it is shown once", responses=refusals(401, 403, 404, 409))
async def make_key(body: ApiKeyRequest, parts: PartsDep, acting: ActingDep) -> MadeApiKeyAnswer:
    wanted = WantedKey(
        name=body.name,
        mode=body.mode,
        project_id=body.project_id,
        expires_in_days=body.expires_in_days,
        scopes=body.scopes,
        budgets=budgets_of(body.budgets),
        allowed_networks=body.allowed_networks,
        service_account_id=body.service_account_id,
        share_id=body.share_id,
    )
    async with parts.database.transaction() as session:
        key, text = await api_keys.make_key(session, acting, wanted, clock=parts.clock)
    return MadeApiKeyAnswer(key=text, **_shown(key))


@router.get("", summary="API keys, newest first", responses=refusals(401, 403))
async def list_keys(parts: PartsDep, acting: ActingDep, limit: Limit = 50, cursor: Cursor = None) -> Page[ApiKeyAnswer]:
    """All keys of the account for its owners and admins, their own for developers."""
    async with parts.database.reading() as session:
        found = await api_keys.list_keys(session, acting, before=before_id(cursor), limit=limit + 1)
    items = [ApiKeyAnswer(**_shown(key)) for key in found[:limit]]
    return Page(items=items, next_cursor=encode_cursor(str(items[-1].id)) if len(found) > limit else None)


@router.patch("/{key_id}", summary="Rename an API key, or set its budgets", responses=refusals(401, 403, 404, 409))
async def change_key(key_id: UUID, body: ChangeKeyRequest, parts: PartsDep, acting: ActingDep) -> ApiKeyAnswer:
    budgets = None if body.budgets is None else budgets_of(body.budgets)
    async with parts.database.transaction() as session:
        key = await api_keys.change_key(session, acting, key_id, name=body.name, budgets=budgets, clock=parts.clock)
    return ApiKeyAnswer(**_shown(key))


@router.post(
    "/{key_id}/rotate",
    status_code=201,
    summary="Replace an API key; the old one works on for a while",
    responses=refusals(401, 403, 404, 409),
)
async def rotate_key(key_id: UUID, body: RotateRequest, parts: PartsDep, acting: ActingDep) -> MadeApiKeyAnswer:
    async with parts.database.transaction() as session:
        key, text = await api_keys.rotate_key(session, acting, key_id, overlap_s=body.overlap_s, clock=parts.clock)
    return MadeApiKeyAnswer(key=text, **_shown(key))


@router.delete("/{key_id}", summary="Revoke an API key", responses=refusals(401, 403, 404))
async def revoke_key(key_id: UUID, parts: PartsDep, acting: ActingDep) -> ApiKeyAnswer:
    async with parts.database.transaction() as session:
        key = await api_keys.revoke_key(session, acting, key_id, clock=parts.clock)
    forget_key(parts, key_id)
    return ApiKeyAnswer(**_shown(key))


def _shown(key: ApiKey) -> dict[str, Any]:
    shown = {name: getattr(key, name) for name in ApiKeyAnswer.model_fields}
    return {**shown, "budgets": bodies_of(key.budgets)}
