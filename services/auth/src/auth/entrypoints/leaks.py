"""Reports of leaked keys. Whoever has a key may report it: that somebody else has it is the proof."""

import base64
import hashlib
from typing import Annotated

from fastapi import APIRouter, Body, Request
from pydantic import Field

from auth.domain.audit import Actor
from auth.entrypoints.parts import Parts, PartsDep, forget_key, forget_sessions, network_of, refusals
from auth.schemas.keys import LEAKS_AT_ONCE, LeakAnswer, LeakReport
from auth.service import leaks
from kit import apikeys

router = APIRouter(prefix="/auth", tags=["api keys"])

Reports = Annotated[list[LeakReport], Body(), Field(min_length=1, max_length=LEAKS_AT_ONCE)]


@router.post("/leaks", summary="Report API keys that were found in public", responses=refusals(429))
async def report_leaks(request: Request, reports: Reports, parts: PartsDep) -> list[LeakAnswer]:
    """Takes the form of secret-scanning partners. A key of ours is revoked at once, and its owner told."""
    actor = Actor(kind="anybody", network=network_of(request, parts.trusted_proxies))
    answers = []
    for report in reports:
        text = report.token.get_secret_value()
        ours = await _revoked(parts, text, actor)
        digest = base64.b64encode(hashlib.sha256(text.encode(errors="replace")).digest()).decode()
        answers.append(LeakAnswer(token_hash=digest, label="true_positive" if ours else "false_positive"))
    return answers


async def _revoked(parts: Parts, text: str, actor: Actor) -> bool:
    """Whether it was one of ours."""
    if text.startswith(apikeys.SESSION_PREFIX):
        async with parts.database.transaction() as session:
            ours, ended = await leaks.report_session_key(
                session, text, actor=actor, limits=parts.limits, clock=parts.clock
            )
        forget_sessions(parts, ended)
        return ours
    async with parts.database.transaction() as session:
        key = await leaks.report(session, text, actor=actor, limits=parts.limits, clock=parts.clock)
    if key is not None:
        forget_key(parts, key.id)
    return key is not None
