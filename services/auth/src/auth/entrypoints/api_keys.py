"""API keys of the caller's account."""

from typing import Any
from uuid import UUID

from fastapi import APIRouter

from auth.domain.access import ApiKey
from auth.entrypoints.parts import PartsDep, SessionCallerDep, before_id, refusals
from auth.schemas import ApiKeyAnswer, ApiKeyRequest, MadeApiKeyAnswer
from auth.service import api_keys
from auth.service.api_keys import WantedKey
from kit.paging import Cursor, Limit, Page, encode_cursor

router = APIRouter(prefix="/auth/api-keys", tags=["api keys"])


@router.post("", status_code=201, summary="Make an API key; it is shown once", responses=refusals(401, 403, 404))
async def make_key(body: ApiKeyRequest, parts: PartsDep, caller: SessionCallerDep) -> MadeApiKeyAnswer:
    wanted = WantedKey(name=body.name, mode=body.mode, project_id=body.project_id, expires_in_days=body.expires_in_days)
    async with parts.database.transaction() as session:
        key, text = await api_keys.make_key(session, caller, wanted, clock=parts.clock)
    return MadeApiKeyAnswer(key=text, **_shown(key))


@router.get("", summary="API keys, newest first", responses=refusals(401, 403))
async def list_keys(
    parts: PartsDep, caller: SessionCallerDep, limit: Limit = 50, cursor: Cursor = None
) -> Page[ApiKeyAnswer]:
    """All keys of the account for its owners and admins, their own for developers."""
    async with parts.database.reading() as session:
        found = await api_keys.list_keys(session, caller, before=before_id(cursor), limit=limit + 1)
    items = [ApiKeyAnswer(**_shown(key)) for key in found[:limit]]
    return Page(items=items, next_cursor=encode_cursor(str(items[-1].id)) if len(found) > limit else None)


@router.delete("/{key_id}", summary="Revoke an API key", responses=refusals(401, 403, 404))
async def revoke_key(key_id: UUID, parts: PartsDep, caller: SessionCallerDep) -> ApiKeyAnswer:
    async with parts.database.transaction() as session:
        key = await api_keys.revoke_key(session, caller, key_id, now=parts.clock.now())
    return ApiKeyAnswer(**_shown(key))


def _shown(key: ApiKey) -> dict[str, Any]:
    return {name: getattr(key, name) for name in ApiKeyAnswer.model_fields}
