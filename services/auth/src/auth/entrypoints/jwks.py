"""The public keys that verify our tokens."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from auth.entrypoints.parts import PartsDep

router = APIRouter(prefix="/auth", tags=["keys"])


@router.get("/jwks.json", summary="Public keys, the next one included")
async def jwks(parts: PartsDep) -> JSONResponse:
    keys: dict[str, Any] = await parts.ring.jwks()
    return JSONResponse(keys, headers={"cache-control": "public, max-age=300"})
